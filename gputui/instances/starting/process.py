"""Starting a server that outlives us, and that all sessions of the user know as ours.

A gputui can be killed at any moment, also between the start of a server and the writing of its record.
So the server's process first waits, as a shell, until it is let go; where the one that would let it go
is gone, it ends. No server runs that has no record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gputui.errors import GputuiError
from gputui.instances.starting.placement import Placement, in_place
from gputui.processes import ProcessIdentity, identify
from gputui.text import error_words

MARKER = "GPUTUI_INSTANCE"
"""The environment variable that marks our servers; its value is the instance's name."""

COPY = "GPUTUI_RECORD"
"""The environment variable in which a server carries a copy of its record, for the case that the file
is damaged (adoption.py)."""


def marker_of(name: str) -> str:
    """What the environment of an instance's server holds, as ProcessIdentity has it."""
    return f"{MARKER}={name}"


_GATE = (
    "read -r go || { echo 'cannot begin: the gputui that started it has ended'; exit 75; }\n"
    'exec "$@" </dev/null'
)
"""Waits for a line on its input, then becomes the server, under the same pid and start time."""

_MAGICS = (b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs begin: ELF, scripts, Mach-O."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that was started, and where it was placed in fact."""

    identity: ProcessIdentity
    child: subprocess.Popen[bytes]
    placement: Placement


def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    name: str,
    placement: Placement = Placement(),  # noqa: B008 - frozen
) -> Spawned:
    """Prepare the server of the instance ``name``; it runs from ``let_go`` on.

    It gets a session of its own (no terminal, no SIGHUP), /dev/null as input, ``log`` (mode 0600)
    as both outputs, no other open file, and "/" as working directory: paths in ``argv`` are
    absolute. Returns with the marker in place. The process ends by itself where this one ends, or
    closes the child's input, before it is let go. Raises GputuiError.
    """
    _refuse_no_program(argv[0], environment.get("PATH"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        output = os.open(log, flags, 0o600)
    except OSError as error:
        raise GputuiError(f"{log}: {error.strerror}", "The log cannot be written.") from error
    try:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "gputui", *argv],
                env={**environment, MARKER: name},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                close_fds=True,
                start_new_session=True,
                cwd="/",
            )

        child, placed = in_place(placement, start) if placement else (start(), placement)
    except OSError as error:
        raise _not_run(argv[0], error) from error
    finally:
        os.close(output)
    try:
        identity = identify(child.pid, marker_of(name))
    except OSError as error:
        child.communicate()  # nobody could tell it from others: it never begins
        raise GputuiError(
            f"{argv[0]}: its process cannot be told from others: {error_words(error)}",
            "Start it again; is the system short of processes or of files?",
        ) from error
    return Spawned(identity, child, placed)


def let_go(child: subprocess.Popen[bytes]) -> None:
    """The server runs from now on, whatever becomes of this process."""
    assert child.stdin is not None  # noqa: S101 - spawn made it
    with contextlib.suppress(BrokenPipeError):  # it died first: that is told as any death
        child.stdin.write(b"go\n")
        child.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()


def _refuse_no_program(program: str, path: str | None) -> None:
    """Raise GputuiError for what no kernel runs: a shell would try it as a script."""
    try:
        found = shutil.which(program, path=path)
        if found is None:
            code = errno.EACCES if Path(program).exists() else errno.ENOENT
            raise OSError(code, os.strerror(code))
        with Path(found).open("rb") as file:
            if not file.read(4).startswith(_MAGICS):
                raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))
    except OSError as error:
        raise _not_run(program, error) from error


def _not_run(program: str, error: OSError) -> GputuiError:
    return GputuiError(
        f"{program}: cannot be run: {error.strerror}",
        "Is it a program for this machine? Set llama_server in the configuration.",
    )
