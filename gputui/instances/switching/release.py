"""Waiting until the GPU memory of a server that ended is free again.

A process is gone some time before the driver has given back what it held; a server that is loaded in
between fails for want of memory (llama-swap #97). So what NVML says before the end is held against
what it says after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gputui.identity import GpuIdentity, GpuMemory, MemoryReader, gpu_label
from gputui.text import size

SECONDS = 30.0
"""How long it is waited for at most."""
_STEP = 0.15
_SLACK = 64 * 2**20  # bytes by which two readings may differ
_SHARE = 0.1  # of what was held that may still be missing
_STILL_SECONDS = 2.0  # for how long nothing moves where nobody says what was held


@dataclass(slots=True)
class _Gpu:
    """One GPU that a server held memory of. ``held`` is None where the driver did not say how much,
    ``before`` what was used beside all that the processes held."""

    uuid: str
    held: float | None
    used: float
    before: float
    last: float = 0.0
    still_since: float | None = None

    @property
    def words(self) -> str:
        return size(self.held) if self.held is not None else "the memory"


@dataclass(slots=True)
class Holding:
    """What a running server holds of the GPUs' memory; empty where that is not known, or nothing."""

    pid: int
    gpus: list[_Gpu] = field(default_factory=list)

    def words(self, known: Sequence[GpuIdentity]) -> str:
        """``54.0 GiB on GPU 0, 20.1 GiB on GPU 1``: what is not free yet."""
        return ", ".join(f"{gpu.words} on {gpu_label(gpu.uuid, known)}" for gpu in self.gpus)

    def take(self, memory: Mapping[str, GpuMemory], now: float) -> None:
        """Forget the GPUs that are free again by this reading, or whose memory is not known any more."""
        self.gpus = [gpu for gpu in self.gpus if _held_still(gpu, self.pid, memory, now)]


def holding(
    memory: Mapping[str, GpuMemory], pid: int, uuids: Sequence[str], simulated: Sequence[str] = ()
) -> Holding:
    """What the process ``pid`` holds, to be read while it lives; ``uuids`` are the GPUs it is pinned to.

    Simulated GPUs and those that share the host's memory give it back with the process.
    """
    found = Holding(pid)
    for uuid, gpu in memory.items():
        pids = gpu.by_pid or {}
        if gpu.shared or gpu.used is None or uuid in simulated:
            continue
        if uuid in uuids or pid in pids:
            found.gpus.append(_Gpu(uuid, pids.get(pid), gpu.used, gpu.used - _listed(gpu)))
    return found


async def released(
    reader: MemoryReader,
    held: Sequence[Holding],
    tell: Callable[[], Awaitable[None]],
    timeout: float,  # noqa: ASYNC109 - it is no failure
) -> bool:
    """Wait until all of ``held`` is free again; False where it is not after ``timeout`` seconds.

    ``held`` then says what is not. ``tell`` is called once it is known that there is something to wait
    for. Readings from before the call do not count; where nobody knows any more, nothing is waited for.
    """
    began, wall = time.monotonic(), time.time()
    told = False
    while any(one.gpus for one in held):
        memory = await asyncio.to_thread(reader)
        fresh = {uuid: gpu for uuid, gpu in memory.items() if gpu.taken_at >= wall}
        for one in held:
            one.take(fresh, time.monotonic())
        if not memory or not any(one.gpus for one in held):
            return True
        if not told:
            told = True
            await tell()
        if time.monotonic() - began >= timeout:
            return False
        await asyncio.sleep(_STEP)
    return True


def _held_still(gpu: _Gpu, pid: int, memory: Mapping[str, GpuMemory], now: float) -> bool:
    reading = memory.get(gpu.uuid)
    if reading is None:
        return True  # no reading since the end yet
    if reading.used is None:
        return False
    if pid in (reading.by_pid or {}):
        return True
    if gpu.held is not None:
        # Used, but by none of the processes that are listed: as before, once it is given back. So the
        # growth of another process does not count.
        left = reading.used - _listed(reading) - gpu.before
        if reading.by_pid is None:
            left = reading.used - (gpu.used - gpu.held)
        return left > max(_SLACK, gpu.held * _SHARE)
    if gpu.still_since is None or abs(reading.used - gpu.last) > _SLACK:
        gpu.last, gpu.still_since = reading.used, now
    fallen = gpu.used - reading.used > _SLACK
    return now - gpu.still_since < (_STILL_SECONDS / 4 if fallen else _STILL_SECONDS)


def _listed(gpu: GpuMemory) -> float:
    """What the processes of the list hold together, in bytes."""
    return sum(held for held in (gpu.by_pid or {}).values() if held is not None)
