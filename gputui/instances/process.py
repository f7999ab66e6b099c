"""Starting a server that outlives us, and that all sessions of the user know as ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gputui.errors import GputuiError
from gputui.instances.placement import Placement, in_place
from gputui.processes import ProcessIdentity, identify

MARKER = "GPUTUI_INSTANCE"
"""The environment variable that marks our servers; its value is the instance's name."""


def marker_of(name: str) -> str:
    """What the environment of an instance's server holds, as ProcessIdentity has it."""
    return f"{MARKER}={name}"


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
    """Start the server of the instance ``name``: it has nothing of ours but its environment.

    It gets a session of its own (no terminal, no SIGHUP), /dev/null as input, ``log`` (mode 0600)
    as both outputs, no other open file, and "/" as working directory: paths in ``argv`` are
    absolute. Returns after exec, so the marker is in place. Raises GputuiError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        output = os.open(log, flags, 0o600)
    except OSError as error:
        raise GputuiError(f"{log}: {error.strerror}", "The log cannot be written.") from error
    try:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                list(argv),
                env={**environment, MARKER: name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                close_fds=True,
                start_new_session=True,
                cwd="/",
            )

        child, placed = in_place(placement, start) if placement else (start(), placement)
    except OSError as error:
        raise GputuiError(
            f"{argv[0]}: cannot be run: {error.strerror}",
            "Is it a program for this machine? Set llama_server in the configuration.",
        ) from error
    finally:
        os.close(output)
    return Spawned(identify(child.pid, marker_of(name)), child, placed)
