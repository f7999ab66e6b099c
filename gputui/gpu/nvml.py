"""The source for NVIDIA GPUs, through nvidia-ml-py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gputui.gpu.metrics import METRICS, TIER_SECONDS, Tier
from gputui.gpu.nvml_library import (
    NO_GPU,
    SETTLED,
    GpuHandle,
    Library,
    Unavailable,
    cannot_open,
    gpu_problem,
)
from gputui.gpu.nvml_readers import (
    READERS,
    OpenGpu,
    Reader,
    Reading,
    read_fan_count,
    read_processes,
)
from gputui.gpu.sample import NOT_READ, GpuSample, Problem, Snapshot
from gputui.identity import GpuIdentity
from gputui.text import clean_line

PROCESS_SECONDS = 2.0
"""Between two readings of the process lists."""

_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)  # the last one repeats: back within 10 s of a fault's end
_NOT_READ = Unavailable(NOT_READ)
_NEVER = float("inf")
_SLACK_SECONDS = 0.05  # a reading due with a tick is not put off because that came a little early


class NvmlSource:
    """All GPUs that NVML counts. NVML is initialised at the first ``sample`` and then only again
    after it failed or a GPU was lost, with back-off. ``clock`` gives seconds."""

    name = "nvml"

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._library: Library | None = None
        self._gpus: list[_NvmlGpu] = []
        self._lane: _Lane | None = None
        self._known: dict[int, GpuIdentity] = {}
        self._driver_version: str | None = None
        self._problem: Problem | None = None
        self._retry_at: float | None = 0.0
        self._retries = 0

    def sample(self) -> Snapshot:
        """All GPUs now; see Source. A GPU stays in the list while NVML cannot be used."""
        if self._retry_at is not None and self._clock() >= self._retry_at:
            self._open_again()
        now = self._clock()
        problem = self._problem
        if problem is not None:
            gpus = [_without_readings(gpu, problem.message) for gpu in self._known.values()]
            return Snapshot(self.name, time.time(), tuple(gpus), self._driver_version, problem)
        samples = tuple(gpu.sample(now, self._lane) for gpu in self._gpus)
        if not self._in_trouble():
            self._retries = 0
        elif self._retry_at is None:
            self._retry_later()
        return Snapshot(self.name, time.time(), samples, self._driver_version)

    def close(self) -> None:
        """Shut NVML down, unless a call in it hangs."""
        lane_ended = self._lane is None or self._lane.stop()
        if self._library is not None and lane_ended:
            self._library.query("nvmlShutdown")
        self._library, self._lane, self._gpus = None, None, []
        self._retry_at = 0.0

    def _open_again(self) -> None:
        self.close()
        self._retry_at = None
        self._problem = self._open()
        if self._problem is not None:
            self._retry_later()

    def _retry_later(self) -> None:
        self._retry_at = self._clock() + _RETRY_SECONDS[self._retries]
        self._retries = min(self._retries + 1, len(_RETRY_SECONDS) - 1)

    def _open(self) -> Problem | None:
        library = Library()
        failure = library.query("nvmlInit")
        if isinstance(failure, Unavailable):
            return cannot_open(failure)
        self._library = library
        version = library.query("nvmlSystemGetDriverVersion")
        self._driver_version = _text(version, "") or None
        count = library.query("nvmlDeviceGetCount")
        if isinstance(count, Unavailable):
            return cannot_open(count)
        if count == 0:
            return NO_GPU
        self._gpus = [_open_gpu(library, index, self._known.get(index)) for index in range(count)]
        self._known = {gpu.identity.index: gpu.identity for gpu in self._gpus}
        self._lane = _Lane(self._gpus, self._clock)
        return None

    def _in_trouble(self) -> bool:
        """Whether initialising NVML again may help."""
        downs = (gpu.handle.down for gpu in self._gpus)
        return any(down is not None and down.code not in SETTLED for down in downs)


class _NvmlGpu:
    """One open GPU: who it is, its last readings, and when each is due."""

    def __init__(self, identity: GpuIdentity, handle: GpuHandle) -> None:
        self.identity = identity
        self.handle = handle
        self.open = OpenGpu(handle)
        self._readings: dict[str, Reading] = {}
        self._due: dict[Reader, float] = {r: 0.0 for r in READERS if r.tier is not Tier.LANE}
        self._processes_due = 0.0
        read_fan_count(self.open)

    def sample(self, now: float, lane: _Lane | None) -> GpuSample:
        """The GPU now: what is due is read, the rest is as old as its tier allows."""
        if now >= self._processes_due:
            self._processes_due = now + PROCESS_SECONDS - _SLACK_SECONDS
            read_processes(self.open)
        for reader, due in self._due.items():
            if now >= due:
                self._read(reader, now)
        down = self.handle.down
        if down is not None:
            return _without_readings(
                self.identity, down.reason, gpu_problem(self.identity.index, down)
            )
        measured = lane.readings(self.identity.uuid) if lane else {}
        return self._as_sample(self._readings | measured)

    def _read(self, reader: Reader, now: float) -> None:
        readings = reader.read(self.open)
        self._readings.update(zip(reader.metrics, readings, strict=True))
        self._due[reader] = now + _pause(reader.tier, readings) - _SLACK_SECONDS

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
        )


class _Lane:
    """PCIe throughput on a thread of its own: each call measures for 20 ms before it answers."""

    def __init__(self, gpus: Sequence[_NvmlGpu], clock: Callable[[], float]) -> None:
        self._gpus = list(gpus)
        self._clock = clock
        self._readings: dict[str, tuple[float, dict[str, Reading]]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nvml-pcie", daemon=True)
        self._thread.start()

    def readings(self, uuid: str) -> dict[str, Reading]:
        """The last readings; Unavailable where they are older than three rounds."""
        if uuid not in self._readings:
            return {}
        read_at, readings = self._readings[uuid]
        age = self._clock() - read_at
        if age <= 3 * TIER_SECONDS[Tier.LANE]:
            return readings
        return {metric: Unavailable(f"no answer for {age:.0f} s") for metric in readings}

    def stop(self) -> bool:
        """End the thread; False where it does not come back, because a call hangs."""
        self._stopped.set()
        self._thread.join(0.5)
        return not self._thread.is_alive()

    def _run(self) -> None:
        period = TIER_SECONDS[Tier.LANE]
        while self._gpus and not self._stopped.is_set():
            self._gpus = [gpu for gpu in self._gpus if self._read(gpu)]
            self._stopped.wait(period)

    def _read(self, gpu: _NvmlGpu) -> bool:
        """Whether to ask this GPU again."""
        readings: dict[str, Reading] = {}
        for reader in READERS:
            if reader.tier is Tier.LANE and not self._stopped.is_set():
                readings.update(zip(reader.metrics, reader.read(gpu.open), strict=True))
        again = not _settled(readings.values())
        self._readings[gpu.identity.uuid] = (self._clock() if again else _NEVER, readings)
        return again


def _open_gpu(library: Library, index: int, known: GpuIdentity | None) -> _NvmlGpu:
    """The GPU of that index; one that cannot be opened keeps the names it had before."""
    answer = library.query("nvmlDeviceGetHandleByIndex", index)
    if isinstance(answer, Unavailable):
        handle = GpuHandle(library, None, down=answer)
    else:
        handle = GpuHandle(library, answer)
    names = known or GpuIdentity(index, f"unknown-{index}", "unknown GPU", "")
    pci = handle.query(("nvmlDeviceGetPciInfo",))
    identity = GpuIdentity(
        index,
        _text(handle.query(("nvmlDeviceGetUUID",)), names.uuid),
        _text(handle.query(("nvmlDeviceGetName",)), names.name),
        names.pci_bus_id if isinstance(pci, Unavailable) else _bus_id(pci),
    )
    return _NvmlGpu(identity, handle)


def _text(answer: Any, otherwise: str) -> str:
    """A string of the driver's, cleaned."""
    if isinstance(answer, Unavailable):
        return otherwise
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    return clean_line(text) or otherwise


def _bus_id(pci: Any) -> str:
    """NVML's own form of nvmlPciInfo_t; its string could be garbled."""
    return f"{pci.domain:08X}:{pci.bus:02X}:{pci.device:02X}.0"


def _pause(tier: Tier, readings: Sequence[Reading]) -> float:
    """Seconds until a reader is asked again: what is settled need not be asked at every tick."""
    if tier is Tier.ONCE:
        answered = all(isinstance(r, float) or r.code in SETTLED for r in readings)
        return _NEVER if answered else TIER_SECONDS[Tier.SLOW]
    return TIER_SECONDS[Tier.SLOW if _settled(readings) else tier]


def _settled(readings: Iterable[Reading]) -> bool:
    """Whether there is no value, and there will be none a second later."""
    return all(isinstance(r, Unavailable) and r.code in SETTLED for r in readings)


def _without_readings(
    identity: GpuIdentity, reason: str, problem: Problem | None = None
) -> GpuSample:
    missing = {metric.name: reason for metric in METRICS}
    return GpuSample(identity, {}, missing, problem=problem)
