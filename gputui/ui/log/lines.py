"""A line of a log as rows of cells: wrapped or not, its level by letter and colour, what was found in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from rich.cells import chop_cells
from rich.style import Style

from gputui.instances.log.lines import Level, LogLine, Search
from gputui.ui.cells import Line
from gputui.ui.palette import Palette

GUTTER = 1
"""Columns before the text, for the mark of what was found."""
_PREFIX = re.compile(r"((?:\d+\.)+\d+) ([A-Z])(?= )")
_FOUND = Style(reverse=True)


def pieces(text: str, width: int) -> list[tuple[int, int]]:
    """From where to where each row of a wrapped line goes, for rows of ``width`` cells."""
    width = max(1, width)
    if text.isascii():
        ends = [*range(width, len(text), width), len(text)]
    else:
        ends, at = [], 0
        for piece in chop_cells(text, width):
            at += len(piece)
            ends.append(at)
    return list(pairwise([0, *ends])) if text else [(0, 0)]


def row(
    line: LogLine, part: tuple[int, int], mark: str, search: Search | None, palette: Palette
) -> Line:
    """One row: the characters ``part`` of a line, behind its mark."""
    drawn = Line().cell(mark, GUTTER, palette.strong)
    start, end = part
    styles = _styles(line, palette)
    found = search.spans(line.text) if search else []
    edges = {start, end}
    edges |= {at for first, last, _ in styles for at in (first, last) if start < at < end}
    edges |= {at for span in found for at in span if start < at < end}
    for first, last in pairwise(sorted(edges)):
        style = next(one for begin, close, one in styles if begin <= first < close)
        if any(begin <= first < close for begin, close in found):
            style += _FOUND
        drawn.add(line.text[first:last], style)
    return drawn


def _styles(line: LogLine, palette: Palette) -> Sequence[tuple[int, int, Style]]:
    """From where to where a line has which style: its time dim, its letter strong."""
    body = level_style(line.level, palette)
    end = max(len(line.text), 1)
    prefix = _PREFIX.match(line.text)
    if prefix is None:
        return [(0, end, body)]
    letter = prefix.start(2)
    return [
        (0, letter, palette.dim),
        (letter, letter + 1, body + Style(bold=True)),
        (letter + 1, end, body),
    ]


def level_style(level: Level, palette: Palette) -> Style:
    """The colour of a level; the letter says the same without it."""
    quiet = Style(bold=False)
    return {
        Level.DEBUG: palette.dim,
        Level.INFO: palette.value,
        Level.WARNING: palette.warning + quiet,
        Level.ERROR: palette.error + quiet,
    }[level]
