"""Two answers compared, as lines of cells: beside each other, or one below the other where that is narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, chop_cells
from rich.style import Style

from gputui.chat.reading.differences import Comparison, Part, Parts, Row
from gputui.ui.cells import Line, Run
from gputui.ui.palette import Palette

GUTTER = 2
"""Before each text: the mark of the difference one is at, and whose the line is."""
BETWEEN = " │ "
_HERE = "▸"


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


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the screen; ``difference`` is which one it belongs to, None where the sides are alike."""

    line: Line
    difference: int | None


def numbered(rows: Sequence[Row]) -> list[int | None]:
    """For each row which difference it is part of, from 0 on; those without a row between are one."""
    numbers: list[int | None] = []
    count, inside = -1, False
    for row in rows:
        count += row.differs and not inside
        inside = row.differs
        numbers.append(count if inside else None)
    return numbers


def beside(
    comparison: Comparison, width: int, inks: tuple[Ink, Ink], here: int, palette: Palette
) -> Iterator[Shown]:
    """Both texts beside each other: what belongs together at the same height."""
    room = (width - len(BETWEEN)) // 2 - GUTTER
    before: int | None = None
    for row, number in zip(comparison.rows, numbered(comparison.rows), strict=True):
        sides = [
            wrapped(_runs(parts, ink), room)
            for parts, ink in zip((row.left, row.right), inks, strict=True)
        ]
        for at, pair in enumerate(zip_longest(*sides)):
            line = Line()
            for column, (runs, parts, ink) in enumerate(
                zip(pair, (row.left, row.right), inks, strict=True)
            ):
                if column:
                    line.pad_to(room + GUTTER).add(BETWEEN, palette.track)
                first = number == here != before and at == 0 and column == 0
                _add(line, runs, _mark(parts, ink), ink, first=first, palette=palette)
            yield Shown(line, number)
        before = number


def below(
    comparison: Comparison, width: int, inks: tuple[Ink, Ink], here: int, palette: Palette
) -> Iterator[Shown]:
    """One column: what both have once, what differs as lines of the left and then of the right."""
    rows, numbers = comparison.rows, numbered(comparison.rows)
    at = 0
    while at < len(rows):
        end = at + 1
        while numbers[at] is not None and end < len(rows) and numbers[end] == numbers[at]:
            end += 1
        sides = ([row.left for row in rows[at:end]], [row.right for row in rows[at:end]])
        first = numbers[at] == here
        for side, ink in zip(sides, inks, strict=True) if numbers[at] is not None else ():
            for parts in side:
                for runs in wrapped(_runs(parts, ink), width - GUTTER):
                    line = Line()
                    _add(line, runs, ink.mark, ink, first=first, palette=palette)
                    first = False
                    yield Shown(line, numbers[at])
        if numbers[at] is None:
            parts = sides[0][0] if sides[0][0] is not None else sides[1][0]
            for runs in wrapped(_runs(parts, inks[0]), width - GUTTER):
                yield Shown(_add(Line(), runs, " ", inks[0], first=False, palette=palette), None)
        at = end


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
