"""A log that grows, read piece by piece: on over its truncation and its rotation."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

KEPT = 3
"""How many older logs are kept beside one: ``NAME.log.1`` is the newest of them."""
_ANCHOR = 256


def older(log: Path, age: int) -> Path:
    """The log that came ``age`` before ``log``; with 0 itself."""
    return log.with_name(f"{log.name}.{age}") if age else log


def mark_unfinished(descriptor: int) -> None:
    """Say to those who read that this older log is still being copied from the newest.

    Until it is closed, or its process is gone: what it holds is in the newest as well.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX)


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a log was read. The bytes before it say whether a file is still the one that was read."""

    inode: int | None = None
    position: int = 0
    anchor: bytes = b""

    def may_be_in(self, inode: int, *, newest: bool) -> bool:
        """Whether the bytes decide; a new file of that name may begin as the one before did."""
        if newest:
            return self.inode in (None, inode)
        return self == _START or inode == self.inode or bool(self.anchor)

    def after(self, inode: int, data: bytes) -> _Place:
        anchor = (self.anchor + data[-_ANCHOR:])[-_ANCHOR:]
        return _Place(inode, self.position + len(data), anchor)


_START = _Place()


@dataclass(slots=True)
class GrowingLog:
    """What is added to a log, from its start on, each byte once. One thread at a time.

    A log that was cut is found again among the older ones, and read to its end before the new one. What
    was read while the files changed their names is read again.
    """

    path: Path
    _place: _Place = _START

    def start_at(self, position: int) -> None:
        """Leave out what is before ``position``. Raises OSError."""
        with self.path.open("rb") as file:
            begin = max(0, position - _ANCHOR)
            before = os.pread(file.fileno(), position - begin, begin)
            inode = os.fstat(file.fileno()).st_ino
        self._place = _Place(inode, begin + len(before), before)

    def read(self, limit: int) -> bytes:
        """What was added since the last call, at most ``limit`` bytes. Raises OSError where the log
        cannot be read."""
        while True:
            names = self._names()
            data, place = self._part(0, self._place, limit) or self._look_back(limit)
            if not data and names[0] is None:
                self.path.stat()  # tells the caller why
            if self._names() == names:
                self._place = place
                return data

    def _names(self) -> tuple[int | None, ...]:
        return tuple(_inode(older(self.path, age)) for age in range(KEPT + 1))

    def _look_back(self, limit: int) -> tuple[bytes, _Place]:
        """Find what was read last among the older logs, and go on from there to the newest."""
        unfinished = _is_unfinished(older(self.path, 1))  # asked first: it may become finished
        data, place, age = self._found(limit)
        while age > unfinished and len(data) < limit:
            age -= 1
            part, place = self._part(age, _START, limit - len(data)) or (b"", place)
            data += part
        return data, place

    def _found(self, limit: int) -> tuple[bytes, _Place, int]:
        """What follows in the older log that was read last, and its age; else that is the newest's."""
        if self._place != _START:
            for age in range(1, KEPT + 1):
                found = self._part(age, self._place, limit)
                if found:
                    return *found, age
        return *(self._part(0, _START, limit) or (b"", _START)), 0

    def _part(self, age: int, place: _Place, limit: int) -> tuple[bytes, _Place] | None:
        """What follows ``place`` in the file of that age; None where it is not the one that was read."""
        try:
            with older(self.path, age).open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if not place.may_be_in(inode, newest=age == 0):
                    return None
                before = len(place.anchor)
                data = os.pread(file.fileno(), before + limit, place.position - before)
        except FileNotFoundError:
            return None
        if data[:before] != place.anchor:
            return None
        return data[before:], place.after(inode, data[before:])


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _is_unfinished(path: Path) -> bool:
    """Whether `mark_unfinished` is in force there."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
