"""What the kernel knows of a death: whether it killed for want of memory, and what the GPU's driver said.

A kill by the kernel and one by hand look the same from outside: SIGKILL. Two witnesses: the kernel's count
of such kills (``oom_kill`` in /proc/vmstat, of all cgroups together, Linux 4.13), and its log, which names
the pid, where it may be read.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gputui.llama.diagnosis import Killer
from gputui.text import clean_line

_VMSTAT = Path("/proc/vmstat")
_KMSG = Path("/dev/kmsg")
_JOURNAL = ("journalctl", "-k", "-b", "-q", "--no-pager", "-o", "cat", "-n", "20000")
_JOURNAL_SECONDS = 2.0
_MOST_MESSAGES = 20_000


def kills(vmstat: Path = _VMSTAT) -> int | None:
    """How many processes the kernel has killed for want of memory since the boot; None not known."""
    with contextlib.suppress(OSError, ValueError):
        for line in vmstat.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None


def who_killed(
    pid: int, before: int | None, vmstat: Path = _VMSTAT, log: Iterator[str] | None = None
) -> Killer:
    """Who killed process ``pid``, given the count ``before`` it began.

    ``log``: the kernel's messages; None reads them where the count leaves a doubt. May block for 2 s.
    """
    now = kills(vmstat)
    if before is not None and now is not None and now <= before:
        return Killer.OTHER
    pattern = re.compile(rf"Killed process {pid} \(")  # mm/oom_kill.c, __oom_kill_process
    if any(pattern.search(line) for line in (kernel_log() if log is None else log)):
        return Killer.KERNEL
    return Killer.UNKNOWN if before is None or now is None else Killer.LIKELY_KERNEL


def xid(pid: int, log: Iterator[str] | None = None) -> str:
    """The newest error that NVIDIA's driver logged for a process, cleaned; "" where none is known.

    ``NVRM: Xid (PCI:0000:01:00): 31, pid=1234, name=llama-server, Ch 00000008, intr …``
    """
    pattern = re.compile(rf"NVRM: Xid .*\bpid='?{pid}\b")
    found = [line for line in (kernel_log() if log is None else log) if pattern.search(line)]
    return clean_line(found[-1].rpartition("NVRM: ")[2], 200) if found else ""


def kernel_log(kmsg: Path = _KMSG) -> Iterator[str]:
    """The kernel's messages since the boot, as far as they may be read."""
    try:
        yield from _messages(kmsg)
    except OSError:
        yield from _journal()


def _messages(kmsg: Path) -> Iterator[str]:
    """One read is one message (Documentation/ABI/testing/dev-kmsg); at the end it would block."""
    handle = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(_MOST_MESSAGES):
            try:
                message = os.read(handle, 8192)
            except BlockingIOError:
                return
            except BrokenPipeError:  # overwritten meanwhile: the next read goes on
                continue
            if not message:
                return
            yield message.decode(errors="replace")
    finally:
        os.close(handle)


def _journal() -> Iterator[str]:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(_JOURNAL, capture_output=True, timeout=_JOURNAL_SECONDS, check=False)
        yield from found.stdout.decode(errors="replace").splitlines()
