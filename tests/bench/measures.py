"""What the kernel knows of a program and its children: processor time, memory, wake-ups."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Spent:
    """What a family of processes has used up to ``at`` (monotonic seconds)."""

    at: float
    cpu_seconds: float
    wakeups: int


@dataclass(frozen=True, slots=True)
class Between:
    """The difference of two of them."""

    seconds: float
    cpu_seconds: float
    wakeups: int

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_seconds / self.seconds

    @property
    def wakeups_per_second(self) -> float:
        """Voluntary context switches: each is a sleep that ended."""
        return self.wakeups / self.seconds


def family(pid: int) -> list[psutil.Process]:
    """The program and its children that run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def spent(pid: int) -> Spent:
    """What the family of ``pid`` used, user and system, its ended and awaited children too."""
    found = family(pid)
    cpu = sum(map(_cpu_seconds, found))
    return Spent(time.monotonic(), cpu, sum(sum(_switches(one.pid)) for one in found))


def between(before: Spent, after: Spent) -> Between:
    """What was used meanwhile. Wake-ups of a thread that ended are lost: never less than none."""
    return Between(
        after.at - before.at,
        after.cpu_seconds - before.cpu_seconds,
        max(0, after.wakeups - before.wakeups),
    )


def pss_mib(pid: int) -> float:
    """The family's memory, what it shares with other programs in shares."""
    total = 0
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / MIB


def _cpu_seconds(process: psutil.Process) -> float:
    """To the nanosecond, by the process's own clock; the times in /proc count hundredths of a second.

    Linux makes a clock's id of a pid so: (~pid << 3) | 2, clock_getcpuclockid(3).
    """
    try:
        own = time.clock_gettime((~process.pid << 3) | 2)
        times = process.cpu_times()
    except (OSError, psutil.NoSuchProcess):
        return 0.0
    return own + times.children_user + times.children_system


def _switches(pid: int) -> Iterator[int]:
    """Voluntary context switches of each thread."""
    for thread in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            for line in thread.read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "voluntary_ctxt_switches":
                    yield int(value)


def machine() -> str:
    """The processor, its cores, the memory."""
    model = "processor unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = " ".join(value.split())
            break
    memory = psutil.virtual_memory().total / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"
