"""Text that grows, wrapped as it comes: a piece costs the last line again, however long the text is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from rich.cells import cell_len, chop_cells

TAB = 8
"""Cells from one tab stop to the next."""

_WORD = re.compile(r"\s*\S+\s*")


class Wrapped:
    """The lines of a text at ``width`` cells; the text is appended in pieces.

    However it is cut into pieces, the lines are the same. They break where Rich breaks them: before a
    word that has no room, within one that is longer than a line. Blanks at a line's end hang over it and
    are not shown. Nothing before the beginning of the last line can be changed by what comes, so that
    nothing before it is looked at again.

    ``measured``: the characters that were looked at so far, for who wants to know what it costs.
    """

    def __init__(self, width: int) -> None:
        self.width = max(2, width)  # a wide character has room, then
        self.measured = 0
        self.lines: list[str] = [""]
        self._tail = ""  # the last line as it came, with the blanks at its end
        self._before = 0  # cells of its paragraph before it

    def append(self, piece: str) -> int:
        """Add a piece of clean text; the number of the first line that may be another now."""
        first = len(self.lines) - 1
        head, *paragraphs = piece.split("\n")
        self._extend(head)
        for paragraph in paragraphs:
            self.lines.append("")
            self._tail, self._before = "", 0
            self._extend(paragraph)
        return first

    def _extend(self, text: str) -> None:
        """More of the last paragraph."""
        if not text:
            return
        before, *others = text.split("\t")
        self._tail += before
        for part in others:
            column = self._before + cell_len(self._tail)
            self._tail += " " * (TAB - column % TAB) + part
        self.measured += len(self._tail)
        *ended, self._tail = divided(self._tail, self.width)
        self._before += sum(map(cell_len, ended))
        self.lines[-1:] = [line.rstrip() for line in (*ended, self._tail)]


def divided(text: str, width: int) -> list[str]:
    """``text``, of one paragraph, in pieces of at most ``width`` cells each, but for the blanks that hang
    over; at least one piece."""
    if cell_len(text.rstrip()) <= width:
        return [text]
    breaks = [0, *_breaks(text, width), len(text)]
    return [text[start:end] for start, end in pairwise(breaks)]


def _breaks(text: str, width: int) -> Iterator[int]:
    """Where a line ends and the next begins."""
    cells = 0
    for found in _WORD.finditer(text):
        word = found[0]
        bare = word.rstrip()
        length = cell_len(bare)
        if cells + length <= width:
            cells += cell_len(word)
            continue
        if start := found.start():
            yield start
        if length > width:
            *full, bare = chop_cells(bare, width)
            for part in full:
                start += len(part)
                yield start
            word = word[start - found.start() :]
        cells = cell_len(word)
