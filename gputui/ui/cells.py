"""A widget of cells that repaints only the cells that changed: the base of every live panel.

Textual sends every cell of a refreshed region to the terminal. A panel whose numbers change once a
second would send itself whole, again and again; over SSH that is what a person feels. So a panel
hands over all its lines, and this class finds the smallest regions that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gputui.ui.palette import Look

Run = tuple[str, Style]
"""Text in one style."""

Cell = tuple[str, Style | None]

MERGE_GAP = 8
"""Unchanged cells between two changes that cost less to send again than a cursor move and a style."""


class Line:
    """A line under construction: runs of text, left to right, with the width used so far."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.width = 0

    def add(self, text: str, style: Style) -> Line:
        """Append ``text``; returns the line, so that additions chain."""
        if text:
            self.runs.append((text, style))
            self.width += cell_len(text)
        return self

    def pad_to(self, column: int) -> Line:
        """Blanks up to ``column``; nothing where the line is there already."""
        return self.add(" " * (column - self.width), Style.null())

    def strip(self, width: int) -> Strip:
        """The line at exactly ``width`` cells."""
        return Strip([Segment(text, style) for text, style in self.runs]).adjust_cell_length(width)


class CellView(Widget):
    """Shows the lines that ``lines`` gives; ``redraw`` repaints the cells in which they differ."""

    DEFAULT_CSS = "CellView { height: auto; width: 1fr; }"

    def __init__(self, look: Look, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.look = look
        self._strips: list[Strip] = []

    def lines(self, width: int) -> Iterable[Line]:
        """What to show now, for a content of ``width`` cells; to be overridden."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Bring the screen up to date; nothing is sent for a cell that stays as it is."""
        width = self.content_size.width
        if width <= 0:
            return
        strips = [line.strip(width) for line in self.lines(width)]
        old, self._strips = self._strips, strips
        regions = list(changed_regions(old, strips, width))
        if regions:
            self.refresh(*regions)

    def on_resize(self) -> None:
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """One line, blank below the last."""
        width = self.content_size.width
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(width)
        return strip.adjust_cell_length(width).apply_style(self.rich_style)


def changed_regions(old: Sequence[Strip], new: Sequence[Strip], width: int) -> Iterator[Region]:
    """The smallest regions, one line high, that cover every cell in which old and new differ."""
    for y, (before, after) in enumerate(zip_longest(old, new)):
        if before is None or after is None:
            yield Region(0, y, width, 1)
        elif before != after:
            for start, end in _changed_spans(_cells(before), _cells(after)):
                yield Region(start, y, end - start, 1)


def _cells(strip: Strip) -> list[Cell]:
    """A strip by cell; the second cell of a wide character is an empty one of its style."""
    cells: list[Cell] = []
    for text, style, _ in strip:
        for character in text:
            width = cell_len(character)
            if width == 0 and cells:
                cells[-1] = (cells[-1][0] + character, style)
            else:
                cells.append((character, style))
                cells.extend([("", style)] * (width - 1))
    return cells


def _changed_spans(old: Sequence[Cell], new: Sequence[Cell]) -> Iterator[tuple[int, int]]:
    start = end = -1
    for x, (before, after) in enumerate(zip_longest(old, new)):
        if before == after:
            continue
        if start >= 0 and x - end > MERGE_GAP:
            yield start, end
            start = x
        elif start < 0:
            start = x
        end = x + 1
    if start >= 0:
        yield start, end
