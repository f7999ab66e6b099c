"""Tables for the command line: columns that fit into the terminal, in cells, with colour on top."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TextIO, TypeVar

GAP = "  "
"""Between two columns."""

Run = tuple[str, str]
"""A text and its role: "" plain, ``dim``, ``strong``, ``warning``, ``error``, ``gpu0``, ``gpu1``, …"""

Line = list[Run]

Row = TypeVar("Row")

_CODES = {"dim": "2", "strong": "1", "warning": "1;33", "error": "1;31"}
_HUES = ("36", "35", "32", "34")  # red and yellow are for trouble


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column. Those of the highest ``rank`` go first where the width does not do, those of rank 0
    never. One with ``least`` may shrink to so many cells, once all columns of a rank over ``shrinks_at``
    are gone. ``role`` is that of a cell."""

    heading: str
    rank: int
    text: Callable[[Row], str]
    left: bool = False
    least: int | None = None
    shrinks_at: int = 99
    role: Callable[[Row], str] = lambda _row: ""


@dataclass(frozen=True)
class Grid(Generic[Row]):
    """A table that was fitted: its columns, the line of headings, and a line a row."""

    columns: Sequence[Column[Row]]
    heading: Line
    lines: Sequence[Line]


def grid(columns: Sequence[Column[Row]], rows: Sequence[Row], width: int | None) -> Grid[Row]:
    """The columns that fit into ``width`` cells (None: all), in their order."""
    texts = {column.heading: [column.text(row) for row in rows] for column in columns}
    natural = {
        column.heading: max(map(cell_width, (column.heading, *texts[column.heading])))
        for column in columns
    }
    chosen = list(columns)
    while width is not None and _needed(chosen, natural) > width:
        last = max(chosen, key=lambda column: column.rank)
        if last.rank == 0:
            break
        chosen.remove(last)
    for column in sorted(columns, key=lambda column: column.rank):
        more = [one for one in columns if one in chosen or one is column]
        if width is not None and _needed(more, natural) <= width:
            chosen = more  # what made no room is back
    widths = _shrunk(chosen, natural, width)
    headings = [[(column.heading, "dim") for column in chosen]]
    cells = [
        [(texts[column.heading][place], column.role(row)) for column in chosen]
        for place, row in enumerate(rows)
    ]
    heading, *lines = (_joined(chosen, widths, line) for line in headings + cells)
    return Grid(chosen, heading, lines)


def _needed(columns: Sequence[Column[Row]], natural: dict[str, int]) -> int:
    """The least width at which nothing but columns with ``least`` is cut."""
    widths = (min(natural[c.heading], _least(c, columns, natural)) for c in columns)
    return sum(widths) + len(GAP) * (len(columns) - 1)


def _least(column: Column[Row], all_: Sequence[Column[Row]], natural: dict[str, int]) -> int:
    may = column.least is not None and max(c.rank for c in all_) <= column.shrinks_at
    return (column.least or 0) if may else natural[column.heading]


def _shrunk(
    columns: Sequence[Column[Row]], natural: dict[str, int], width: int | None
) -> dict[str, int]:
    widths = {column.heading: natural[column.heading] for column in columns}
    over = 0 if width is None else sum(widths.values()) + len(GAP) * (len(columns) - 1) - width
    for column in columns:
        cut = min(over, widths[column.heading] - _least(column, columns, natural))
        if cut > 0:
            widths[column.heading] -= cut
            over -= cut
    return widths


def _joined(columns: Sequence[Column[Row]], widths: dict[str, int], cells: Line) -> Line:
    line: Line = []
    for column, (text, role) in zip(columns, cells, strict=True):
        width = widths[column.heading]
        blanks = " " * (width - cell_width(cut := fitted(text, width)))
        gap = GAP if line else ""
        line += (
            [(gap, ""), (cut, role), (blanks, "")]
            if column.left
            else [(gap + blanks, ""), (cut, role)]
        )
    return line


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to ``stream``: only on a terminal, and not where the user wants none
    (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def painted(line: Line, width: int | None = None, *, colour: bool = False) -> str:
    """The line, cut to ``width`` cells (None: not at all), with escape sequences where ``colour`` says
    so; colour never says what no word says. No blanks at its end."""
    parts: list[str] = []
    for text, role in _without_end(line):
        if width is not None:
            text = fitted(text, width)
            width -= cell_width(text)
        parts.append(f"\x1b[{_code(role)}m{text}\x1b[0m" if colour and role and text else text)
    return "".join(parts)


def _without_end(line: Line) -> Line:
    kept = list(line)
    while kept and not kept[-1][0].rstrip():
        kept.pop()
    return [*kept[:-1], (kept[-1][0].rstrip(), kept[-1][1])] if kept else kept


def _code(role: str) -> str:
    return _HUES[int(role[3:]) % len(_HUES)] if role.startswith("gpu") else _CODES[role]


def fitted(text: str, width: int) -> str:
    """``text`` cut to at most ``width`` cells; an ellipsis ends a cut."""
    if cell_width(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += cell_width(character)
        if used > width:
            break
        kept += character
    return kept + "…" if width > 0 else ""


def cell_width(text: str) -> int:
    """How many cells ``text`` takes (Unicode's East Asian Width)."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
