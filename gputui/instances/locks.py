"""Locks between gputui sessions: flock, so a crash releases them; the file says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.files import make_private
from gputui.instances.records import Paths
from gputui.text import clean_line

Say = Callable[[str], None]
"""Tells whoever looks at a lock what its holder is at now. From any thread; once the lock is released
nothing is said any more."""

TIDY = "tidy"
"""The action of an observer that writes down what it found: it holds a lock for milliseconds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, and what for: ``start``, ``stop``, ``restart``, ``tidy``; of a group's lock the
    name of the instance that is to run. ``note`` is what the holder is at, in words, "" where it says
    nothing; it is a courtesy, and nothing is decided by it.
    """

    pid: int
    action: str
    note: str = ""


class LockHeldError(GputuiError):
    """Another gputui holds the lock."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        who = f"gputui, pid {holder.pid}" if holder else "another gputui"
        super().__init__(f"{path.name}: held by {who}")
        self.holder = holder


Refusal = Callable[[Holder | None], GputuiError]
"""The words for a lock that somebody else holds; None: it is not known who."""


@contextlib.contextmanager
def hold(
    path: Path, action: str, patience: float = 0.0, refusal: Refusal | None = None
) -> Iterator[Say]:
    """Hold the lock at ``path`` for the length of the block, which gets what to say its state with.

    Waits up to ``patience`` seconds. Raises LockHeldError where somebody else still holds it, or what
    ``refusal`` makes of that.
    """
    handle = _open(path)
    try:
        try:
            _acquire(handle, path, patience)
        except LockHeldError as error:
            if refusal is None:
                raise
            raise refusal(error.holder) from None
        words = _Words(handle, f"{os.getpid()} {action}")
        try:
            yield words.add
        finally:
            words.end()
    finally:
        os.close(handle)


class _Words:
    """What a lock's file says of its holder. After the end its descriptor may be another file's: a thread
    that still speaks then must not write there."""

    def __init__(self, handle: int, words: str) -> None:
        self._handle, self._words = handle, words
        self._speaking = threading.Lock()
        self._ended = False
        _say(handle, words)

    def add(self, note: str) -> None:
        with self._speaking:
            if not self._ended:
                _say(self._handle, f"{self._words} {clean_line(note)}")

    def end(self) -> None:
        with self._speaking:
            self._ended = True
            _say(self._handle, "")


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


def turn_of(paths: Paths, instance: InstanceConfig) -> Holder | None:
    """The gputui in which an instance waits for, or takes, its turn in its group; None where none does."""
    found = holder(paths.group_lock(instance.group)) if instance.group else None
    return found if found is not None and found.action == instance.name else None


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
    data = f"{words}\n".encode() if words else b""
    with contextlib.suppress(OSError):  # written first: a reader finds either note, and never none
        os.pwrite(handle, data, 0)
        os.ftruncate(handle, len(data))


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
        line = path.read_text().partition("\n")[0]
        pid, _, rest = line.partition(" ")
        action, _, note = rest.partition(" ")
        return Holder(int(pid), action, clean_line(note))
    except (OSError, ValueError):
        return None
