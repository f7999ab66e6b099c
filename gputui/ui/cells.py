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
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from gputui.ui.palette import Look

Run = tuple[str, Style]
"""Text in one style."""

Cell = tuple[str, Style | None]

_PLAIN = frozenset(
    [
        chr(code)
        for first, last in ((0x20, 0x7E), (0x2500, 0x25FC))
        for code in range(first, last + 1)
    ]
    + list("°·×–—…‹›↑→↓←")
).issuperset
"""Whether each character of a text is one cell wide: nearly all that is drawn."""


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

    def join(self, other: Line, column: int) -> Line:
        """Append another line, cut where it would go beyond ``column``."""
        for text, style in other.runs:
            room = column - self.width
            self.add(text if cell_len(text) <= room else set_cell_size(text, max(0, room)), style)
        return self

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
        self._shown_runs: list[list[Run]] = []
        self._strips: list[Strip] = []
        self._beneath = Style.null()
        self._shown_for: tuple[int, bool] = (0, False)

    def lines(self, width: int) -> Iterable[Line]:
        """What to show now, for a content of ``width`` cells; to be overridden."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Bring the screen up to date; nothing is sent for a cell that stays as it is.

        What is not displayed is drawn once it is: it gets a resize then.
        """
        width = self.content_size.width
        if width <= 0 or not all(node.display for node in self.ancestors_with_self):
            return
        regions = list(self._adopt_lines([*self.lines(width)], width))
        if regions:
            self.refresh(*regions)

    def _adopt_lines(self, lines: Sequence[Line], width: int) -> Iterator[Region]:
        """Adopt these lines; the regions in which they differ. A line that stays costs a comparison."""
        drawn = width, self.look.ascii_only
        if drawn != self._shown_for:
            self._shown_for, self._shown_runs = drawn, []
        old, self._shown_runs = self._shown_runs, [line.runs for line in lines]
        strips, self._strips = self._strips, []
        for y, line in enumerate(lines):
            if y < len(old) and old[y] == line.runs:
                self._strips.append(strips[y])
                continue
            strip = line.strip(width, self.look)
            self._strips.append(strip)
            yield from changed_regions(strips[y : y + 1], [strip], width, y)
        yield from (Region(0, y, width, 1) for y in range(len(lines), len(strips)))

    def on_resize(self) -> None:
        self.redraw()

    def _size_updated(
        self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True
    ) -> bool:
        """At another width all lines are others. Textual tells a widget of its size once it has drawn it:
        that is too late, what is drawn twice is sent twice."""
        updated = super()._size_updated(size, virtual_size, container_size, layout)
        if self.content_size.width != self._shown_for[0]:
            self.redraw()
        return updated

    def render_lines(self, crop: Region) -> list[Strip]:
        """As the widget has it; the style beneath all lines is made up once."""
        self._beneath = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line, blank below the last."""
        width = self.content_size.width
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(width)
        return strip.adjust_cell_length(width).apply_style(self._beneath)


APART = 8
"""So many cells between two changes that stay as they are cost more than going there costs."""


def changed_regions(
    old: Sequence[Strip], new: Sequence[Strip], width: int, top: int = 0
) -> Iterator[Region]:
    """The regions in which old and new differ, ``APART`` or more cells apart in a row; the first row is
    ``top``. A wide character is in one as a whole."""
    for y, (before, after) in enumerate(zip_longest(old, new), top):
        if before is None or after is None:
            yield Region(0, y, width, 1)
        elif before != after:
            cells = _cells(after)
            pairs = enumerate(zip_longest(_cells(before), cells))
            changed = [x for x, (one, other) in pairs if one != other]
            for start, end in _joined(changed):
                wide = end < len(cells) and not cells[end][0]
                yield Region(start, y, end + wide - start, 1)


def _joined(changed: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first cell and the one behind the last of each group of cells that lie near each other."""
    if not changed:
        return
    start = before = changed[0]
    for x in changed[1:]:
        if x - before > APART:
            yield start, before + 1
            start = x
        before = x
    yield start, before + 1


def _cells(strip: Strip) -> list[Cell]:
    """A strip by cell; the second cell of a wide character is an empty one of its style."""
    cells: list[Cell] = []
    for text, style, _ in strip:
        if _PLAIN(text):
            cells += [(character, style) for character in text]
            continue
        for character in text:
            width = cell_len(character)
            if width == 0 and cells:
                cells[-1] = (cells[-1][0] + character, style)
            else:
                cells.append((character, style))
                cells.extend([("", style)] * (width - 1))
    return cells
