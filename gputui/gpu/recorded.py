"""Traces: snapshots as JSON lines, written and played back. Gzip where the name ends in ``.gz``."""

from __future__ import annotations

import bisect
import gzip
import itertools
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gputui.errors import GputuiError
from gputui.gpu.metrics import METRICS, METRICS_BY_NAME
from gputui.gpu.sample import GpuProcess, GpuSample, Problem, Snapshot
from gputui.identity import GpuIdentity
from gputui.text import clean_line

TRACE_VERSION = 1
"""The number in the header line; another one is refused."""

END_OF_RECORDING = Problem("end of the recording", "The last sample stays.")
"""On every snapshot after the last recorded one."""


class _Header(msgspec.Struct):
    gputui_trace: int


_HEADER = msgspec.json.Decoder(_Header)
_SNAPSHOT = msgspec.json.Decoder(Snapshot)


def write_trace(path: Path, snapshots: Iterable[Snapshot]) -> int:
    """Write ``snapshots`` to ``path`` as they come; returns how many. Raises GputuiError."""
    count = 0
    try:
        with _open(path, "wb") as file:
            file.write(msgspec.json.encode({"gputui_trace": TRACE_VERSION}) + b"\n")
            for snapshot in snapshots:
                file.write(msgspec.json.encode(snapshot) + b"\n")
                count += 1
    except OSError as error:
        raise GputuiError(f"{path}: {error.strerror or error}") from error
    return count


def read_trace(path: Path) -> tuple[Snapshot, ...]:
    """The snapshots in the trace at ``path``, their texts cleaned.

    A last line that broke off is left out (a recording may have been killed). Raises GputuiError
    naming file and line for anything else that is no trace.
    """
    snapshots: list[Snapshot] = []
    for number, line in enumerate(_lines(path), start=1):
        if number == 1:
            _check_header(path, line)
            continue
        try:
            snapshots.append(_cleaned(_SNAPSHOT.decode(line)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if line.endswith(b"\n"):
                raise _bad_line(path, number, str(error)) from error
    if not snapshots:
        raise GputuiError(f"{path}: no snapshot in it", "Record one, or use --source simulated.")
    return tuple(snapshots)


class RecordedSource:
    """Plays a trace: each ``sample`` is the snapshot that is due ``speed`` times as fast as recorded.

    After the end it stays at the last one, with END_OF_RECORDING as its problem, or begins again
    with ``loop``. With ``step`` no clock counts: each ``sample`` is the next snapshot.
    """

    name = "recorded"

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 1.0,
        loop: bool = False,
        step: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshots = read_trace(path)
        start = self._snapshots[0].taken_at
        # A wall clock can be set back while recording; playing goes forward only.
        times = (snapshot.taken_at - start for snapshot in self._snapshots)
        self._offsets = list(itertools.accumulate(times, max))
        self._speed = speed
        self._loop = loop
        self._step = step
        self._clock = clock
        self._began: float | None = None
        self._steps = itertools.count()

    def sample(self) -> Snapshot:
        """The snapshot that is due; the first one at the first call."""
        index = next(self._steps) if self._step else self._due()
        last = len(self._snapshots) - 1
        if self._loop:
            index %= last + 1
        snapshot = replace(self._snapshots[min(index, last)], source=self.name)
        return replace(snapshot, problem=END_OF_RECORDING) if index > last else snapshot

    def close(self) -> None:
        """Nothing is open: the trace was read when it was named."""

    def _due(self) -> int:
        """The index due by the clock; one past the last after the end."""
        now = self._clock()
        if self._began is None:
            self._began = now
        played = (now - self._began) * self._speed
        span = self._offsets[-1] + self._pause()
        if self._loop and span > 0:
            played %= span
        if played >= span > 0:
            return len(self._offsets)
        return bisect.bisect_right(self._offsets, played) - 1

    def _pause(self) -> float:
        """How long the last snapshot stands: as long as one does on average."""
        return self._offsets[-1] / max(1, len(self._offsets) - 1)


def _open(path: Path, mode: str) -> Any:
    return gzip.open(path, mode) if path.name.endswith(".gz") else path.open(mode)


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of the file. A compressed one that breaks off ends there, like any other."""
    try:
        with _open(path, "rb") as file:
            yield from file
    except EOFError:
        return
    except (OSError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise GputuiError(f"{path}: {clean_line(reason)}") from error


def _check_header(path: Path, line: bytes) -> None:
    try:
        version = _HEADER.decode(line).gputui_trace
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise GputuiError(
            f"{path}: line 1: not a gputui trace",
            f'A trace begins with {{"gputui_trace": {TRACE_VERSION}}}.',
        ) from None
    if version != TRACE_VERSION:
        raise GputuiError(
            f"{path}: line 1: a trace of version {version}; this gputui reads {TRACE_VERSION}",
            "Use the gputui that recorded it, or a newer one.",
        )


def _bad_line(path: Path, number: int, reason: str) -> GputuiError:
    return GputuiError(
        f"{path}: line {number}: {clean_line(reason)}", "The trace is damaged from that line on."
    )


def _cleaned(snapshot: Snapshot) -> Snapshot:
    """A trace may come from anyone: its texts pass the cleaning, its metrics the table."""
    return replace(
        snapshot,
        source=clean_line(snapshot.source),
        driver_version=snapshot.driver_version and clean_line(snapshot.driver_version),
        problem=_clean_problem(snapshot.problem),
        gpus=tuple(_clean_gpu(gpu) for gpu in snapshot.gpus),
    )


def _clean_gpu(gpu: GpuSample) -> GpuSample:
    names = gpu.identity
    values = {name: value for name, value in gpu.values.items() if name in METRICS_BY_NAME}
    return replace(
        gpu,
        identity=GpuIdentity(
            names.index,
            clean_line(names.uuid),
            clean_line(names.name),
            clean_line(names.pci_bus_id),
            names.simulated,
        ),
        values=values,
        unavailable=_reasons(values, gpu.unavailable),
        processes=tuple(
            GpuProcess(process.pid, clean_line(process.name), process.used_gpu_memory)
            for process in gpu.processes
        ),
        problem=_clean_problem(gpu.problem),
    )


def _reasons(values: Mapping[str, float], recorded: Mapping[str, str]) -> dict[str, str]:
    missing = (metric.name for metric in METRICS if metric.name not in values)
    return {name: clean_line(recorded.get(name, "not recorded")) for name in missing}


def _clean_problem(problem: Problem | None) -> Problem | None:
    return problem and Problem(clean_line(problem.message), clean_line(problem.hint))
