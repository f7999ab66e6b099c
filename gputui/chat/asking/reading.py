"""Files of the user's choosing, read without waiting for what is no file."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gputui.errors import GputuiError
from gputui.text import clean_line

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def path_of(text: str) -> Path:
    """A path as a person wrote it, ``~`` included. Raises GputuiError where it can be none."""
    try:
        path = Path(text).expanduser()
        os.fsencode(path)
    except (RuntimeError, ValueError) as error:
        raise GputuiError(f"{clean_line(text, 200)} is no path") from error
    if "\0" in text or not text:
        raise GputuiError(f"{clean_line(text, 200)} is no path", "Name a file.")
    return path


def shown(path: Path) -> str:
    """A path for people: cleaned, the home folder as ``~``."""
    text, home = str(path), str(Path.home())
    if home != "/" and text.startswith(f"{home}/"):
        text = "~" + text[len(home) :]
    return clean_line(text, 300)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open for reading. Raises GputuiError for all else, and where reading fails.

    It is looked at before it is opened, since opening alone can move a tape or wait for a writer, and
    once more after, since it can have become another. Blocks as long as the disk takes.
    """
    try:
        _refuse_others(path, path.stat())
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(handle, "rb") as file:  # noqa: PTH123  a handle, not a path
            _refuse_others(path, os.fstat(handle))
            yield file
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise GputuiError(f"{shown(path)}: {why}") from error


def read_text(path: Path, limit: int) -> str:
    """A text file of at most ``limit`` bytes, in UTF-8; blocks. Raises GputuiError for any other."""
    with opened(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise GputuiError(f"{shown(path)} is too large", f"The most is {limit >> 10} KiB.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GputuiError(f"{shown(path)} is not in UTF-8", "Save it as UTF-8.") from error


def _refuse_others(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        kinds = (words for test, words in _KINDS if test(facts.st_mode))
        raise GputuiError(f"{shown(path)} is {next(kinds, 'no file')}", "Name a file.")
