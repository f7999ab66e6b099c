"""The machine around the GPUs: processor, memory, and room for models."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gputui.text import clean_line

DISK_SECONDS = 30.0
"""Between two looks at the file systems; what is three times as old is not known any more."""

_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system on which models lie: where it is mounted, and its free and whole size in bytes."""

    mount: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class HostSample:
    """The machine at one moment; None is not known. Memory in bytes.

    ``cpu_percent`` is of all cores together. ``memory_used`` is what is not available to a new program.
    ``load_average`` is over 1, 5 and 15 minutes.
    """

    cpu_percent: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    swap_used: int | None = None
    swap_total: int | None = None
    load_average: tuple[float, float, float] | None = None
    disks: tuple[Disk, ...] = ()


class HostReader:
    """Reads this machine; ``folders`` are those in which models lie.

    Called by one thread, and answers at once: processor and memory are read then (some 0.3 ms), while
    daemon threads look at the file systems, one a folder, since a file server that is gone holds who
    asks for good. A file system that does not answer is left out. psutil (30 ms) is imported by a
    daemon thread too, ``delay`` seconds after ``start``; until then nothing is known.
    """

    def __init__(
        self,
        folders: Iterable[Path] = (),
        *,
        delay: float = 0.0,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._delay = delay
        self._statvfs = statvfs
        self._clock = clock
        self._stopped = threading.Event()
        self._psutil: Any = None
        self._cpu: tuple[float, float] | None = None
        self._cpu_percent: float | None = None
        self._disks: dict[Path, tuple[float, int, Disk]] = {}

    def start(self) -> HostReader:
        """Begin; once only."""
        calls = [self._load, *(lambda f=folder: self._watch(f) for folder in self._folders)]
        for call in calls:
            threading.Thread(target=call, name="host", daemon=True).start()
        return self

    def stop(self) -> None:
        """End the threads; waits for none."""
        self._stopped.set()

    def __call__(self) -> HostSample | None:
        """The machine now; None before anything is known."""
        if self._psutil is None:
            return None
        used, total = self._memory()
        swap_used, swap_total = self._swap()
        load = None
        with contextlib.suppress(OSError, AttributeError):  # no /proc/loadavg in some sandboxes
            load = os.getloadavg()
        percent = self._percent()
        return HostSample(percent, used, total, swap_used, swap_total, load, self._known_disks())

    def _load(self) -> None:
        self._stopped.wait(self._delay)
        import psutil

        # It warns on a standard error stream that is the user's screen.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="psutil")
        with contextlib.suppress(OSError, psutil.Error):
            self._cpu = _times(psutil)
        self._psutil = psutil

    def _percent(self) -> float | None:
        """Of the time since the last call; the last answer where no time passed."""
        with contextlib.suppress(OSError, self._psutil.Error):
            before, now = self._cpu, _times(self._psutil)
            if before is not None and now[1] > before[1]:
                share = (now[0] - before[0]) / (now[1] - before[1])
                self._cpu_percent = 100 * min(1.0, max(0.0, share))
            self._cpu = now
            return self._cpu_percent
        return None

    def _memory(self) -> tuple[int | None, int | None]:
        with contextlib.suppress(OSError, self._psutil.Error):
            memory = self._psutil.virtual_memory()
            return memory.total - memory.available, memory.total
        return None, None

    def _swap(self) -> tuple[int | None, int | None]:
        with contextlib.suppress(OSError, self._psutil.Error):
            swap = self._psutil.swap_memory()
            return swap.used, swap.total
        return None, None

    def _watch(self, folder: Path) -> None:
        self._stopped.wait(self._delay)
        while not self._stopped.is_set():
            with contextlib.suppress(OSError):
                facts = self._statvfs(folder)
                device = folder.stat().st_dev
                size, free = facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
                self._disks[folder] = self._clock(), device, Disk(mount_point(folder), free, size)
            self._stopped.wait(DISK_SECONDS)

    def _known_disks(self) -> tuple[Disk, ...]:
        """One for each file system that answered lately."""
        now = self._clock()
        disks = {
            device: disk
            for at, device, disk in list(self._disks.values())
            if now - at <= 3 * DISK_SECONDS
        }
        return tuple(sorted(disks.values(), key=lambda disk: disk.mount))


def available_memory(file: Path = Path("/proc/meminfo")) -> int | None:
    """The bytes of host memory that a new program can have; None where the kernel does not say.

    Pages of files count as available: the kernel gives them up when asked.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _times(psutil: Any) -> tuple[float, float]:
    """Seconds of all cores since the boot: busy, and all. Guests' time is in their host's (psutil)."""
    times = psutil.cpu_times()
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    everything = sum(times) - guests
    return everything - times.idle - getattr(times, "iowait", 0.0), everything


def mount_point(folder: Path) -> str:
    """Where the file system of ``folder`` is mounted, cleaned; the folder where that is not known."""
    real = os.path.realpath(folder)
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return clean_line(real)
    mounts = (_unescaped(line.split(" ")[4]) for line in lines if line.count(" ") > 4)
    holding = [mount for mount in mounts if _within(real, mount)]
    return clean_line(max(holding, key=len, default=real))


def _within(path: str, mount: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")


def _unescaped(field: str) -> str:
    r"""proc_pid_mountinfo(5) writes blanks and the like as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
