"""The logs of the instances on disk: older ones kept at a start, a growing one kept bounded.

A server writes through a descriptor of its own, which appends: renaming its log would not end it. So a log
that is too large is copied and then emptied under the server, whose next line is the first of the file.
What it writes in the microseconds between the last look at the log's size and its emptying is lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from gputui.errors import GputuiError
from gputui.files import make_private
from gputui.instances import locks
from gputui.instances.records import Paths, Record
from gputui.llama.growing import KEPT, mark_unfinished, older

MOST_BYTES = 64 * 2**20
"""A larger log is cut: with the older ones, and what comes between two looks, an instance has at most
four times as much on disk."""
LOOK_SECONDS = 5.0
_PATIENCE = 0.5
_PIECE = 2**20
_CATCH_UP_LOOKS, _CATCH_UP_SECONDS = 5, 0.002


def rotate(log: Path) -> None:
    """Make room for the log of a new process: a restart after a crash does not lose its reason.

    Raises GputuiError.
    """
    try:
        make_private(log.parent)
        if log.exists():
            _shift(log)
            log.replace(older(log, 1))
    except OSError as error:
        raise GputuiError(f"{log}: {error.strerror}", "The log cannot be written.") from error


class LogBounds:
    """Keeps the logs of running servers bounded, whoever looks at them. From one thread at a time."""

    def __init__(self, paths: Paths, most: int = MOST_BYTES) -> None:
        self._paths = paths
        self._most = most
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for a look."""
        return time.monotonic() >= self._next

    def keep(self, running: Iterable[Record]) -> None:
        """Cut the logs that are too large. Blocks while one is copied; never raises."""
        self._next = time.monotonic() + LOOK_SECONDS
        for record in running:
            bound(self._paths, record, self._most)


def bound(paths: Paths, record: Record, most: int = MOST_BYTES) -> bool:
    """Cut the log of a running server where it has more than ``most`` bytes; whether that was done.

    Of several gputuis one does it. It is copied beside whatever else happens, and changes places under the
    instance's lock; not while somebody else holds that, nor where nothing can be written.
    """
    log, lock = Path(record.log), paths.lock(record.name)
    with contextlib.suppress(OSError, GputuiError, ValueError):
        if log.stat().st_size <= most:
            return False
        with locks.hold(paths.cut_lock(record.name), locks.TIDY):
            if log.stat().st_size <= most:
                return False  # another gputui was faster
            _cut(log, lock)
            return True
    return False


def _cut(log: Path, lock: Path) -> None:
    """Copy and empty a log. Raises OSError and GputuiError, and then the log is as it was."""
    aside = log.with_name(f".{log.name}.cut")
    try:
        for kept in (KEPT, 1):  # on a full disk the older ones make room for the newest
            with locks.hold(lock, locks.TIDY, _PATIENCE):
                for age in range(kept, KEPT + 1):
                    older(log, age).unlink(missing_ok=True)
            try:
                _copy_and_empty(log, aside, lock)
            except OSError as error:
                if error.errno != errno.ENOSPC or kept == 1:
                    raise
            else:
                return
    finally:
        aside.unlink(missing_ok=True)


def _copy_and_empty(log: Path, aside: Path, lock: Path) -> None:
    with log.open("r+b", buffering=0) as source, _create(aside) as target:
        mark_unfinished(target.fileno())
        last = _copy(source, target, b"\n")
        with locks.hold(lock, locks.TIDY, _PATIENCE):
            if log.stat().st_ino != os.fstat(source.fileno()).st_ino:
                raise FileNotFoundError(errno.ENOENT, "a new process has a log of its own", log)
            _change_places(log, aside, source, target, last)


def _change_places(log: Path, aside: Path, source: BinaryIO, target: BinaryIO, last: bytes) -> None:
    """Make the copy the newest older log, with what has come since, and empty the log."""
    last = _copy(source, target, last)
    _shift(log)
    aside.replace(older(log, 1))
    for _ in range(_CATCH_UP_LOOKS):  # what came meanwhile, best to the end of a line
        last = _copy(source, target, last)
        if last == b"\n":
            break
        time.sleep(_CATCH_UP_SECONDS)
    for _ in range(_CATCH_UP_LOOKS):
        if os.fstat(source.fileno()).st_size == source.tell():
            break
        _copy(source, target, last)
    os.ftruncate(source.fileno(), 0)


def _copy(source: BinaryIO, target: BinaryIO, last: bytes) -> bytes:
    """Copy to the end; the last byte of all."""
    while piece := source.read(_PIECE):
        target.write(piece)
        last = piece[-1:]
    target.flush()
    return last


def _create(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _shift(log: Path) -> None:
    """Make ``.1`` free; the oldest is given up."""
    for age in range(KEPT - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            older(log, age).replace(older(log, age + 1))
