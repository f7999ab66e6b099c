"""The lines of a llama-server's log: their levels, and which of them are wanted.

From build 10068 on a line begins with its time and a letter: ``0.00.034.522 W srv  llama_server: …``. A
line without one belongs to the line before, unless it says by itself that it is an error: what the C
library and ggml print when a server dies has no letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from gputui.text import clean


class Level(IntEnum):
    """How grave a line is. A log of an older build, without letters, is all ``INFO`` but its errors."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def words(self) -> str:
        """What is shown where this is the least: ``all``, ``info+``, ``warnings+``, ``errors``."""
        return ("all", "info+", "warnings+", "errors")[self]


_LETTERS = {"D": Level.DEBUG, "I": Level.INFO, "W": Level.WARNING, "E": Level.ERROR}
_TIMED = re.compile(r"(?:\d+\.)+\d+ ([A-Z]) ")
_GRAVE = re.compile(
    r"(?P<error>GGML_ASSERT|terminate called|CUDA error|[Ss]egmentation fault|\b[Ee]rror: |\bERROR\b"
    r"|\b(?:ggml|llama|common|srv|main)\w*: (?:failed|error))|\b[Ww]arning: |\bWARN(?:ING)?\b"
)
_ERROR_SIGNS = (b" E ", b"GGML_ASSERT", b"terminate called", b"rror", b"ERROR", b"fault", b"failed")
_SIGNS = {
    Level.WARNING: (*_ERROR_SIGNS, b" W ", b"arning: ", b"WARN"),
    Level.ERROR: _ERROR_SIGNS,
}
"""What a block must hold one of for a line of that level to be in it."""
_COLOUR = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\x1b"))
_ASCII = bytes(range(0x80))
_HIDING = re.compile(
    rb"\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xaf]|\xe2\x81|\xef[\xbb\xbf]|\xf3\xa0"
)
"""What cleaning takes away, or takes for a line's end, beyond ASCII, in UTF-8; others among it."""
_FOLDED = ("ı".encode(), "İ".encode(), "ſ".encode(), "\u212a".encode())  # i, i, s and k to ``re``
_HEAD = 400
"""Characters of a line in which its level is looked for."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. ``start`` and ``end`` are its bytes in the file, with its line end; ``text`` is cleaned
    and without it. ``whole`` is False where the line end is still to come."""

    start: int
    end: int
    text: str
    level: Level
    whole: bool = True


def line_text(raw: bytes) -> str:
    """A line as it is shown: cleaned, tabs as blanks, on one line."""
    raw = raw.rstrip(b"\r\n")
    bare = _COLOUR.sub(b"", raw) if b"\x1b" in raw else raw
    if bare.isascii() and (text := bare.decode()).isprintable():
        return text  # as ``clean`` has it, and most lines are so
    text = clean(raw.decode(errors="replace"))
    return text.replace("\n", " ").expandtabs(8)


def letter_level(text: str) -> Level | None:
    """The level that a line's letter tells, also of those without one that follow; None without."""
    timed = _TIMED.match(text)
    return _LETTERS.get(timed[1], Level.INFO) if timed else None


def line_level(text: str, before: Level) -> Level:
    """The level of a line; ``before`` is what the last letter before it told."""
    told = letter_level(text)
    if told is not None:
        return told
    if grave := _GRAVE.search(text[:_HEAD]):
        return max(before, Level.ERROR if grave["error"] else Level.WARNING)
    return before


@dataclass(frozen=True, slots=True)
class Search:
    """Words to find in a line; capitals count only where the words have one."""

    words: str
    _exact: bool = field(init=False, default=False)
    _pattern: re.Pattern[str] = field(init=False, default=re.compile(""), repr=False, compare=False)
    _sign: bytes = field(init=False, default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        exact = self.words != self.words.lower()
        pattern = re.compile(re.escape(self.words), 0 if exact else re.IGNORECASE)
        for name, value in (("_exact", exact), ("_pattern", pattern), ("_sign", _sign(self.words))):
            object.__setattr__(self, name, value)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the words stand in a line, from and to."""
        if not self.words:
            return []
        return [found.span() for found in self._pattern.finditer(text)]

    def is_in(self, text: str) -> bool:
        """Whether a line has the words."""
        return self._pattern.search(text) is not None

    def may_be_in(self, block: bytes) -> bool:
        """Whether whole lines may have the words; False is certain."""
        if b"\t" in block and " " in self.words:
            return any(self.is_in(line_text(raw)) for raw in block.split(b"\n"))
        bare = _bare(block)
        if self._exact:
            return self._sign in bare
        if self._sign.lower() in bare.lower():
            return True
        return not bare.isascii() and any(odd in bare for odd in _FOLDED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted: those of ``least`` and graver, with the words of ``search``."""

    least: Level = Level.DEBUG
    search: Search | None = None

    @property
    def all(self) -> bool:
        """Whether every line is."""
        return self.least is Level.DEBUG and self.search is None

    def may_be_in(self, block: bytes, before: Level) -> bool:
        """Whether one of the whole lines in ``block`` may be wanted, where the line before them has the
        level ``before``; False is certain."""
        if self.search is not None and not self.search.may_be_in(block):
            return False
        signs = _SIGNS.get(self.least)
        if signs is None or before >= self.least:
            return True
        bare = _bare(block)
        return any(sign in bare for sign in signs)

    def takes(self, line: LogLine) -> bool:
        """Whether this line is wanted."""
        return line.level >= self.least and (self.search is None or self.search.is_in(line.text))


class LineFeed:
    """Lines out of bytes that come piece by piece; one that does not end is given out in parts.

    ``level`` is what a line without a letter is at the beginning.
    """

    def __init__(self, level: Level = Level.INFO, longest: int = 64 * 1024) -> None:
        self._level = level
        self._longest = longest
        self._rest = b""

    def take(self, data: bytes) -> Iterator[LogLine]:
        """The lines that these bytes end; their places are not told."""
        *ended, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._longest:
            ended, self._rest = [*ended, self._rest], b""
        for raw in ended:
            text = line_text(raw)
            level = line_level(text, self._level)
            self._level = self._level if letter_level(text) is None else level
            yield LogLine(0, 0, text, level)


def _sign(words: str) -> bytes:
    """What a block must hold, in capitals or not, for the words to be in it."""
    if words.lower() == words.upper():
        return words.encode(errors="replace")
    return max(re.findall("[\0-\x7f]+", words), key=len, default="").encode()


def _bare(block: bytes) -> bytes:
    """Whole lines as bytes in which all is found that is in their cleaned text, but tabs are left.

    Colours and control characters are taken out of the bytes, which costs next to nothing; where more is
    hidden in them, their text is cleaned.
    """
    bare = _COLOUR.sub(b"", block) if b"\x1b" in block else block
    if b"\x1b" in bare or (not bare.isascii() and _HIDING.search(bare.translate(None, _ASCII))):
        return clean(block.decode(errors="replace")).replace("\r", " ").encode()
    bare = bare.translate(None, _CONTROLS)
    return bare.replace(b"\r", b" ") if b"\r" in bare else bare
