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
            stop, style, sure = _run(characters, styles, at, min(end, erased))
            moved = stop if sure and stop < wanted.columns else None
            text = "".join(characters[at:stop])
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
    start = end = -1
    for column in columns:
        if column > end or end < 0:
            if end >= 0:
                yield start, end
            start = column - (not characters[column])
        end = max(end, column + 1)
        while end < len(characters) and not characters[end]:
            end += 1
    if end >= 0:
        yield start, end


def _run(
    characters: Sequence[str], styles: Sequence[Style], at: int, end: int
) -> tuple[int, Style, bool]:
    """The longest run from ``at`` on in one style: its end, the style, whether its width is sure."""
    style = _style_for(characters, styles, at, end)
    plain = blank(style)
    while at < end:
        character = characters[at]
        if styles[at] is not style and (character != " " or styles[at] is not plain):
            break
        at += 1
        if character and not certain(character):
            while at < end and not characters[at]:
                at += 1
            return at, style, False
    return at, style, True


def _style_for(characters: Sequence[str], styles: Sequence[Style], at: int, end: int) -> Style:
    """Blanks are written in the style of the text behind them, where they look the same in it."""
    style = styles[at]
    for column in range(at, end):
        if characters[column] != " ":
            return styles[column] if blank(styles[column]) is style else style
        if styles[column] is not style:
            return style
    return style
