"""Power as a program composes it: what may be set, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from gputui.config import Config, PowerLimitConfig
from gputui.gpu.power_limit import LimitRefusedError, set_limit
from gputui.gpu.simulated import SIMULATED_GPUS, SimulatedSource, set_simulated_limit
from gputui.power.session import MEMORY, power_session

ALWAYS = PowerLimitConfig(gpus=("5090",), watts=450, from_="00:00", to="00:00")


class Source:
    live = True

    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None: ...


def test_the_driver_sets_limits_of_its_gpus(tmp_path: Path) -> None:
    session = power_session(Config(), Source("nvml"), tmp_path, readonly=False)  # type: ignore[arg-type]
    assert session.set_limit is set_limit
    assert session.refusal is None


def test_readonly_says_so_and_holds_the_schedules(tmp_path: Path) -> None:
    config = Config(power_limits=(ALWAYS,))
    source = SimulatedSource(dict)
    session = power_session(config, source, tmp_path, readonly=True)
    assert session.refusal is not None
    assert "--readonly" in session.refusal.hint
    session.schedule.sampled(source.sample())
    assert [planned.trouble for planned in session.schedule.plan()] == [
        "gputui runs with --readonly"
    ]


def test_gpus_of_a_recording_are_left_alone(tmp_path: Path) -> None:
    session = power_session(Config(), Source("recorded"), tmp_path, readonly=False)  # type: ignore[arg-type]
    assert session.refusal is not None
    assert "recording" in session.refusal.hint
    with pytest.raises(LimitRefusedError):
        session.set_limit(SIMULATED_GPUS[0], 300)


def test_a_simulation_leaves_no_memory_on_disk(tmp_path: Path) -> None:
    source = SimulatedSource(dict)
    config = Config(power_limits=(ALWAYS,))
    session = power_session(config, source, tmp_path, readonly=False)
    assert session.set_limit is set_simulated_limit
    assert not (tmp_path / MEMORY).exists()
