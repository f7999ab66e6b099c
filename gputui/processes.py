"""Operating-system processes: who one is for certain, and signalling it and no other.

A pid alone names nobody: pids are reused. A process is known by pid, start time and boot, one of our
own servers also by a marker in its environment; all are looked at again right before every signal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from gputui.errors import GputuiError

_LOOKS, _LOOK_SECONDS = 20, 0.01
_PROC = Path("/proc")
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What this process, or the system, is short of for a moment: it says nothing of the process looked at."""
_HAS_PROC = (_PROC / "self" / "stat").exists()


class Life(Enum):
    """What became of a recorded process."""

    ALIVE = "alive"
    DEAD = "dead"  # gone, or a zombie
    STRANGER = "stranger"  # the pid is somebody else's now
    OTHER_BOOT = "other boot"  # recorded before the machine was booted


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Who a process is. ``start_ticks`` is immune to clock changes: field 22 of /proc/PID/stat
    (clock ticks after boot, proc_pid_stat(5)); milliseconds of Unix time where there is no /proc.
    ``boot_id`` is "" where the system has none. ``marker`` is a ``VARIABLE=VALUE`` that its environment
    must hold, "" where nothing is asked of it.
    """

    pid: int
    start_ticks: int
    boot_id: str
    marker: str = ""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What one cheap look at a process shows.

    ``name`` is the kernel's (at most 15 characters on Linux), not cleaned. ``cpu_seconds`` were used
    since it began, ``memory`` is resident bytes. ``ended``: gone but for its last word, a zombie.
    """

    start_ticks: int
    parent: int
    name: str
    cpu_seconds: float
    memory: int
    ended: bool


class NotOursError(GputuiError):
    """The process to be signalled is gone, or is not the one that was started."""


def boot_id() -> str:
    """The kernel's id of this boot, "" where it has none. Raises OSError where it cannot be read now."""
    try:
        return _read_boot_id()
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return ""


@cache
def _read_boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int, marker: str = "") -> ProcessIdentity:
    """The identity of the process that has this pid now. Raises ProcessLookupError where there is none."""
    found = _look(pid)
    if found is None:
        raise ProcessLookupError(pid)
    return ProcessIdentity(pid, found.start_ticks, boot_id(), marker)


def life(identity: ProcessIdentity) -> Life:
    """What became of the process with this identity.

    Where it cannot be looked at now (this process has as many files open as it may), it counts as alive:
    nothing is forgotten for that.
    """
    try:
        return _life(identity)
    except OSError:
        return Life.ALIVE


def _life(identity: ProcessIdentity) -> Life:
    if identity.boot_id != boot_id():
        return Life.OTHER_BOOT
    found = _look(identity.pid)
    if found is None:
        return Life.DEAD
    if found.start_ticks != identity.start_ticks:
        return Life.STRANGER
    if found.dead:
        return Life.DEAD
    # No environment at all counts too: a process has none for a moment in exec, and for as long as
    # it takes to end, which with a GPU can be seconds. A signal asks for more, see send_signal.
    if _marked(identity.pid, identity.marker) is not False:
        return Life.ALIVE
    if _look(identity.pid) != found:  # it ended while we looked
        return _life(identity)
    return Life.STRANGER


def matches(identity: ProcessIdentity) -> bool:
    """Whether the process lives and is the one that was started; a zombie does not."""
    return life(identity) is Life.ALIVE


def exit_code(identity: ProcessIdentity) -> int | None:
    """The exit code of a zombie with this identity, negative for a signal; None where not known.

    Read from the last field of /proc/PID/stat, so any session of the user sees it until the parent
    reaps the process.
    """
    with contextlib.suppress(OSError):
        fields = _stat_fields(identity.pid)
        if fields is None or len(fields) < 50 or fields[0] != "Z":
            return None
        if int(fields[19]) == identity.start_ticks and identity.boot_id == boot_id():
            return os.waitstatus_to_exitcode(int(fields[49]))
    return None


def resident_bytes(pid: int) -> int | None:
    """Resident host memory of a process in bytes, None where not known."""
    if _HAS_PROC:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGESIZE")
        return None
    import psutil

    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return None


def environment(pid: int) -> Mapping[str, str] | None:
    """The environment that a process of one's own was started with; None where it cannot be read."""
    if not _HAS_PROC:
        import psutil

        try:
            return psutil.Process(pid).environ()
        except psutil.Error:
            return None
    try:
        content = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    pairs = (part.decode(errors="replace").partition("=") for part in content.split(b"\0") if part)
    return {name: value for name, _, value in pairs}


def read_bytes(pid: int) -> int | None:
    """Bytes that a process has read so far, None where not known.

    By calls of read(2) (rchar), or from the disk (read_bytes, mapped files included), whichever is more:
    proc_pid_io(5).
    """
    try:
        text = (_PROC / str(pid) / "io").read_text()
    except OSError:
        return None
    lines = dict(line.partition(": ")[::2] for line in text.splitlines())
    found = [int(lines[key]) for key in ("rchar", "read_bytes") if lines.get(key, "").isdecimal()]
    return max(found, default=None)


def look(pid: int, proc: Path = _PROC) -> ProcessStat | None:
    """The process that has this pid now, None where there is none or it may not be looked at.

    One file read on Linux (proc_pid_stat(5)), so that hundreds can be looked at every two seconds.
    ``proc`` is where processes are found.
    """
    if not _HAS_PROC:
        return _look_by_psutil(pid)
    try:
        found = _stat(pid, proc)
    except OSError:
        return None
    if found is None:
        return None
    name, fields = found
    return ProcessStat(
        start_ticks=int(fields[19]),
        parent=int(fields[1]),
        name=name,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        memory=int(fields[21]) * os.sysconf("SC_PAGESIZE"),
        ended=_ended(fields),
    )


def started_at(start_ticks: int) -> float:
    """Unix time in seconds at which a process with these ``start_ticks`` began."""
    if not _HAS_PROC:
        return start_ticks / 1000
    up = time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - up


def _look_by_psutil(pid: int) -> ProcessStat | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return ProcessStat(
                start_ticks=round(process.create_time() * 1000),
                parent=process.ppid(),
                name=process.name(),
                cpu_seconds=times.user + times.system,
                memory=process.memory_info().rss,
                ended=process.status() == psutil.STATUS_ZOMBIE,
            )
    except psutil.Error:
        return None


def send_signal(identity: ProcessIdentity, number: signal.Signals) -> None:
    """Signal exactly this process. Raises NotOursError rather than signal another one.

    One that has no environment left is ending already, and is left to it. With pidfd (Linux 5.3)
    nothing can take the pid's place between the check and the signal.
    """
    try:
        handle = _open_handle(identity.pid)
    except ProcessLookupError:
        raise _not_ours(identity) from None
    try:
        ours = _surely_ours(identity)
        if ours is False:
            raise _not_ours(identity)
        if ours is None:
            return
        if handle is None:
            os.kill(identity.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        raise _not_ours(identity) from None
    finally:
        if handle is not None:
            os.close(handle)


def _open_handle(pid: int) -> int | None:
    """A pidfd, or None where the system has none. Raises ProcessLookupError."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:  # ENOSYS in old kernels and some sandboxes
        return None


def _not_ours(identity: ProcessIdentity) -> NotOursError:
    return NotOursError(
        f"process {identity.pid} is not the one it was{_words(identity)}; it was left alone"
    )


def _words(identity: ProcessIdentity) -> str:
    return f" ({identity.marker})" if identity.marker else ""


@dataclass(frozen=True, slots=True)
class _Process:
    start_ticks: int
    dead: bool


def _look(pid: int) -> _Process | None:
    """Start time, and whether it is a zombie; None where there is no such process."""
    if _HAS_PROC:
        fields = _stat_fields(pid)
        if fields is None:
            return None
        return _Process(int(fields[19]), _ended(fields))
    import psutil

    try:
        process = psutil.Process(pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return _Process(round(process.create_time() * 1000), zombie)
    except psutil.Error:
        return None


def _ended(fields: Sequence[str]) -> bool:
    """Whether it is a zombie. A process whose first thread has ended is none yet while others end:
    they still hold its sockets and its GPU memory."""
    state, threads = fields[0], int(fields[17])
    return state == "X" or (state == "Z" and threads <= 1)


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from field 3 on."""
    found = _stat(pid)
    return found[1] if found else None


def _stat(pid: int, proc: Path = _PROC) -> tuple[str, list[str]] | None:
    """The name, and /proc/PID/stat after it: the name may hold spaces and parentheses itself.

    None where there is no such process. Raises OSError where that cannot be told.
    """
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return None
    before, _, after = text.rpartition(")")
    fields = after.split()
    return (before.partition("(")[2], fields) if fields else None


def _marked(pid: int, marker: str) -> bool | None:
    """Whether the environment of a process holds the marker; None where it has no environment now
    (in the middle of exec, or ending: empty, or ESRCH from Linux 6.17 on)."""
    if not marker:
        return True
    if not _HAS_PROC:
        import psutil

        try:
            variable, _, value = marker.partition("=")
            return psutil.Process(pid).environ().get(variable) == value
        except psutil.Error:
            return False
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return False
    return marker.encode() in environment.split(b"\0") if environment else None


def _surely_ours(identity: ProcessIdentity) -> bool | None:
    """Whether all facts hold now; None where the process is ending and cannot show its marker, or
    cannot be looked at."""
    for _ in range(_LOOKS):
        if not matches(identity):
            return False
        with contextlib.suppress(OSError):
            marked = _marked(identity.pid, identity.marker)
            if marked is not None:
                return marked
        time.sleep(_LOOK_SECONDS)
    return None
