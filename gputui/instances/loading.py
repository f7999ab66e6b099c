"""How far a load is: an estimate, as a server prints no progress.

The witnesses are bytes and time. Bytes: how much of the model's files is mapped (resident memory) or read
(``--no-mmap``, direct I/O; proc_pid_io(5)), whichever is more; and what the process holds on its GPUs.
llama.cpp takes all of a GPU's memory for the weights before it copies the first of them
(llama-model.cpp, load_tensors), so that alone says little and counts a tenth. Time: how long the last load
of the same file took; with both, the mean counts. Only a ready server is at 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gputui.errors import GputuiError
from gputui.files import write_file
from gputui.identity import GpuMemory, MemoryReader
from gputui.models.files import model_bytes
from gputui.text import seconds

_ALMOST = 0.99
_KEPT = 200
_GPU_SHARE = 0.1
_GPU_SECONDS = 0.25
"""Seconds for which a reading of the GPUs' memory is good, and that a look waits for one."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a process holds of its model so far, in bytes; None is not known.

    ``resident``: in host memory. ``read``: from files, or the disk. ``on_gpus``: on the GPUs it is pinned
    to, None where it is pinned to none.
    """

    resident: int | None = None
    read: int | None = None
    on_gpus: float | None = None

    def part_of(self, size: int | None) -> float | None:
        """The part of ``size`` bytes that is loaded, 0 to 1; None where nothing is known."""
        if not size:
            return None
        host = [min(known / size, 1.0) for known in (self.resident, self.read) if known is not None]
        if self.on_gpus is None:
            return max(host, default=None)
        gpus = min(self.on_gpus / size, 1.0)
        return (1 - _GPU_SHARE) * max(host) + _GPU_SHARE * gpus if host else gpus


def estimate(
    loaded: Loaded, size: int | None, elapsed: float, last_seconds: float | None
) -> float | None:
    """The part of a load that is done, 0 to 0.99; None where nothing is known.

    ``size`` of the model in bytes, ``elapsed`` and ``last_seconds`` (the last load's) in seconds.
    """
    witnesses = [part for part in (loaded.part_of(size),) if part is not None]
    if last_seconds:
        witnesses.append(min(max(elapsed, 0.0) / last_seconds, 1.0))
    if not witnesses:
        return None
    return min(sum(witnesses) / len(witnesses), _ALMOST)


def seconds_left(elapsed: float, last_seconds: float | None) -> float | None:
    """What a load that takes as long as the last one still needs; 0 where it takes longer, None where
    none is known."""
    return None if last_seconds is None else max(0.0, last_seconds - max(elapsed, 0.0))


def load_note(elapsed: float, last_seconds: float | None) -> str:
    """What the last load says of this one, in words; "" where none is known."""
    left = seconds_left(elapsed, last_seconds)
    if left is None or last_seconds is None:
        return ""
    if left > 0:
        return f"about {seconds(left)} left, by its last load"
    return f"has loaded for {seconds(elapsed)}: longer than last time ({seconds(last_seconds)})"


class GpuBytes:
    """What processes hold on GPUs, asked of a reader that may block. Used by one event loop."""

    def __init__(self, read: MemoryReader) -> None:
        self._read = read
        self._known: Mapping[str, GpuMemory] = {}
        self._known_at = 0.0
        self._asking: asyncio.Task[Mapping[str, GpuMemory]] | None = None

    async def held(self, pid: int, uuids: Collection[str]) -> float | None:
        """Bytes that a process holds on these GPUs together; None where that is not known."""
        if not uuids:
            return None
        await self._refresh()
        held = [memory.by_pid for uuid, memory in self._known.items() if uuid in uuids]
        known = [on[pid] for on in held if on is not None and pid in on]
        bytes_known = [value for value in known if value is not None]
        return sum(bytes_known) if bytes_known else None

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _refresh(self) -> None:
        """Ask anew where the last answer is old; a driver that hangs is asked once."""
        if self._asking is None:
            if time.monotonic() - self._known_at < _GPU_SECONDS:
                return
            self._asking = asyncio.create_task(asyncio.to_thread(self._read))
        await asyncio.wait({self._asking}, timeout=_GPU_SECONDS)
        if self._asking.done():
            failed = self._asking.cancelled() or self._asking.exception() is not None
            self._known = {} if failed else self._asking.result()
            self._known_at, self._asking = time.monotonic(), None


class Durations:
    """How long the last load of each model took, in seconds, kept in one file.

    For any thread; all methods block on files.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, float] | None = None
        self._lock = threading.Lock()

    def get(self, model: Path) -> float | None:
        """The last load of this very file (path, size), None where there was none."""
        key = _key(model)
        with self._lock:
            return self._read().get(key)

    def put(self, model: Path, seconds: float) -> None:
        """Remember a load; a file that cannot be written costs an estimate, no more."""
        newest = _key(model)
        with self._lock, contextlib.suppress(GputuiError):
            self._known = None  # another session may have written since
            known = {key: value for key, value in self._read().items() if key != newest}
            known[newest] = round(seconds, 2)
            self._known = dict(list(known.items())[-_KEPT:])
            write_file(self._file, msgspec.json.encode(self._known))

    def _read(self) -> Mapping[str, float]:
        if self._known is None:
            try:
                self._known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, float])
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                self._known = {}
        return self._known


def _key(model: Path) -> str:
    return f"{model} {model_bytes(model)}"
