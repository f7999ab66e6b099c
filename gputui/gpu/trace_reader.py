"""Reading a trace, line by line in constant memory; its form is in trace.py."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import UNSET, DecodeError
from msgspec.json import Decoder
from msgspec.structs import asdict

from gputui.errors import GputuiError
from gputui.gpu.metrics import METRICS, METRICS_BY_NAME
from gputui.gpu.sample import GpuProcess, GpuSample, Problem, Snapshot
from gputui.gpu.trace import (
    TRACE_VERSION,
    Header,
    WireGpu,
    WireHost,
    WireProblem,
    WireProcess,
    WireReadings,
    WireSnapshot,
)
from gputui.host import Disk, HostSample
from gputui.identity import GpuIdentity
from gputui.text import clean_line

LONGEST_LINE = 1 << 20
"""Bytes. A first line for 256 GPUs has a tenth of it."""

NOT_RECORDED = "not recorded"
"""The reason of a metric that the trace never speaks of."""

Unpacker = Any
"""What zlib.decompressobj gives; it has no name."""

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 14
_PIECE = 1 << 16  # of what a chunk unpacks to, which can be a thousand times as much
_HEADER = Decoder(Header)
_SNAPSHOT = Decoder(WireSnapshot)
_NOTHING_NEW = WireReadings()


def read_trace(path: Path, source: str | None = None) -> Iterator[Snapshot]:
    """The snapshots in the trace at ``path``, one by one, their texts cleaned.

    ``source`` names them; None: as recorded. A trace that breaks off ends there (a recording may have
    been killed). Raises GputuiError, after the snapshots before, for whatever else is no trace: it
    names file and line.
    """
    lines = _lines(path)
    header = _header(path, next(lines, b""))
    decoder = TraceDecoder(clean_line(header.source) if source is None else source)
    count = 0
    for count, line in enumerate(lines):
        try:
            snapshot = decoder.snapshot(_SNAPSHOT.decode(line))
        except (DecodeError, ValueError, RecursionError) as error:
            if line.endswith(b"\n"):
                raise _damaged(path, count + 2, str(error)) from error
            break  # half a last line
        yield snapshot
        count += 1
    if not count:
        raise GputuiError(f"{path}: no snapshot in it", "Record one, or use --source simulated.")


class TraceDecoder:
    """Lines to snapshots. A trace may come from anyone: its texts pass the cleaning, its metrics the
    table."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._driver_version: str | None = None
        self._cuda_version: str | None = None
        self._problem: Problem | None = None
        self._host: HostSample | None = None
        self._gpus: list[_GpuDecoder] = []

    def snapshot(self, line: WireSnapshot) -> Snapshot:
        """The next snapshot. Raises ValueError for a line that contradicts itself."""
        if line.driver_version is not UNSET:
            self._driver_version = line.driver_version and clean_line(line.driver_version)
        if line.cuda_version is not UNSET:
            self._cuda_version = line.cuda_version and clean_line(line.cuda_version)
        if line.problem is not UNSET:
            self._problem = _problem(line.problem)
        if line.host is not UNSET:
            self._host = _host(line.host, self._host) if line.host else None
        if line.gpus is not UNSET:
            self._gpus = [_GpuDecoder(gpu) for gpu in line.gpus]
        if line.readings:
            self._take(line.readings)
        return Snapshot(
            self._source,
            line.taken_at,
            tuple([gpu.sample for gpu in self._gpus]),
            self._driver_version,
            self._problem,
            self._cuda_version,
            self._host,
        )

    def _take(self, readings: Sequence[WireReadings]) -> None:
        if len(readings) != len(self._gpus):
            raise ValueError(f"readings of {len(readings)} GPUs, where {len(self._gpus)} are named")
        for gpu, news in zip(self._gpus, readings, strict=True):
            gpu.take(news)


class _GpuDecoder:
    """What is known of one GPU; ``sample`` says it."""

    def __init__(self, names: WireGpu) -> None:
        identity = GpuIdentity(
            names.index,
            clean_line(names.uuid),
            clean_line(names.name),
            clean_line(names.pci_bus_id),
            names.simulated,
        )
        missing = {metric.name: NOT_RECORDED for metric in METRICS}
        self.sample = GpuSample(identity, {}, missing)

    def take(self, news: WireReadings) -> None:
        before = self.sample
        values, missing = before.values, before.unavailable
        if news.unavailable or not news.values.keys() <= values.keys():
            values, missing = _moved(values, missing, news)
        elif news.values:
            values = {**values, **news.values}
        elif news == _NOTHING_NEW:
            return
        why = news.processes_unavailable
        self.sample = GpuSample(
            before.identity,
            values,
            missing,
            before.processes if news.processes is UNSET else _processes(news.processes),
            before.problem if news.problem is UNSET else _problem(news.problem),
            before.shared_memory if news.shared_memory is UNSET else news.shared_memory,
            before.processes_problem if why is UNSET else why and clean_line(why),
        )


def _moved(
    values: Mapping[str, float], missing: Mapping[str, str], news: WireReadings
) -> tuple[dict[str, float], dict[str, str]]:
    """Values and reasons, after some metrics went from the one to the other."""
    values, missing = dict(values), dict(missing)
    for name, value in news.values.items():
        if name in METRICS_BY_NAME:
            values[name] = value
            missing.pop(name, None)
    for name, reason in news.unavailable.items():
        if name in METRICS_BY_NAME:
            missing[name] = clean_line(reason)
            values.pop(name, None)
    return values, missing


def _problem(problem: WireProblem | None) -> Problem | None:
    return Problem(clean_line(problem.message), clean_line(problem.hint)) if problem else None


def _processes(processes: Iterable[WireProcess]) -> tuple[GpuProcess, ...]:
    return tuple(
        GpuProcess(p.pid, clean_line(p.name), p.used_gpu_memory, p.type, p.utilization_sm)
        for p in processes
    )


def _host(news: WireHost, before: HostSample | None) -> HostSample:
    said = {key: value for key, value in asdict(news).items() if value is not UNSET}
    if "disks" in said:
        said["disks"] = tuple(
            Disk(clean_line(disk.mount), disk.free, disk.total) for disk in said["disks"]
        )
    return replace(before or HostSample(), **said)


def _header(path: Path, line: bytes) -> Header:
    try:
        header = _HEADER.decode(line)
    except (DecodeError, UnicodeDecodeError):
        raise GputuiError(
            f"{path}: line 1: not a gputui trace", "Record one with gputui record FILE."
        ) from None
    if header.gputui_trace != TRACE_VERSION:
        raise GputuiError(
            f"{path}: line 1: a trace of version {header.gputui_trace}; "
            f"this gputui reads {TRACE_VERSION}",
            "Use the gputui that recorded it, or a newer one.",
        )
    return header


def _damaged(path: Path, number: int, reason: str) -> GputuiError:
    return GputuiError(
        f"{path}: line {number}: {clean_line(reason)}", "The trace is damaged from there on."
    )


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of the file with their ends; the last may have none. Raises GputuiError."""
    number, rest = 1, b""
    try:
        with path.open("rb") as file:
            for piece in _pieces(file):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line + b"\n"
                    number += 1
                if len(rest) > LONGEST_LINE:
                    raise _damaged(path, number, "the line is too long")
    except zlib.error as error:
        raise _damaged(path, number, f"the compressed data are damaged ({error})") from error
    except OSError as error:
        raise GputuiError(f"{path}: {error.strerror or error}") from error
    if rest:
        yield rest


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """What the file holds, unpacked where it is packed, in pieces of bounded size."""
    chunk = file.read(_CHUNK)
    unpacker = zlib.decompressobj(wbits=31) if chunk.startswith(_GZIP) else None
    while chunk:
        if unpacker is None:
            yield chunk
        else:
            unpacker = yield from _unpacked(unpacker, chunk)
        chunk = file.read(_CHUNK)


def _unpacked(unpacker: Unpacker, chunk: bytes) -> Generator[bytes, None, Unpacker]:
    """What a chunk unpacks to; the unpacker for the next one. Raises zlib.error where the data are
    damaged, after what was before that."""
    while chunk:
        here = unpacker.copy()
        try:
            piece = unpacker.decompress(chunk, _PIECE)
        except zlib.error:
            yield from _up_to_damage(here, chunk)
            raise
        yield piece
        chunk = unpacker.unconsumed_tail
        if unpacker.eof:  # a file may be several ones behind each other
            chunk, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
    return unpacker


def _up_to_damage(unpacker: Unpacker, chunk: bytes) -> Iterator[bytes]:
    for at in range(len(chunk)):
        try:
            yield unpacker.decompress(chunk[at : at + 1], _PIECE)
        except zlib.error:
            return
