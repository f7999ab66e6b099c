"""A widget of cells that repaints only the cells that changed: the base of every live panel.

Textual sends every cell of a refreshed region to the terminal. A panel whose numbers change once a
second would send itself whole, again and again; over SSH that is what a person feels. So a panel
hands over all its lines, and this class finds the smallest regions that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gputui.ui.palette import Look

Run = tuple[str, Style]
"""Text in one style."""

Cell = tuple[str, Style | None]


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

    def cell(
        self, text: str, width: int, style: Style, *, right: bool = False, gap: int = 0
    ) -> Line:
        """``text`` at exactly ``width`` cells, and ``gap`` blanks; an ellipsis ends a cut."""
        text = cut(text, width)
        blanks = " " * (width - cell_len(text))
        padded = blanks + text if right else text + blanks
        return self.add(padded + " " * gap, style)

    def strip(self, width: int, look: Look) -> Strip:
        """The line at exactly ``width`` cells, in what the terminal's encoding holds."""
        segments = [Segment(look.text(text), style) for text, style in self.runs]
        return Strip(segments).adjust_cell_length(width)


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells; an ellipsis ends a cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


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
        strips = [line.strip(width, self.look) for line in self.lines(width)]
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
    """One region a line, from the first to the last cell in which old and new differ.

    One and not several, since Textual (8.2, ChopsUpdate) sends each region of a line from the
    widget's left edge on: a second region would send the first one again.
    """
    for y, (before, after) in enumerate(zip_longest(old, new)):
        if before is None or after is None:
            yield Region(0, y, width, 1)
        elif before != after:
            pairs = enumerate(zip_longest(_cells(before), _cells(after)))
            changed = [x for x, (one, other) in pairs if one != other]
            if changed:
                yield Region(changed[0], y, changed[-1] + 1 - changed[0], 1)


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
