"""GPUs under a schedule of power limits, without a driver."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gputui.config import PowerLimitConfig
from gputui.errors import GputuiError
from gputui.gpu.power_limit import LimitChange
from gputui.gpu.sample import GpuSample, Problem, Snapshot
from gputui.identity import GpuIdentity
from gputui.power.schedule import PowerSchedule

GPUS = (
    GpuIdentity(0, "GPU-a", "NVIDIA RTX PRO 6000", "00000000:01:00.0"),
    GpuIdentity(1, "GPU-b", "NVIDIA GeForce RTX 5090", "00000000:21:00.0"),
)


def table(begin: str, end: str, watts: float = 300, *gpus: str) -> PowerLimitConfig:
    return PowerLimitConfig(gpus=gpus or ("5090",), watts=watts, from_=begin, to=end)


NIGHT = table("22:00", "07:00")


class Rig:
    """Two GPUs with limits that can be set by hand too, and a clock that a test moves."""

    def __init__(
        self, *tables: PowerLimitConfig, memory: Path | None = None, **more: object
    ) -> None:
        self.limits: dict[str, float] = {gpu.uuid: 575.0 for gpu in GPUS}
        self.default: float | None = 600.0
        self.unread = False
        self.joules: float | None = None
        self.asked = 0
        self.local = datetime(2026, 1, 15, 12, 0)
        self.seconds = 0.0
        self.sets: list[tuple[int, float]] = []
        self.refusal: GputuiError | None = None
        self.problem: Problem | None = None
        self._memory = memory
        self._more = more
        self.schedule = self.start(*tables)

    def start(self, *tables: PowerLimitConfig) -> PowerSchedule:
        self.schedule = PowerSchedule(
            tables,
            self._set,
            **{  # type: ignore[arg-type]
                "memory": self._memory,
                "now": lambda: self.local,
                "clock": lambda: self.seconds,
                "run": lambda call: call(),
            }
            | self._more,
        )
        return self.schedule

    def _set(self, gpu: GpuIdentity, watts: float) -> LimitChange:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        before, self.limits[gpu.uuid] = self.limits[gpu.uuid], watts
        self.sets.append((gpu.index, watts))
        return LimitChange(gpu, None if self.unread else before, watts)

    def at(self, time: str | datetime) -> float:
        """A sample at that local time; the second GPU's limit after it."""
        if isinstance(time, str):
            hour, minute = map(int, time.split(":"))
            time = self.local.replace(hour=hour, minute=minute)
        self.local = time
        self.schedule.sampled(self.snapshot())
        return self.limits["GPU-b"]

    def snapshot(self) -> Snapshot:
        values = {"power_default_limit": self.default} if self.default is not None else {}
        samples = (
            GpuSample(gpu, values | self.readings(gpu), problem=self.problem) for gpu in GPUS
        )
        return Snapshot("nvml", 0.0, tuple(samples))

    def readings(self, gpu: GpuIdentity) -> dict[str, float]:
        limit = {} if self.unread else {"power_limit": self.limits[gpu.uuid]}
        return limit if self.joules is None else limit | {"total_energy_consumption": self.joules}

    def told(self) -> list[str]:
        return [notice.message for notice in self.schedule.take_notices()]
