"""Writing a trace; its form is in trace.py."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import math
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from msgspec import UNSET, json

from gputui import __version__
from gputui.errors import GputuiError
from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import NOT_READ, GpuProcess, GpuSample, Problem, Snapshot
from gputui.gpu.trace import (
    TRACE_VERSION,
    Header,
    WireDisk,
    WireGpu,
    WireHost,
    WireProblem,
    WireProcess,
    WireReadings,
    WireSnapshot,
)
from gputui.host import HostSample
from gputui.identity import GpuIdentity

FLUSH_SECONDS = 5.0
"""What was written is in the file at the latest so long after it came: a crash costs no more."""


def write_trace(path: Path, snapshots: Iterable[Snapshot], source: str = "") -> int:
    """Write ``snapshots`` to ``path``, in place of what is there; returns how many.

    ``source`` names where they are from, by default as the first says. Raises GputuiError.
    """
    coming = iter(snapshots)
    first = next(coming, None)
    with TraceWriter(path, source or (first.source if first else ""), force=True) as writer:
        for snapshot in () if first is None else itertools.chain((first,), coming):
            writer.write(snapshot)
    return writer.count


class TraceWriter:
    """A trace on disk that grows by ``write``: private (0600), readable at every moment.

    Raises GputuiError, from every method, where the file cannot be made or written; and for a file
    that is there already, unless ``force``. ``clock`` gives seconds.
    """

    def __init__(
        self,
        path: Path,
        source: str,
        *,
        force: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.count = 0
        self._encoder = TraceEncoder()
        self._clock = clock
        try:
            self._raw: IO[bytes] = _create(path, force)
        except OSError as error:
            raise _cannot_write(path, error) from error
        # without a name or a time of its own in it: the same samples make the same file
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        try:
            self._put(json.encode(Header(TRACE_VERSION, __version__, source)) + b"\n")
            self.flush()
        except GputuiError:
            with contextlib.suppress(GputuiError):
                self.close()
            raise

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(GputuiError):  # the first error is the one to tell
                self.close()

    def write(self, snapshot: Snapshot) -> None:
        """Add a snapshot."""
        self._put(self._encoder.line(snapshot))
        self.count += 1
        if self._clock() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Everything so far is in the file, whatever becomes of this process."""
        self._flushed_at = self._clock()
        try:
            self._file.flush()
            self._raw.flush()
        except OSError as error:
            raise _cannot_write(self.path, error, self.count) from error

    def close(self) -> None:
        """End the file. Idempotent."""
        if self._raw.closed:
            return
        try:
            try:
                self._file.close()
            finally:
                self._raw.close()
        except OSError as error:
            raise _cannot_write(self.path, error, self.count) from error

    def _put(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise _cannot_write(self.path, error, self.count) from error


def _create(path: Path, force: bool) -> IO[bytes]:
    """The file, empty and private. One that is there already, or hangs in the air as a link, is left
    alone unless ``force``; what is no file (a pipe) has nothing to lose."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        handle = os.open(path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        if not force and (path.is_file() or not path.exists()):
            raise GputuiError(
                f"{path}: there is such a file already", "Choose another name, or add --force."
            ) from None
        handle = os.open(path, flags | os.O_TRUNC, 0o600)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.fchmod(handle, 0o600)
    return os.fdopen(handle, "wb")


def _cannot_write(path: Path, error: OSError, count: int = 0) -> GputuiError:
    kept = "What was written before can be played." if count else ""
    return GputuiError(f"{path}: cannot be written: {error.strerror or error}", kept)


class TraceEncoder:
    """Snapshots to lines: each says what changed since the one before."""

    def __init__(self) -> None:
        self._before = Snapshot("", 0.0)
        self._gpus: list[_GpuEncoder] = []

    def line(self, snapshot: Snapshot) -> bytes:
        """The next line, with its end."""
        before, self._before = self._before, snapshot
        line = WireSnapshot(_number(snapshot.taken_at))
        if snapshot.driver_version != before.driver_version:
            line.driver_version = snapshot.driver_version
        if snapshot.cuda_version != before.cuda_version:
            line.cuda_version = snapshot.cuda_version
        if snapshot.problem != before.problem:
            line.problem = _problem(snapshot.problem)
        if snapshot.host != before.host:
            line.host = _host(snapshot.host, before.host)
        if snapshot.identities != before.identities:
            line.gpus = [_gpu(identity) for identity in snapshot.identities]
            self._gpus = [_GpuEncoder() for _ in snapshot.gpus]
        news = [gpu.news(sample) for gpu, sample in zip(self._gpus, snapshot.gpus, strict=True)]
        if any(one != _NOTHING_NEW for one in news):
            line.readings = news
        return json.encode(line) + b"\n"


class _GpuEncoder:
    """What was said of one GPU."""

    def __init__(self) -> None:
        self._said: dict[str, float | str] = {}
        self._before = GpuSample(GpuIdentity(0, "", "", ""), {})

    def news(self, sample: GpuSample) -> WireReadings:
        before, self._before = self._before, sample
        news = WireReadings({}, {})
        for metric in METRICS:
            now = _reading(sample, metric.name)
            if self._said.get(metric.name) != now:
                self._said[metric.name] = now
                if isinstance(now, str):
                    news.unavailable[metric.name] = now
                else:
                    news.values[metric.name] = now
        if sample.problem != before.problem:
            news.problem = _problem(sample.problem)
        if sample.shared_memory != before.shared_memory:
            news.shared_memory = sample.shared_memory
        if sample.processes_problem != before.processes_problem:
            news.processes_unavailable = sample.processes_problem
        processes, known = ([_process(p) for p in one.processes] for one in (sample, before))
        if processes != known:
            news.processes = processes
        return news


_NOTHING_NEW = WireReadings()


def _reading(sample: GpuSample, metric: str) -> float | str:
    """The value as it is written, or the reason for none."""
    value = sample.values.get(metric)
    if value is None:
        return sample.unavailable.get(metric, NOT_READ)
    return _number(value) if math.isfinite(value) else "not a number"


def _number(value: float) -> float:
    """Whole numbers without a point, others to three decimals."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def _problem(problem: Problem | None) -> WireProblem | None:
    return WireProblem(problem.message, problem.hint) if problem else None


def _gpu(identity: GpuIdentity) -> WireGpu:
    return WireGpu(
        identity.index, identity.uuid, identity.name, identity.pci_bus_id, identity.simulated
    )


def _process(process: GpuProcess) -> WireProcess:
    busy = process.utilization_sm
    return WireProcess(
        process.pid,
        process.name,
        process.used_gpu_memory,
        process.type,
        None if busy is None else _number(busy),
    )


def _host(host: HostSample | None, before: HostSample | None) -> WireHost | None:
    """What changed of the machine; all of it where it was not read before."""
    if host is None:
        return None
    now, known = _host_fields(host), _host_fields(before) if before else {}
    return WireHost(**{key: value for key, value in now.items() if value != known.get(key, UNSET)})


def _host_fields(host: HostSample) -> Mapping[str, Any]:
    load = host.load_average
    return {
        "cpu_percent": None if host.cpu_percent is None else _number(host.cpu_percent),
        "memory_used": host.memory_used,
        "memory_total": host.memory_total,
        "swap_used": host.swap_used,
        "swap_total": host.swap_total,
        "load_average": load and tuple(_number(value) for value in load),
        "disks": [WireDisk(disk.mount, disk.free, disk.total) for disk in host.disks],
    }
