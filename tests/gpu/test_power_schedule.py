"""A schedule of power limits through the stand-in library: set, given back, refused, waited for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from gputui.config import PowerLimitConfig
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.power_limit import set_limit
from gputui.power.schedule import PowerSchedule
from tests.support.nvml_scenarios import Clock
from tests.support.standin_nvml import StandinNvml

NIGHT = PowerLimitConfig(gpus=("5090",), watts=300, from_="22:00", to="07:00")
SET = "nvmlDeviceSetPowerManagementLimit"


class Night:
    """A schedule on the true driver's path; ``at`` samples at an hour, with all readings new."""

    def __init__(self, source: NvmlSource, clock: Clock, memory: Path) -> None:
        self._source = source
        self._clock = clock
        self._hour = 0
        self.schedule = PowerSchedule(
            (NIGHT,),
            set_limit,
            memory=memory,
            now=lambda: datetime(2026, 1, 1, self._hour),
            clock=clock,
            run=lambda call: call(),
        )

    def at(self, hour: int) -> list[float | None]:
        """The limits of both GPUs after a sample at that hour."""
        self._hour = hour
        for _ in range(2):
            self._clock.now += 70
            self.schedule.sampled(self._source.sample())
        return [gpu.get("power_limit") for gpu in self._source.sample().gpus]


@pytest.fixture
def night(source: NvmlSource, clock: Clock, tmp_path: Path) -> Night:
    return Night(source, clock, tmp_path / "memory.json")


def test_a_night(night: Night, standin_nvml: StandinNvml) -> None:
    assert night.at(21) == [600, 600]
    assert night.at(22) == [600, 300]
    assert night.at(3) == [600, 300]
    assert night.at(7) == [600, 600]
    calls = standin_nvml.take_calls()
    assert (calls[SET, 0], calls[SET, 1]) == (0, 2)
    assert not any(notice.failed for notice in night.schedule.take_notices())


def test_without_permission_it_is_told_once_with_the_command(
    night: Night, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set({f"error.{SET}": 4})
    for hour in (21, 22, 23, 7, 22):
        assert night.at(hour) == [600, 600]
    (notice,) = night.schedule.take_notices()
    assert notice.hint == "sudo nvidia-smi -i 00000000:21:00.0 -pl 300"
    calls = standin_nvml.take_calls()
    assert calls[SET, 1] == 2, "asked at each beginning, and never in between"


def test_a_lost_gpu_gets_its_limit_when_it_is_back(night: Night, standin_nvml: StandinNvml) -> None:
    night.at(21)
    standin_nvml.set(gpu_1={"lost": 1})
    assert night.at(22) == [600, None]
    standin_nvml.set(gpu_1={"lost": None})
    for _ in range(3):
        limits = night.at(23)
    assert limits == [600, 300]


def test_a_limit_out_of_range_is_refused_in_words(night: Night, standin_nvml: StandinNvml) -> None:
    standin_nvml.set(power_min_limit=400_000)
    assert night.at(22) == [600, 600]
    (notice,) = night.schedule.take_notices()
    assert "300 W is out of its range" in notice.message
    assert "400 to 600 W" in notice.hint
