"""A log that grows, read piece by piece: on over its truncation and its rotation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

KEPT = 3
"""How many older logs are kept beside one: ``NAME.log.1`` is the newest of them."""
_ANCHOR = 256


def older(log: Path, age: int) -> Path:
    """The log that came ``age`` before ``log``; with 0 itself."""
    return log.with_name(f"{log.name}.{age}") if age else log


@dataclass(slots=True)
class GrowingLog:
    """What is added to a log, from its start on, each byte once. One thread at a time.

    The bytes before its place say whether a file is still the one that was read: a log that was cut is
    found again among the older ones, and read to its end before the new one.
    """

    path: Path
    _position: int = 0
    _anchor: bytes = b""
    _inode: int | None = None

    def start_at(self, position: int) -> None:
        """Leave out what is before ``position``. Raises OSError."""
        with self.path.open("rb") as file:
            self._inode = os.fstat(file.fileno()).st_ino
            begin = max(0, position - _ANCHOR)
            file.seek(begin)
            self._anchor = file.read(position - begin)
            self._position = begin + len(self._anchor)

    def read(self, limit: int) -> bytes:
        """What was added since the last call, at most ``limit`` bytes. Raises OSError where the log
        cannot be read."""
        data = b""
        for age in range(self._age(), -1, -1):
            try:
                file = older(self.path, age).open("rb")
            except FileNotFoundError:
                if age == 0:
                    raise
                continue
            with file:
                data += self._take(file, limit - len(data))
            if len(data) == limit:
                break
            if age:  # read to its end: on with the next newer one
                self._position, self._anchor, self._inode = 0, b"", None
        return data

    def _take(self, file: BinaryIO, limit: int) -> bytes:
        file.seek(self._position)
        part = file.read(limit)
        self._position += len(part)
        self._anchor = (self._anchor + part[-_ANCHOR:])[-_ANCHOR:]
        self._inode = os.fstat(file.fileno()).st_ino
        return part

    def _age(self) -> int:
        """Which file holds what was read last; where none does, it is from the start of the newest."""
        for age in range(KEPT + 1):
            try:
                with older(self.path, age).open("rb") as file:
                    if self._is_it(file, newest=age == 0):
                        return age
            except FileNotFoundError:
                continue
        self._position, self._anchor, self._inode = 0, b"", None
        return 0

    def _is_it(self, file: BinaryIO, *, newest: bool) -> bool:
        inode = os.fstat(file.fileno()).st_ino
        if newest and self._inode not in (None, inode):
            return False  # a new file by that name: its first bytes may be the same ones
        if not newest and inode != self._inode and not self._anchor:
            return False
        file.seek(self._position - len(self._anchor))
        return file.read(len(self._anchor)) == self._anchor and (
            os.fstat(file.fileno()).st_size >= self._position
        )
