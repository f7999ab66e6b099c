"""What may be done to one's own processes: signal them, read their environment.

Own are the processes of the user who runs gputui. As root too: gputui is run as root to set a power
limit, not to end what others train, so root's own are root's alone.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from gputui import processes
from gputui.errors import GputuiError
from gputui.gpu.host_processes import own_uid, real_uid
from gputui.gpu.sample import HostProcess
from gputui.processes import Life
from gputui.redaction import HIDDEN, redact_variable
from gputui.text import clean_line

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
"""The signals that can be sent, the gentlest first."""

_RECORD = "GPUTUI_RECORD"
"""Our servers carry a copy of their record in it: their command line as JSON, which nobody redacts.
It is ``COPY`` of instances/starting/process.py."""

_NOT_SENT = "Nothing was sent."


def not_own(pid: int, host: HostProcess | None) -> GputuiError:
    """What is said of a process that is none of one's own: a foreign one (``host`` is None), or
    another user's."""
    if host is None:
        return GputuiError(
            f"process {pid} is not visible here",
            "It runs outside of this container, or in another one: look after it from there.",
        )
    return GputuiError(
        f"process {pid} belongs to {host.user or 'another user'}",
        "gputui touches only the processes of the user who runs it.",
    )


def refusal(host: HostProcess) -> GputuiError | None:
    """Why the process is not signalled, None where it may be. Reads some files."""
    pid = host.identity.pid
    if not host.own:
        return not_own(pid, host)
    if pid in lineage():
        return GputuiError(f"process {pid} is gputui itself, or what runs it", _NOT_SENT)
    return None


def send(host: HostProcess, number: signal.Signals) -> None:
    """Signal the process; its identity and its user are looked at again right before.

    Blocks for some milliseconds. Raises GputuiError where nothing was sent.
    """
    pid = host.identity.pid
    refused = refusal(host)
    if refused is not None:
        raise refused
    _check_life(host, _NOT_SENT)
    if real_uid(pid) != own_uid():
        raise GputuiError(f"process {pid} belongs to another user now", _NOT_SENT)
    try:
        processes.send_signal(host.identity, number)
    except OSError as error:
        why = clean_line(error.strerror or str(error))
        raise GputuiError(f"{number.name} to process {pid}: {why}", _NOT_SENT) from error


def environment(host: HostProcess) -> tuple[tuple[str, str], ...]:
    """The variables of an own process and their values, by name; cleaned, and secrets hidden.

    They are those that it was started with. Raises GputuiError.
    """
    pid = host.identity.pid
    if not host.own:
        raise not_own(pid, host)
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError as error:
        _check_life(host)
        why = clean_line(error.strerror or str(error))
        raise GputuiError(f"the environment of process {pid} cannot be read: {why}") from error
    _check_life(host)  # after reading: what was read is the process's own
    pairs = (part.decode(errors="replace").partition("=") for part in content.split(b"\0") if part)
    return tuple(
        sorted(
            (clean_line(name), clean_line(_shown(name, value), 2000)) for name, _, value in pairs
        )
    )


def _shown(name: str, value: str) -> str:
    return HIDDEN if name == _RECORD else redact_variable(name, value)


def lineage() -> frozenset[int]:
    """The pids of gputui and of all its ancestors."""
    pids = {os.getpid()}
    pid = os.getppid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        stat = processes.look(pid)
        pid = stat.parent if stat else 0
    return frozenset(pids)


def _check_life(host: HostProcess, hint: str = "") -> None:
    pid = host.identity.pid
    match processes.life(host.identity):
        case Life.DEAD:
            raise GputuiError(f"process {pid} has ended", hint)
        case Life.STRANGER | Life.OTHER_BOOT:
            raise GputuiError(f"pid {pid} is another process by now", hint)
