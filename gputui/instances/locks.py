"""Locks between gputui sessions: flock, so a crash releases them; the file says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gputui.errors import GputuiError
from gputui.files import make_private

TIDY = "tidy"
"""The action of an observer that writes down what it found: it holds a lock for milliseconds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, and what for: ``start``, ``stop``, ``restart``, ``tidy``."""

    pid: int
    action: str


class LockHeldError(GputuiError):
    """Another gputui holds the lock."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        who = f"gputui, pid {holder.pid}" if holder else "another gputui"
        super().__init__(f"{path.name}: held by {who}")
        self.holder = holder


@contextlib.contextmanager
def hold(path: Path, action: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock at ``path`` for the length of the block.

    Waits up to ``patience`` seconds. Raises LockHeldError where somebody else still holds it.
    """
    handle = _open(path)
    try:
        _acquire(handle, path, patience)
        _say(handle, f"{os.getpid()} {action}")
        try:
            yield
        finally:
            _say(handle, "")
    finally:
        os.close(handle)


def holder(path: Path) -> Holder | None:
    """Who holds the lock at ``path``, None where nobody does."""
    found = _read(path)
    if found is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:  # the words may be left over from a crash; the lock itself never is
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return found
    else:
        return None
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    """A handle to lock: for reading alone is enough where nothing can be written any more."""
    try:
        make_private(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise GputuiError(
            f"{path}: {error.strerror}", "gputui's state directory must be writable."
        ) from error


def _say(handle: int, words: str) -> None:
    """Who holds the lock is a courtesy to others: on a full disk the lock holds without it."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, words.encode(), 0)


def _acquire(handle: int, path: Path, patience: float) -> None:
    give_up = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise LockHeldError(path, _read(path)) from None
            time.sleep(0.01)
        else:
            return


def _read(path: Path) -> Holder | None:
    try:
        pid, _, action = path.read_text().partition(" ")
        return Holder(int(pid), action)
    except (OSError, ValueError):
        return None
