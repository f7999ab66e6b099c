"""All of power that lives as long as the program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gputui.config import Config
from gputui.errors import GputuiError
from gputui.gpu.power_limit import LimitSetter, limit_setter
from gputui.gpu.source import Source
from gputui.power.meter import PowerMeter, since_boot
from gputui.power.schedule import PowerSchedule

MEMORY = "power_limits.json"
"""The file in the state directory that keeps what schedules will give back."""


@dataclass(frozen=True, slots=True)
class PowerSession:
    """The meter and the schedule, both watchers of samples, and what sets a limit at the user's wish.

    ``refusal`` is why no limit can be set in this session, None where one can.
    """

    meter: PowerMeter
    schedule: PowerSchedule
    set_limit: LimitSetter
    refusal: GputuiError | None = None


def power_session(
    config: Config, source: Source, state_dir: Path, *, readonly: bool, file: Path | None = None
) -> PowerSession:
    """The power of a program that samples ``source`` every ``config.interval`` seconds."""
    refusal = None
    if readonly:
        refusal = GputuiError("the power limit was not set", "gputui runs with --readonly.")
    elif source.name not in ("nvml", "simulated"):
        refusal = GputuiError("the power limit was not set", "These GPUs are from a recording.")
    setter = limit_setter(source)
    schedule = PowerSchedule(
        config.power_limits,
        setter,
        memory=state_dir / MEMORY if source.name == "nvml" else None,
        file=file,
        held=refusal.hint.rstrip(".") if refusal else "",
    )
    return PowerSession(
        PowerMeter(config.longest_interval, clock=since_boot), schedule, setter, refusal
    )
