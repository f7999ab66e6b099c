"""The source for NVIDIA GPUs, through nvidia-ml-py."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gputui.gpu.metrics import METRICS, TIER_SECONDS, Tier
from gputui.gpu.nvml_lane import SLACK_SECONDS, Lane, Spawn, on_thread, settled
from gputui.gpu.nvml_library import (
    NO_GPU,
    SETTLED,
    UNINITIALIZED,
    GpuHandle,
    Library,
    Unavailable,
    cannot_open,
    gpu_problem,
    not_listed,
)
from gputui.gpu.nvml_processes import ProcessReader
from gputui.gpu.nvml_readers import READERS, OpenGpu, Reader, Reading
from gputui.gpu.sample import NOT_READ, GpuSample, Problem, Snapshot
from gputui.identity import GpuIdentity
from gputui.text import clean_line

PROCESS_SECONDS = 2.0
"""Between two readings of the process lists."""

_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)  # the last one repeats: back within 10 s of a fault's end
_NOT_READ = Unavailable(NOT_READ)
_NEVER = float("inf")
_CLOSING_SECONDS = 0.5  # a call of the slow lane may take so long
_NAMES = ("UUID", "Name", "PciInfo")


class NvmlSource:
    """All GPUs that NVML counts. NVML is initialised at the first ``sample`` and then only again
    after it failed, a GPU was lost, or their number changed, with back-off.

    A GPU that was seen stays in the list, with a problem, when the driver lists it no longer: until it
    is there again, also where it was taken away on purpose.

    ``clock`` gives seconds; ``spawn`` runs the slow lane's rounds.
    """

    name = "nvml"
    live = True

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, spawn: Spawn = on_thread
    ) -> None:
        self._clock = clock
        self._spawn = spawn
        self._library: Library | None = None
        self._initialised = 0
        self._gpus: list[_NvmlGpu] = []
        self._lane: Lane | None = None
        self._known: dict[int, GpuIdentity] = {}
        self._seen: dict[str, GpuIdentity] = {}
        self._driver_version: str | None = None
        self._cuda_version: str | None = None
        self._problem: Problem | None = None
        self._retry_at: float | None = 0.0
        self._retries = 0
        self._look_at = 0.0

    def samples(self) -> tuple[Snapshot]:
        """One, of this moment; see Source."""
        return (self.sample(),)

    def sample(self) -> Snapshot:
        """All GPUs now. A GPU stays in the list while NVML cannot be used."""
        if self._problem is None and self._clock() >= self._look_at:
            self._look()
            self._count_again()
        if self._retry_at is not None and self._clock() >= self._retry_at:
            self._open_again()
        now = self._clock()
        problem = self._problem
        if problem is not None:
            gpus = [_without_readings(gpu, problem.message) for gpu in self._known.values()]
            return self._snapshot(gpus, problem)
        if self._lane:
            self._lane.begin(now)
        samples = [gpu.sample(now, self._lane) for gpu in self._gpus]
        samples += [_not_listed(gpu) for i, gpu in self._known.items() if i >= len(self._gpus)]
        if not self._in_trouble():
            self._retries = 0
        elif self._retry_at is None:
            self._retry_later()
        return self._snapshot(samples, None)

    def close(self) -> None:
        """Shut NVML down, unless a call in it hangs."""
        if self._lane is None or self._lane.stop(_CLOSING_SECONDS):
            self._shut_down()
        self._lane, self._gpus = None, []
        self._retry_at = 0.0

    def _snapshot(self, gpus: Sequence[GpuSample], problem: Problem | None) -> Snapshot:
        return Snapshot(
            self.name, time.time(), tuple(gpus), self._driver_version, problem, self._cuda_version
        )

    def _open_again(self) -> None:
        """Unless a call of the lane is under way: NVML must not be shut down under it, and without
        that, initialising it again finds nothing new. The next tick tries again."""
        if self._lane is not None and not self._lane.resting:
            return
        self.close()
        self._retry_at = None
        self._problem = self._open()
        if self._problem is not None:
            self._retry_later()

    def _retry_later(self) -> None:
        self._retry_at = self._clock() + _RETRY_SECONDS[self._retries]
        self._retries = min(self._retries + 1, len(_RETRY_SECONDS) - 1)

    def _shut_down(self) -> None:
        """As often as it was initialised: only after the last time does NVML look for GPUs anew."""
        done = 0
        while self._library is not None and self._initialised:
            failure = self._library.query("nvmlShutdown")
            if isinstance(failure, Unavailable):
                if done and failure.code == UNINITIALIZED:
                    self._initialised = 0  # a reload of the driver took the others along
                return
            done += 1
            self._initialised -= 1

    def _open(self) -> Problem | None:
        library = self._library = self._library or Library()
        failure = library.query("nvmlInit")
        if isinstance(failure, Unavailable):
            return cannot_open(failure)
        self._initialised += 1
        self._driver_version = self._cuda_version = None
        count = library.query("nvmlDeviceGetCount")
        if isinstance(count, Unavailable):
            return cannot_open(count)
        if count == 0 and not self._seen:
            return NO_GPU
        self._gpus = [
            _NvmlGpu(library, index, self._known.get(index), self._clock) for index in range(count)
        ]
        self._lane = Lane([gpu.open for gpu in self._gpus], self._clock, self._spawn)
        self._look()
        return None

    def _look(self) -> None:
        """What changes seldom, and what could not be had before: versions, GPUs, their names."""
        library = self._library
        if library is None:
            return
        self._look_at = self._clock() + TIER_SECONDS[Tier.SLOW] - SLACK_SECONDS
        if self._driver_version is None:
            version = library.query("nvmlSystemGetDriverVersion")
            self._driver_version = _text(version, "") or None
        if self._cuda_version is None:
            version = library.first(
                ("nvmlSystemGetCudaDriverVersion_v2",), ("nvmlSystemGetCudaDriverVersion",)
            )
            self._cuda_version = _cuda_version(version)
        for gpu in self._gpus:
            gpu.look()
        _keep_apart(self._gpus)
        self._remember()

    def _remember(self) -> None:
        """Who is there; after them, with the numbers that are free, who was and is not any more."""
        listed = [gpu.identity for gpu in self._gpus]
        uuids = {gpu.uuid for gpu in listed}
        for gpu in self._gpus:
            if gpu.named and gpu.identity.uuid != _unknown(gpu.identity.index).uuid:
                self._seen[gpu.identity.uuid] = gpu.identity
        gone = sorted((gpu for uuid, gpu in self._seen.items() if uuid not in uuids), key=_index)
        numbered = enumerate([*listed, *gone])
        self._known = {index: replace(gpu, index=index) for index, gpu in numbered}

    def _count_again(self) -> None:
        count = self._library.query("nvmlDeviceGetCount") if self._library else None
        if isinstance(count, int) and count != len(self._gpus) and self._retry_at is None:
            self._retry_at = self._clock()

    def _in_trouble(self) -> bool:
        """Whether initialising NVML again may help."""
        downs = (gpu.handle.down for gpu in self._gpus)
        return not self._gpus or any(
            down is not None and down.code not in SETTLED for down in downs
        )


class _NvmlGpu:
    """One GPU: who it is, its last readings, and when each is due. One that cannot be opened or
    named keeps the names it had before."""

    def __init__(
        self,
        library: Library,
        index: int,
        known: GpuIdentity | None,
        clock: Callable[[], float],
    ) -> None:
        self.identity = known or _unknown(index)
        self.handle = GpuHandle(library, None, Unavailable(NOT_READ), clock)
        self.open = OpenGpu(self.handle)
        self._library = library
        self.named = False
        self._readings: dict[str, Reading] = {}
        self._due: dict[Reader, float] = {r: 0.0 for r in READERS if r.tier is not Tier.LANE}
        self._processes = ProcessReader()
        self._processes_due = 0.0

    def look(self) -> None:
        """Open the GPU and read its names, where that did not succeed before."""
        if not self.handle.opened:
            index = self.identity.index
            self.handle.renew(self._library.query("nvmlDeviceGetHandleByIndex", index))
        if not self.named:
            answers = [self.handle.query((f"nvmlDeviceGet{what}",)) for what in _NAMES]
            self.named = not any(isinstance(answer, Unavailable) for answer in answers)
            self.identity = _identity(self.identity, *answers)

    def sample(self, now: float, lane: Lane | None) -> GpuSample:
        """The GPU now: what is due is read, the rest is as old as its tier allows."""
        if now >= self._processes_due:
            self._processes_due = now + PROCESS_SECONDS - SLACK_SECONDS
            self.open.processes = self._processes.read(self.handle)
        for reader, due in self._due.items():
            if now >= due:
                self._read(reader, now)
        down = self.handle.down
        if down is not None:
            return _without_readings(
                self.identity, down.reason, gpu_problem(self.identity.index, down)
            )
        measured = lane.readings(self.identity.index, now) if lane else {}
        return self._as_sample({**self._readings, **measured})

    def _read(self, reader: Reader, now: float) -> None:
        readings = reader.read(self.open)
        if len(readings) == 1:  # most of them
            self._readings[reader.metrics[0]] = readings[0]
        else:
            self._readings.update(zip(reader.metrics, readings, strict=True))
        self._due[reader] = now + _pause(reader.tier, readings) - SLACK_SECONDS

    def _as_sample(self, readings: Mapping[str, Reading]) -> GpuSample:
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        for metric in METRICS:
            reading = readings.get(metric.name, _NOT_READ)
            if isinstance(reading, Unavailable):
                missing[metric.name] = reading.reason
            else:
                values[metric.name] = reading
        processes = self.open.processes
        return GpuSample(
            self.identity,
            values,
            missing,
            () if isinstance(processes, Unavailable) else processes,
            shared_memory=self.open.shared_memory,
            processes_problem=processes.reason if isinstance(processes, Unavailable) else None,
        )


def _keep_apart(gpus: Sequence[_NvmlGpu]) -> None:
    """A UUID is one GPU's: first of all of the one that the driver gives it now."""
    seen: set[str] = set()
    for gpu in sorted(gpus, key=lambda gpu: not gpu.named):
        if gpu.identity.uuid in seen:
            gpu.identity = replace(gpu.identity, uuid=_unknown(gpu.identity.index).uuid)
        seen.add(gpu.identity.uuid)


def _index(gpu: GpuIdentity) -> int:
    return gpu.index


def _unknown(index: int) -> GpuIdentity:
    return GpuIdentity(index, f"unknown-{index}", "unknown GPU", "")


def _identity(known: GpuIdentity, uuid: Any, name: Any, pci: Any) -> GpuIdentity:
    """The names that the driver gave, and the known one in the place of each that it did not."""
    return GpuIdentity(
        known.index,
        _text(uuid, known.uuid),
        _text(name, known.name),
        known.pci_bus_id if isinstance(pci, Unavailable) else _bus_id(pci),
    )


def _text(answer: Any, otherwise: str) -> str:
    """A string of the driver's, cleaned."""
    if isinstance(answer, Unavailable):
        return otherwise
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    return clean_line(text) or otherwise


def _bus_id(pci: Any) -> str:
    """NVML's own form of nvmlPciInfo_t; its string could be garbled."""
    return f"{pci.domain:08X}:{pci.bus:02X}:{pci.device:02X}.0"


def _cuda_version(answer: Any) -> str | None:
    """``12.8`` of 12080; None where there is none."""
    if isinstance(answer, Unavailable) or not answer:
        return None
    return f"{answer // 1000}.{answer % 1000 // 10}"


def _pause(tier: Tier, readings: Sequence[Reading]) -> float:
    """Seconds until a reader is asked again. What is settled need not be asked at every tick, but
    it must be asked again: drivers, permissions and modes change."""
    if tier is Tier.ONCE:
        known = all(isinstance(reading, float) for reading in readings)
        return _NEVER if known else TIER_SECONDS[Tier.SLOW]
    return TIER_SECONDS[Tier.SLOW if settled(readings) else tier]


def _without_readings(
    identity: GpuIdentity, reason: str, problem: Problem | None = None
) -> GpuSample:
    missing = {metric.name: reason for metric in METRICS}
    return GpuSample(identity, {}, missing, problem=problem, processes_problem=reason)


def _not_listed(gpu: GpuIdentity) -> GpuSample:
    problem = not_listed(gpu.pci_bus_id)
    return _without_readings(gpu, problem.message, problem)
