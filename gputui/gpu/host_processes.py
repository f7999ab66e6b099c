"""The processes on GPUs as this host sees them: whose they are, what they run, what they use.

Facts that stay are read once for each process; a look each two seconds costs one file read a process.
What others may hold up, a user's name and a command line, nobody waits for: it comes with a later look.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gputui import processes
from gputui.gpu.patience import Patience
from gputui.gpu.sample import HostProcess
from gputui.processes import ProcessIdentity, ProcessStat
from gputui.text import clean_line

LOOK_SECONDS = 2.0
"""Between two looks at a process."""

COMMAND_LENGTH = 4096
"""Characters kept of a command line."""

GPU_DEVICES = ("/dev/nvidia", "/dev/dxg", "/dev/dri/")
"""How the paths of GPUs begin: NVIDIA's own, WSL's, and those of the kernel's graphics."""

_PROC = Path("/proc")
_FIRST_CPU_SECONDS = 0.2  # a new process has its first CPU % so soon
_STRANGER_SECONDS = 10.0  # before a process that had no GPU open is asked again
_SLACK_SECONDS = 0.05  # a look due with a sample is not put off because that came a little early
_INITIAL_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO, linux/proc_ns.h
_ENDED = " (ended)"  # a zombie: its parent has not noticed yet


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A process that is here for certain: its name, cleaned, and all that can be seen of it."""

    name: str
    parent: int
    host: HostProcess


@dataclass(slots=True)
class _Known:
    """What was seen of a pid: nothing where ``process`` is None, and then when to look again."""

    process: LocalProcess | None
    looked_at: float
    due: float
    stat: ProcessStat | None = None

    def is_of(self, stat: ProcessStat) -> bool:
        """Whether it is that process, and runs the program that it ran."""
        old = self.stat
        return old is not None and (old.start_ticks, old.name) == (stat.start_ticks, stat.name)


class HostProcesses:
    """Looks at processes by pid; one thread uses it. ``clock`` gives seconds.

    ``is_here`` tells whether the process that has a pid here is the one that is meant by it; it is
    asked once for each process, and again after ten seconds where the answer is no.
    """

    def __init__(
        self,
        is_here: Callable[[int], bool] = lambda _pid: True,
        *,
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[int], ProcessStat | None] = processes.look,
    ) -> None:
        self._is_here = is_here
        self._clock = clock
        self._look = look
        self._known: dict[int, _Known] = {}
        self._users = _Users()
        self._command_lines: Patience[tuple[str, ...]] = Patience()
        self._boot_id = processes.boot_id()

    def look(self, pids: Collection[int]) -> Mapping[int, LocalProcess]:
        """Those of ``pids`` that are here, at most LOOK_SECONDS old; the others are forgotten."""
        now = self._clock()
        self._known = {pid: known for pid, known in self._known.items() if pid in pids}
        for pid in pids:
            known = self._known.get(pid)
            if known is None or now >= known.due:
                self._known[pid] = self._seen(pid, known, now)
        return {pid: k.process for pid, k in self._known.items() if k.process is not None}

    def _seen(self, pid: int, before: _Known | None, now: float) -> _Known:
        stat = self._look(pid)
        if stat is None:
            return _Known(None, now, now + LOOK_SECONDS - _SLACK_SECONDS)
        if before is None or before.process is None or not before.is_of(stat):
            process = self._met(pid, stat)
            wait = _FIRST_CPU_SECONDS if process else _STRANGER_SECONDS
            return _Known(process, now, now + wait, stat)
        process = self._used(before, before.process, stat, now)
        return _Known(process, now, now + LOOK_SECONDS - _SLACK_SECONDS, stat)

    def _met(self, pid: int, stat: ProcessStat) -> LocalProcess | None:
        """What stays of a process; None where it is not meant, or ended while it was looked at."""
        if not self._is_here(pid):
            return None
        uid, arguments = real_uid(pid), self._arguments(pid, stat)
        again = self._look(pid)
        if uid is None or again is None or again.start_ticks != stat.start_ticks:
            return None
        name = _name(stat.name, arguments)
        host = HostProcess(
            identity=ProcessIdentity(pid, stat.start_ticks, self._boot_id),
            user=self._users.name(uid),
            command=_command(name, arguments) + (_ENDED if stat.ended else ""),
            started_at=processes.started_at(stat.start_ticks),
            own=uid == own_uid(),
            memory=stat.memory,
        )
        return LocalProcess(name, stat.parent, host)

    def _arguments(self, pid: int, stat: ProcessStat) -> tuple[str, ...]:
        """Its command line, () while that is not known: a process whose memory is locked, by its own
        exit for one, keeps whoever reads it waiting."""
        key = (pid, stat.start_ticks, stat.name)
        return self._command_lines.ask(key, lambda: command_line(pid)) or ()

    def _used(
        self, before: _Known, process: LocalProcess, stat: ProcessStat, now: float
    ) -> LocalProcess:
        """The process with what it uses now; its CPU % is that since the look ``before``."""
        assert before.stat is not None  # noqa: S101 - is_of has said so
        used, elapsed = stat.cpu_seconds - before.stat.cpu_seconds, now - before.looked_at
        cpu = max(0.0, 100 * used / elapsed) if elapsed > 0 else None
        name, command = process.name, process.host.command
        pid = process.host.identity.pid
        if command.startswith("[") and (arguments := self._arguments(pid, stat)):
            name = _name(stat.name, arguments)  # it had none yet: it was in the middle of exec
            command = _command(name, arguments)
        if stat.ended and not command.endswith(_ENDED):
            command += _ENDED
        user = self._users.renamed(process.host.user)
        host = replace(
            process.host, user=user, memory=stat.memory, cpu_percent=cpu, command=command
        )
        return LocalProcess(name, stat.parent, host)


class _Users:
    """Names of users: each is asked for once, since a directory service may have to answer; until it
    does, and where there is none, the number stands for the name."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._lookups: Patience[str] = Patience()

    def name(self, uid: int) -> str:
        if uid not in self._names:
            name = self._lookups.ask(uid, lambda: _user_name(uid))
            if name is None:
                return str(uid)
            self._names[uid] = name
        return self._names[uid]

    def renamed(self, user: str) -> str:
        """The name of a user whose number was all that was known before."""
        return self.name(int(user)) if user.isdecimal() else user


def _user_name(uid: int) -> str:
    import pwd

    with contextlib.suppress(KeyError, OSError):
        return clean_line(pwd.getpwuid(uid).pw_name, 32)
    return str(uid)  # a container's user, for one, has no name outside of it


def own_uid() -> int:
    """The real user id of gputui."""
    return os.getuid()


def real_uid(pid: int) -> int | None:
    """The real user id of a process, None where it is gone or hidden.

    Not the owner of /proc/PID: that is root for a process that may not be dumped.
    """
    try:
        with (_PROC / str(pid) / "status").open("rb") as file:
            for line in file:
                if line.startswith(b"Uid:"):
                    return int(line.split()[1])
    except OSError:
        return _uid_by_psutil(pid)
    return None


def _uid_by_psutil(pid: int) -> int | None:
    if _PROC.joinpath("self").exists():
        return None
    import psutil

    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).uids().real)
    return None


def command_line(pid: int) -> tuple[str, ...]:
    """The arguments of a process, not cleaned; () for a kernel thread, a zombie, or one that hides
    them. A long one is cut."""
    try:
        with (_PROC / str(pid) / "cmdline").open("rb") as file:
            text = file.read(8 * COMMAND_LENGTH)
    except OSError:
        return ()
    return tuple(text.rstrip(b"\0").decode(errors="replace").split("\0")) if text else ()


def _name(kernel_name: str, arguments: tuple[str, ...]) -> str:
    """The executable's name; the kernel cuts it at 15 characters, the command line may know more."""
    longer = Path(arguments[0]).name if arguments else ""
    if len(kernel_name) >= 15 and longer.startswith(kernel_name):
        return clean_line(longer)
    return clean_line(kernel_name)


def _command(name: str, arguments: tuple[str, ...]) -> str:
    """The command line on one line, secrets hidden, quoted where an argument holds blanks.

    A kernel thread, and whoever has no arguments, is its name in brackets, as ps writes it. A single
    argument is often a title that a server gives itself (``nginx: worker process``): not quoted.
    """
    from gputui.redaction import redact_arguments

    shown = redact_arguments(arguments)
    if not any(argument.strip() for argument in shown):
        return f"[{name}]"
    if len(shown) > 1:
        shown = [shlex.quote(word) if _quoted(word) else word for word in shown]
    return clean_line(" ".join(shown), COMMAND_LENGTH)


def _quoted(argument: str) -> bool:
    return not argument or any(c.isspace() or c in "\"'" for c in argument)


def is_local(namespaced: bool, opens_gpu: Callable[[], bool]) -> bool:
    """Whether the process that has NVML's pid here is the one that NVML means.

    NVML may give the host's pids inside a container, whose own pids are others: one that is there
    by coincidence must not be taken for the one on the GPU. So in a pid namespace of our own it has
    to hold a GPU open. On the host itself a pid is what it says.
    """
    return not namespaced or opens_gpu()


def nvml_pid_is_local(pid: int) -> bool:
    """``is_local`` with the facts of now."""
    return is_local(in_pid_namespace(), lambda: opens_gpu(pid))


def in_pid_namespace() -> bool:
    """Whether gputui runs in a pid namespace of its own; True where that cannot be told."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()) != _INITIAL_NAMESPACE
    except OSError:
        return True


def opens_gpu(pid: int, devices: tuple[str, ...] = GPU_DEVICES) -> bool:
    """Whether a process is seen to hold a GPU open: a file whose path begins with one of ``devices``.

    Its user and root alone can see that.
    """
    folder = f"/proc/{pid}/fd"
    try:
        with os.scandir(folder) as entries:
            return any(_links_to(f"{folder}/{entry.name}", devices) for entry in entries)
    except OSError:
        return False


def _links_to(link: str, beginnings: tuple[str, ...]) -> bool:
    with contextlib.suppress(OSError):
        return str(Path(link).readlink()).startswith(beginnings)
    return False
