"""Two answers compared, as lines of cells: beside each other, or one below the other where that is narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, chop_cells
from rich.style import Style

from gputui.chat.reading.compared import Comparison, Part, Parts, Row
from gputui.ui.cells import Line, Run
from gputui.ui.palette import Palette

GUTTER = 2
"""Before each text: the mark of the difference one is at, and whose the line is."""
BETWEEN = " │ "
_HERE = "▸"
_MOST_KNOWN = 2000
"""Pieces that stay laid out; a screen holds far fewer."""

Place = tuple[int, int]
"""A piece, and a line of it."""


@dataclass(frozen=True, slots=True)
class Ink:
    """The styles of one side: what the other has too, and what only this one has, in a line or whole."""

    mark: str
    same: Style
    only: Style
    word: Style

    @classmethod
    def of(cls, mark: str, hue: Style, palette: Palette) -> Ink:
        """In the hue of the side."""
        return cls(mark, palette.value, hue, hue + Style(bold=True, underline=True))


def numbered(rows: Sequence[Row]) -> list[int | None]:
    """For each row which difference it is part of, from 0 on; those without a row between are one."""
    numbers: list[int | None] = []
    count, inside = -1, False
    for row in rows:
        count += row.differs and not inside
        inside = row.differs
        numbers.append(count if inside else None)
    return numbers


class Layout:
    """The lines of a comparison at a width, each piece of it laid out as it comes into sight.

    A piece is what is made of one row: beside each other, or in one column of one of its sides. A place is
    a piece and a line in it.
    """

    def __init__(
        self, comparison: Comparison, width: int, inks: tuple[Ink, Ink], palette: Palette
    ) -> None:
        self._rows = comparison.rows
        self._width = width
        self._inks = inks
        self._palette = palette
        self._numbers = numbered(self._rows)
        self._pieces = list(self._arranged())
        self._known: dict[tuple[int, bool], list[Line]] = {}
        self.firsts: dict[int, int] = {}
        for piece, (row, _) in enumerate(self._pieces):
            number = self._numbers[row]
            if number is not None:
                self.firsts.setdefault(number, piece)

    def _arranged(self) -> Iterator[tuple[int, int | None]]:
        """The row of each piece, and which side of it; None: both."""
        raise NotImplementedError

    def _made(self, row: int, column: int | None, *, first: bool) -> Iterator[Line]:
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many pieces there are."""
        return len(self._pieces)

    def difference(self, piece: int) -> int | None:
        """Which one a piece belongs to, None where the sides are alike."""
        return self._numbers[self._pieces[piece][0]]

    def lines(self, piece: int, here: int) -> list[Line]:
        """Those of a piece; the first one of difference ``here`` is marked."""
        key = piece, self.firsts.get(here) == piece
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            row, column = self._pieces[piece]
            known = self._known[key] = list(self._made(row, column, first=key[1]))
        return known

    def moved(self, place: Place, by: int) -> Place:
        """The place so many lines on, or back; no further than the beginning and the end."""
        piece, line = place
        while by > 0 and piece < self.size:
            left = len(self.lines(piece, -1)) - line
            if by < left:
                return piece, line + by
            piece, line, by = piece + 1, 0, by - left
        while by < 0:
            if -by <= line or not piece:
                return piece, max(0, line + by)
            piece, by = piece - 1, by + line
            line = len(self.lines(piece, -1))
        return piece, line

    def window(self, place: Place, height: int, here: int) -> list[Line]:
        """The lines from a place on."""
        piece, line = place
        found: list[Line] = []
        while piece < self.size and len(found) < height:
            found += self.lines(piece, here)[line:]
            piece, line = piece + 1, 0
        return found[:height]


class Beside(Layout):
    """Both texts beside each other: what belongs together at the same height."""

    def _arranged(self) -> Iterator[tuple[int, int | None]]:
        return ((row, None) for row in range(len(self._rows)))

    def _made(self, row: int, column: int | None, *, first: bool) -> Iterator[Line]:
        room = (self._width - len(BETWEEN)) // 2 - GUTTER
        both = self._rows[row].left, self._rows[row].right
        sides = [
            wrapped(_runs(parts, ink), room) for parts, ink in zip(both, self._inks, strict=True)
        ]
        for at, pair in enumerate(zip_longest(*sides)):
            line = Line()
            for side, (runs, parts, ink) in enumerate(zip(pair, both, self._inks, strict=True)):
                if side:
                    line.pad_to(room + GUTTER).add(BETWEEN, self._palette.track)
                mark = first and at == 0 and side == 0
                _add(line, runs, _mark(parts, ink), ink, first=mark, palette=self._palette)
            yield line


class Below(Layout):
    """One column: what both have once, what differs as lines of the left and then of the right."""

    def _arranged(self) -> Iterator[tuple[int, int | None]]:
        at, count = 0, len(self._rows)
        while at < count:
            end = at + 1
            while self._numbers[at] is not None and end < count and self._differs_like(end, at):
                end += 1
            if self._numbers[at] is None:
                yield at, None
            else:
                yield from ((row, 0) for row in range(at, end) if self._rows[row].left is not None)
                yield from ((row, 1) for row in range(at, end) if self._rows[row].right is not None)
            at = end

    def _differs_like(self, row: int, other: int) -> bool:
        return self._numbers[row] == self._numbers[other]

    def _made(self, row: int, column: int | None, *, first: bool) -> Iterator[Line]:
        both = self._rows[row].left, self._rows[row].right
        ink = self._inks[column or 0]
        if column is None:
            parts, mark = (both[1] if both[0] is None else both[0]), " "
        else:
            parts, mark = both[column], ink.mark
        for at, runs in enumerate(wrapped(_runs(parts, ink), self._width - GUTTER)):
            yield _add(Line(), runs, mark, ink, first=first and at == 0, palette=self._palette)


def _add(
    line: Line, runs: Sequence[Run] | None, mark: str, ink: Ink, *, first: bool, palette: Palette
) -> Line:
    """The gutter and a piece of one side; nothing where the side has none at this height."""
    if runs is None:
        return line.add((_HERE if first else " ") + " ", palette.strong)
    line.add(_HERE if first else " ", palette.strong).add(mark, ink.only)
    for text, style in runs:
        line.add(text, style)
    return line


def _mark(parts: Parts | None, ink: Ink) -> str:
    differs = any(not part.same and part.text.strip() for part in parts or ())
    return ink.mark if differs else " "


def _runs(parts: Parts | None, ink: Ink) -> list[Run] | None:
    """The runs of a line; None where there is no line. One that is all its own needs no other mark than
    that before it."""
    if parts is None:
        return None
    alone = not any(part.same for part in parts)
    return [(_shown(part), _style(part, ink, alone=alone)) for part in parts]


def _style(part: Part, ink: Ink, *, alone: bool) -> Style:
    if part.same:
        return ink.same
    return ink.only if alone else ink.word


def _shown(part: Part) -> str:
    return part.text.expandtabs(4)


def wrapped(runs: Sequence[Run] | None, width: int) -> list[list[Run]]:
    """A line in rows of at most ``width`` cells, cut at blanks where there are any; none for None."""
    if runs is None:
        return []
    width = max(2, width)
    rows: list[list[Run]] = [[]]
    room = width
    for text, style in runs:
        for word in _words(text):
            for piece in [word] if cell_len(word) <= width else chop_cells(word, width):
                length = cell_len(piece)
                if length > room and room < width:
                    rows.append([])
                    room = width
                    piece = piece.lstrip(" ")
                    length = cell_len(piece)
                if piece:
                    _append(rows[-1], piece, style)
                    room -= length
    return rows


def _append(row: list[Run], text: str, style: Style) -> None:
    """Put text at the end of a row, into its last run where that is of the same style."""
    if row and row[-1][1] == style:
        text = row.pop()[0] + text
    row.append((text, style))


def _words(text: str) -> Iterator[str]:
    """Each word with the blanks before it."""
    start = 0
    for at in range(1, len(text)):
        if text[at] == " " and text[at - 1] != " ":
            yield text[start:at]
            start = at
    if text:
        yield text[start:]
