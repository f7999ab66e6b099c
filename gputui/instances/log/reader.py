"""Reading a log of any size: by blocks, from anywhere, forwards and backwards, in bounded memory.

A line is known by the byte that it begins at, so there is no index and nothing is read but what is shown.
A line may be of any length. It is cut at the end of a block where that whole block has no line end, so that
where a line begins can be told from the block before it, and no piece has two blocks' length.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

from gputui.instances.log.lines import (
    Level,
    LogLine,
    Wanted,
    letter_level,
    line_level,
    line_text,
)
from gputui.llama.growing import KEPT, older

BLOCK = 32 * 1024
_LOOK_BACK = 256 * 1024
"""Bytes in which the letter is looked for that a line without one goes by."""
_LETTER_BYTES = 256
"""Bytes of a line within which its letter stands, with what cleaning takes away."""
_ANCHOR = 256

Stop = Callable[[int], bool]
"""Asked at each block with the byte it begins at; True ends the reading there."""


class Change(Enum):
    """What happened to a log since the last look."""

    NONE = "none"
    GREW = "grew"
    CUT = "cut"  # emptied under the server; what was in it is in the older log now
    REPLACED = "replaced"  # another file has its name: a new process's


@dataclass(frozen=True, slots=True)
class Page:
    """Lines in the file's order. All that are wanted between them and ``reached`` are among them;
    ``edge`` is whether that is the file's end, or going backwards its beginning."""

    lines: tuple[LogLine, ...]
    reached: int
    edge: bool


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The whole lines that begin in one block."""

    start: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Letter:
    """The level that lines without a letter have, from byte ``begin`` on to where it was asked for."""

    begin: int
    level: Level


def _never(_place: int) -> bool:
    return False


class LogFile:
    """One log file. What it reads is what ``size`` says, until ``refresh``; its reading methods may run
    on several threads at once. A file that is not there is an empty one, and ``trouble`` says why."""

    def __init__(self, path: Path, block: int = BLOCK) -> None:
        self.path = path
        self.trouble = ""
        self.size = 0
        self.bytes_read = 0
        self._block_size = block
        self._handle: int | None = None
        self._anchor = b""
        self._open()

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    @property
    def inode(self) -> int | None:
        """Which file it is, whatever its name is by now; None where there is none."""
        return None if self._handle is None else os.fstat(self._handle).st_ino

    def refresh(self) -> Change:
        """Look at the file again. After REPLACED this one goes on with what it has: open the new one."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino != self.inode:
                return Change.REPLACED
        before, anchor = self.size, self._anchor
        same = self._read(before - len(anchor), len(anchor)) == anchor
        self._measure()
        if self.size < before or not same:
            return Change.CUT
        return Change.GREW if self.size > before else Change.NONE

    def lines_from(
        self, start: int, count: int, wanted: Wanted | None = None, stop: Stop = _never
    ) -> Page:
        """The first ``count`` lines that are wanted from ``start`` on, which begins a line."""
        wanted, lines = wanted or Wanted(), list[LogLine]()
        before: Level | None = None
        for chunk in self._chunks_from(start):
            if stop(chunk.start):
                return Page(tuple(lines), chunk.start, edge=False)
            if before is None and (wanted.search is None or wanted.search.may_be_in(chunk.data)):
                before = self.level_before(chunk.start)
            if before is None or not wanted.may_be_in(chunk.data, before):
                before = None if wanted.search else before  # else it is less than what is wanted
                continue
            found, before = _found(chunk, before, wanted, self.size)
            for line in found:
                lines.append(line)
                if not line.whole:
                    return Page(tuple(lines), line.start, edge=True)
                if len(lines) >= count:
                    return Page(tuple(lines), line.end, edge=line.end >= self.size)
        return Page(tuple(lines), max(start, self.whole_end), edge=True)

    def lines_before(
        self, end: int, count: int, wanted: Wanted | None = None, stop: Stop = _never
    ) -> Page:
        """The last ``count`` lines that are wanted before ``end``, which begins a line or ends the file."""
        lines, reached = list[LogLine](), end
        for found in self._found_before(end, wanted or Wanted(), stop):
            if found is None:
                return Page(tuple(reversed(lines)), reached, edge=False)
            if isinstance(found, int):
                reached = found
                continue
            lines.append(found)
            if len(lines) >= count:
                return Page(tuple(reversed(lines)), found.start, edge=found.start == 0)
        return Page(tuple(reversed(lines)), 0, edge=True)

    def start_of_last(self, count: int, wanted: Wanted | None = None) -> int:
        """Where the last ``count`` lines that are wanted begin; the file's end for none."""
        left, start = count, self.size
        if left <= 0:
            return self.size
        for found in self._found_before(self.size, wanted or Wanted(), _never):
            if isinstance(found, LogLine):
                left, start = left - 1, found.start
                if left == 0:
                    break
        return start

    @property
    def whole_end(self) -> int:
        """The end of the last line that is whole: where one goes on to read once more comes."""
        for chunk in self._chunks_before(self.size):
            return chunk.start + chunk.data.rfind(b"\n") + 1
        return 0

    def line_start(self, place: int) -> int:
        """Where the line begins that has the byte ``place``."""
        if not 0 < place < self.size:
            return 0 if place <= 0 else self.size
        for chunk in self._chunks_before(place + 1):
            return chunk.start + chunk.data.rfind(b"\n", 0, place - chunk.start) + 1
        return 0

    def level_before(self, place: int) -> Level:
        """What a line without a letter that begins at ``place`` is."""
        return self._letter_before(place).level

    def _found_before(self, end: int, wanted: Wanted, stop: Stop) -> Iterator[LogLine | int | None]:
        """Going backwards, the lines that are wanted; between them places that were reached, and None
        where ``stop`` ended it."""
        letter = _Letter(self.size, Level.INFO)
        for chunk in self._chunks_before(end):
            if stop(chunk.start):
                yield None
                return
            if wanted.search is None or wanted.search.may_be_in(chunk.data):
                if chunk.start <= letter.begin and not _begins(chunk):
                    letter = self._letter_before(chunk.start)
                before = Level.INFO if _begins(chunk) else letter.level
                if wanted.may_be_in(chunk.data, before):
                    yield from reversed(_found(chunk, before, wanted, self.size)[0])
            yield chunk.start

    def _letter_before(self, place: int) -> _Letter:
        """The last letter before ``place``; what it stands for where none is near."""
        begin = place
        for chunk in self._chunks_before(place):
            begin = chunk.start
            for raw in reversed(chunk.data.split(b"\n")):
                level = letter_level(line_text(raw[:_LETTER_BYTES]))
                if level is not None:
                    return _Letter(begin, level)
            if place - begin >= _LOOK_BACK:
                break
        return _Letter(begin, Level.INFO)

    # ── blocks ───────────────────────────────────────────────────────────────────────────────

    def _chunks_from(self, start: int) -> Iterator[_Chunk]:
        read = lru_cache(maxsize=4)(self._block)
        for number in range(start // self._block_size, self._blocks):
            chunk = self._chunk(number, read)
            cut = max(0, start - chunk.start)
            if chunk.data[cut:]:
                yield _Chunk(chunk.start + cut, chunk.data[cut:])

    def _chunks_before(self, end: int) -> Iterator[_Chunk]:
        read = lru_cache(maxsize=4)(self._block)
        end = min(end, self.size)
        for number in range((end - 1) // self._block_size, -1, -1):
            chunk = self._chunk(number, read)
            data = chunk.data[: max(0, end - chunk.start)]
            if data:
                yield _Chunk(chunk.start, data)

    @property
    def _blocks(self) -> int:
        return -(-self.size // self._block_size)

    def _chunk(self, number: int, read: Callable[[int], bytes]) -> _Chunk:
        """The lines that begin in a block, to the end of the last of them."""
        size = self._block_size
        first = self._first_start(number, read)
        if first is None:
            return _Chunk(number * size, b"")
        following = self._first_start(number + 1, read)
        end = (number + 2) * size if following is None else following
        data = (read(number) + read(number + 1))[first - number * size : end - number * size]
        return _Chunk(first, data)

    def _first_start(self, number: int, read: Callable[[int], bytes]) -> int | None:
        """Where the first line of a block begins; None where none does."""
        base = number * self._block_size
        if number == 0:
            return 0
        before = read(number - 1)
        if before.endswith(b"\n") or b"\n" not in before:
            return base
        place = read(number).find(b"\n") + 1
        return base + place if 0 < place < self._block_size else None

    def _block(self, number: int) -> bytes:
        begin = number * self._block_size
        return self._read(begin, min(self._block_size, self.size - begin))

    def _read(self, begin: int, length: int) -> bytes:
        if self._handle is None or length <= 0:
            return b""
        try:
            data = os.pread(self._handle, length, begin)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return b""
        self.bytes_read += len(data)
        return data

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        try:
            self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            self.trouble = "There is no log: it was never started here."
        except OSError as error:
            self.trouble = error.strerror or str(error)
        self._measure()

    def _measure(self) -> None:
        if self._handle is not None:
            self.size = os.fstat(self._handle).st_size
            begin = max(0, self.size - _ANCHOR)
            self._anchor = self._read(begin, self.size - begin)


def _found(chunk: _Chunk, before: Level, wanted: Wanted, size: int) -> tuple[list[LogLine], Level]:
    """The lines of a chunk that are wanted, in a file of ``size`` bytes; the last letter's level.

    ``before`` is what the last letter before the chunk told. Each line passes here: most are not wanted,
    and nothing is made of those.
    """
    found, start = list[LogLine](), chunk.start
    for raw in _split(chunk.data):
        text, end = line_text(raw), start + len(raw)
        told = letter_level(text)
        level = line_level(text, before) if told is None else told
        before = before if told is None else told
        if level >= wanted.least and (wanted.search is None or wanted.search.is_in(text)):
            whole = raw.endswith(b"\n") or end < size
            found.append(LogLine(start, end, text, level, whole))
        start = end
    return found, before


def _begins(chunk: _Chunk) -> bool:
    """Whether the first line of a chunk has a letter."""
    return letter_level(line_text(chunk.data[:_LETTER_BYTES].partition(b"\n")[0])) is not None


def _split(data: bytes) -> Iterator[bytes]:
    at = 0
    while (place := data.find(b"\n", at)) >= 0:
        yield data[at : place + 1]
        at = place + 1
    if at < len(data):
        yield data[at:]


class InstanceLog:
    """The log of an instance, and the older ones kept beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, age: int = 0) -> LogFile:
        """The newest, or the one ``age`` before it; there need not be one. Blocks shortly."""
        return LogFile(older(self.path, age))

    def ages(self) -> tuple[int, ...]:
        """Which there are, the newest (0) first."""
        return tuple(age for age in range(KEPT + 1) if older(self.path, age).exists())

    def age_of(self, file: LogFile) -> int | None:
        """By which age a file goes now; None where it is gone."""
        for age in range(KEPT + 1):
            with contextlib.suppress(OSError):
                if older(self.path, age).stat().st_ino == file.inode:
                    return age
        return None
