"""The answer that is being written: of each piece the cells that are others, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from gputui.chat.model import Answer
from gputui.ui.cells import Line, changed_regions
from gputui.ui.chat.live.lines import Changed, LiveLines
from gputui.ui.palette import Look

_ROOM = 3
"""A third of the pane is left free below it where it needs more room: the pane is laid out and scrolled
once for so many lines, and not for each."""


class LiveAnswer(Widget):
    """Plain text that grows. ``scheduled`` counts the cells that it asked to be drawn so far, in regions of
    its own, and ``rooms`` how often it asked for more room."""

    def __init__(self, look: Look) -> None:
        super().__init__(classes="live")
        self._look = look
        self._shows: tuple[str, Answer] | None = None
        self._lines = LiveLines(1, look.palette)
        self._width = 0
        self._reserved = 0
        self._base = Style.null()
        self.scheduled = 0
        self.rooms = 0
        self.unfolded = False

    def toggle_reasoning(self) -> None:
        """Show all of the reasoning, or only how much it is."""
        self.unfolded = not self.unfolded
        if self._shows is not None:
            self.update_answer(*self._shows)

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        if self._shows is not None:
            self._begin(self._width)
            self.refresh(layout=True)

    def update_answer(self, prompt: str, answer: Answer) -> None:
        """Show the prompt and what has come so far."""
        self._shows = prompt, answer
        if self._width <= 0:  # not laid out as yet
            self.refresh(layout=True)
            return
        anew = self._lines.anew
        changes = self._lines.take(prompt, answer, unfolded=self.unfolded)
        regions = list(self._regions(changes))
        self.scheduled += sum(region.area for region in regions)
        grown = len(self._lines) > self._reserved
        if grown or self._lines.anew != anew:
            self._reserved = 0
            self.rooms += 1
            self.refresh(*regions, layout=True)
        elif regions:
            self.refresh(*regions)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Its rows and room for some more."""
        if width != self._width and width > 0:
            self._begin(width)
        rows = len(self._lines)
        if rows > self._reserved:
            self._reserved = rows + max(1, container.height // _ROOM) - 1
        return self._reserved

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All that there is."""
        return container.width

    def _begin(self, width: int) -> None:
        """Lay all out at that width."""
        self._width, self._reserved = width, 0
        self._lines = LiveLines(width, self._look.palette)
        if self._shows is not None:
            self._lines.take(*self._shows, unfolded=self.unfolded)

    def _regions(self, changes: Sequence[Changed]) -> Iterator[Region]:
        for change in changes:
            count = max(len(change.before), len(change.after))
            before, after = (self._strips(rows, count) for rows in (change.before, change.after))
            for region in changed_regions(before, after, self._width):
                yield region.translate((0, change.y))

    def _strips(self, rows: Sequence[Line], count: int) -> list[Strip]:
        """So many; below the last it is blank, as it is on the screen."""
        blank = Line()
        return [
            (rows[y] if y < len(rows) else blank).strip(self._width, self._look)
            for y in range(count)
        ]

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base = self.rich_style  # reckoned anew at each look at it
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line, blank below the last."""
        width, base = self.content_size.width, self._base
        line = self._lines.row(y) if y < len(self._lines) else Line()
        segments = [Segment(self._look.text(text), base + style) for text, style in line.runs]
        if line.width < width:
            segments.append(Segment(" " * (width - line.width), base))
        strip = Strip(segments, max(line.width, width))
        return strip if line.width <= width else strip.crop(0, width)
