"""The user's configuration file on disk: read as it is, written whole or not at all, and never over
what somebody else has written meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gputui.errors import ConfigError, GputuiError
from gputui.files import make_private, replace_file

LARGEST = 4 * 2**20
"""Bytes; no configuration is as large, and what is larger is something else."""


class ChangedMeanwhileError(GputuiError):
    """The file is not what it was when it was read."""


def read(file: Path) -> bytes | None:
    """What the file holds, None where there is none. Raises ConfigError."""
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigError(f"{file}: is no regular file")
        if facts.st_size > LARGEST:
            raise ConfigError(f"{file}: is too large for a configuration ({facts.st_size} bytes)")
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


def write(file: Path, before: bytes | None, after: bytes) -> None:
    """Replace the file, which must still hold ``before`` (None: there is none yet).

    A link is written through; mode and owner stay, a new file is 0600. Two gputuis take turns. Raises
    ChangedMeanwhileError, or GputuiError where it cannot be written.
    """
    target = file.resolve()
    try:
        make_private(target.parent)
        with _turn(target.parent):
            if read(target) != before:
                raise ChangedMeanwhileError(
                    f"{file} was changed by somebody else meanwhile; nothing was written",
                    "Its new content is taken over; look at it, and try again.",
                )
            replace_file(target, after, users=True)
    except OSError as error:
        raise GputuiError(
            f"{file}: cannot be written: {error.strerror}",
            "The file and its folder must be writable for you.",
        ) from error


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks has no turns
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
