"""The cells in which two screens differ, as pieces that are written in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import is_not, ne, or_

from gputui.ui.terminal.cells import Cells, certain
from gputui.ui.terminal.styles import DEFAULT, Style, blank

ERASE = "\x1b[K"
"""EL. It erases in the background colour (back colour erase) or does not: for the default one only."""

LONGEST = 64
"""Cells of a segment; another one behind it costs no move, and a slow line takes one at a time."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Cells of one row and one style, from ``start`` to before ``end``, none of them half a character.

    ``moved`` is the column where the cursor stands once they are written, None where terminals do
    not agree. ``plain``: blanks alone, which other styles than ``style`` can show as well.
    """

    row: int
    start: int
    end: int
    style: Style
    text: str
    moved: int | None
    plain: bool


def same(shown: Cells, wanted: Cells, row: int) -> bool:
    """Whether two screens show the same in a row."""
    return (
        shown.characters[row] == wanted.characters[row] and shown.styles[row] == wanted.styles[row]
    )


def differing(shown: Cells, wanted: Cells, row: int) -> list[int]:
    """The columns in which two screens differ."""
    if same(shown, wanted, row):
        return []
    one, other = shown.characters[row], wanted.characters[row]
    style, another = shown.styles[row], wanted.styles[row]
    return list(compress(count(), map(or_, map(ne, one, other), map(is_not, style, another))))


def segments(wanted: Cells, row: int, columns: Sequence[int]) -> Iterator[Segment]:
    """What to write into a row so that these columns show what they shall."""
    erased = _erased(wanted, row, columns)
    characters, styles = wanted.characters[row], wanted.styles[row]
    for start, end in _spans(columns, characters):
        at = start
        while at < min(end, erased):
            style = _style_for(characters, styles, at, end)
            stop = _cut(characters, at, _run(characters, styles, at, min(end, erased), style))
            text = "".join(characters[at:stop])
            if not certain(text):
                stop = _first_uncertain(characters, at)
                text = "".join(characters[at:stop])
                yield Segment(row, at, stop, style, text, None, False)
            else:
                moved = stop if stop < wanted.columns else None
                yield Segment(row, at, stop, style, text, moved, not text.strip(" "))
            at = stop
        if end > erased:
            at = max(start, erased)
            yield Segment(row, at, wanted.columns, DEFAULT, ERASE, at, True)
            return


def _erased(wanted: Cells, row: int, columns: Sequence[int]) -> int:
    """From where on a row is erased rather than written; its end where that is no shorter."""
    characters, styles = wanted.characters[row], wanted.styles[row]
    end = wanted.columns
    while end and characters[end - 1] == " " and styles[end - 1] is DEFAULT:
        end -= 1
    blanks = [column for column in columns if column >= end]
    return blanks[0] if len(blanks) > len(ERASE) else wanted.columns


def _spans(columns: Sequence[int], characters: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Columns that stand together, from the first to behind the last; no half of a character."""
    for first, last in _together(columns):
        end = last + 1
        while end < len(characters) and not characters[end]:
            end += 1
        yield first - (not characters[first]), end


def _together(columns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of columns that stand together."""
    if not columns:
        return
    first = last = columns[0]
    if columns[-1] - first == len(columns) - 1:
        yield first, columns[-1]
        return
    for column in columns:
        if column > last + 1:
            yield first, last
            first = column
        last = column
    yield first, last


def _run(
    characters: Sequence[str], styles: Sequence[Style], at: int, end: int, style: Style
) -> int:
    """Behind the last of the cells from ``at`` on that can be written in that style."""
    plain = blank(style)
    while at < end and (styles[at] is style or (styles[at] is plain and characters[at] == " ")):
        at += 1
    return at


def _cut(characters: Sequence[str], at: int, stop: int) -> int:
    """The end of a segment that is not too long, and no half of a character."""
    if stop - at <= LONGEST:
        return stop
    stop = at + LONGEST
    while not characters[stop]:
        stop -= 1
    return stop


def _first_uncertain(characters: Sequence[str], at: int) -> int:
    """Behind the first character from ``at`` on after which the cursor may be anywhere."""
    while certain(characters[at]):
        at += 1
    at += 1
    while at < len(characters) and not characters[at]:
        at += 1
    return at


def _style_for(characters: Sequence[str], styles: Sequence[Style], at: int, end: int) -> Style:
    """Blanks are written in the style of the text behind them, where they look the same in it."""
    style = styles[at]
    for column in range(at, end):
        if characters[column] != " ":
            return styles[column] if blank(styles[column]) is style else style
        if styles[column] is not style:
            return style
    return style
