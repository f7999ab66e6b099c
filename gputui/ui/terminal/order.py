"""In which order to write: a change of style costs more than most moves of the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gputui.ui.terminal.moves import move
from gputui.ui.terminal.segments import Segment
from gputui.ui.terminal.styles import Style, blank, change, for_blanks

MOST_SORTED = 200
"""Segments: a screen that is new is written row by row."""


def style_of(segment: Segment, before: Style | None) -> Style:
    """In which style a segment is written by a pen that wrote in ``before``."""
    if not segment.plain or before is None:
        return segment.style
    return before if blank(before) is segment.style else for_blanks(before, segment.style)


def shortest(
    pieces: Sequence[Segment], row: int | None, column: int | None, style: Style | None
) -> Sequence[Segment]:
    """The segments row by row or style by style, whichever is less to send from there on."""
    if not 1 < len(pieces) <= MOST_SORTED:
        return pieces
    sorted_ = _by_style(pieces, style)
    choices = (pieces, sorted_)
    return min(choices, key=lambda choice: _length(choice, row, column, style))


def _by_style(pieces: Iterable[Segment], style: Style | None) -> list[Segment]:
    """Those of one style together; after each style the one that is nearest to it."""
    groups: dict[Style, list[Segment]] = {}
    for piece in pieces:
        groups.setdefault(piece.style, []).append(piece)
    found: list[Segment] = []
    while groups:
        near = [group for group in groups if style is not None and group is blank(style)]
        style = near[0] if near else min(groups, key=lambda group: len(change(style, group)))
        found += groups.pop(style)
    return found


def _length(
    pieces: Iterable[Segment], row: int | None, column: int | None, style: Style | None
) -> int:
    """Characters of the moves and changes of style between the segments."""
    length = 0
    for piece in pieces:
        next_style = style_of(piece, style)
        length += len(move(row, column, piece.row, piece.start))
        length += len(change(style, next_style))
        row, column, style = piece.row, piece.moved, next_style
    return length
