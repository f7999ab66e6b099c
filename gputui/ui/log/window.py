"""What of a log is kept for the screen: the lines near it, and the row that is on top."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gputui.instances.log.lines import LogLine
from gputui.instances.log.reader import Change, Page
from gputui.ui.log.lines import pieces

MOST_LINES = 600
"""Lines that are kept at most; more are read again."""


@dataclass
class LogWindow:
    """The lines that are kept: all that are wanted between the bytes ``low`` and ``high``.

    ``top`` is the line on top of the screen, ``row`` which of its rows. ``width`` and ``height`` are the
    screen's; lines are on several rows where ``wrap``, else cut from ``column`` on.
    """

    lines: list[LogLine] = field(default_factory=list)
    low: int = 0
    high: int = 0
    at_begin: bool = True
    at_end: bool = True
    top: int = 0
    row: int = 0
    width: int = 1
    height: int = 1
    wrap: bool = True
    column: int = 0
    _parts: dict[tuple[int, int, int], list[tuple[int, int]]] = field(default_factory=dict)

    def show_end(self, page: Page, high: int) -> None:
        """These lines alone, the last ones of the file, whose last whole one ends at ``high``."""
        self.lines = list(page.lines)
        self.low, self.high = page.reached, high
        self.at_begin, self.at_end = page.edge, True
        self.top, self.row = self.last_place()

    def show_around(self, start: int, above: Page, below: Page) -> None:
        """These lines alone; the one at byte ``start`` a third below the top."""
        self.lines, self.low, self.high = [], start, start
        self.put_below(below)
        self.top = self.row = 0
        self.put_above(above)
        self.move(-(self.height // 3))
        self.clamp()

    def put_above(self, page: Page) -> None:
        """Put lines before the first one; what is on the screen stays."""
        self.lines[:0] = page.lines
        self.low, self.at_begin = page.reached, page.edge
        self.top += len(page.lines)

    def put_below(self, page: Page) -> None:
        """Put lines behind the last whole one."""
        while self.lines and self.lines[-1].start >= self.high:
            self.lines.pop()  # it had no end yet, and is read again
        self.lines += page.lines
        self.high, self.at_end = page.reached, page.edge

    def trim(self, near: int) -> None:
        """Give up what is far from the line ``near``."""
        ahead = max(0, near - MOST_LINES // 2) if len(self.lines) > MOST_LINES else 0
        if ahead:
            del self.lines[:ahead]
            self.low, self.at_begin = self.lines[0].start, False
            self.top = max(0, self.top - ahead)
        if len(self.lines) > MOST_LINES:
            del self.lines[MOST_LINES:]
            self.high, self.at_end = self.lines[-1].end, False

    def parts(self, line: LogLine) -> list[tuple[int, int]]:
        """From which to which character each row of a line goes."""
        if not self.wrap:
            return [(min(self.column, len(line.text)), len(line.text))]
        key = line.start, line.end, self.width
        if key not in self._parts:
            if len(self._parts) > 4 * MOST_LINES:
                self._parts.clear()
            self._parts[key] = pieces(line.text, self.width)
        return self._parts[key]

    def last_place(self) -> tuple[int, int]:
        """The line and its row on top where the last one is at the bottom."""
        left = self.height
        for number in range(len(self.lines) - 1, -1, -1):
            rows = len(self.parts(self.lines[number]))
            if rows >= left:
                return number, rows - left
            left -= rows
        return 0, 0

    @property
    def at_last(self) -> bool:
        """Whether the last line is on the screen."""
        return (self.top, self.row) >= self.last_place()

    def clamp(self) -> None:
        """No further down than the last line at the bottom."""
        self.top, self.row = max((0, 0), min((self.top, self.row), self.last_place()))

    def move(self, by: int) -> int:
        """Move by so many rows within what is kept; how many are left over."""
        while by < 0 and (self.top, self.row) > (0, 0):
            if self.row == 0:
                self.top -= 1
                self.row = len(self.parts(self.lines[self.top]))
            step = min(-by, self.row)
            self.row, by = self.row - step, by + step
        last = self.last_place()
        while by > 0 and (self.top, self.row) < last:
            rows = len(self.parts(self.lines[self.top]))
            end = last[1] if self.top == last[0] else rows
            step = min(by, end - self.row)
            self.row, by = self.row + step, by - step
            if self.row == rows:
                self.top, self.row = self.top + 1, 0
        return by

    def shown(self) -> Iterator[tuple[LogLine, int]]:
        """The rows on the screen: a line, and which of its rows."""
        left, first = self.height, self.row
        for line in self.lines[self.top :]:
            for number in range(first, len(self.parts(line))):
                if left == 0:
                    return
                yield line, number
                left -= 1
            first = 0


@dataclass(slots=True)
class Missed:
    """What happened to the file and is not on the screen yet; ``grown`` is in bytes."""

    change: Change = Change.NONE
    grown: int = 0

    def add(self, change: Change, by: int) -> None:
        if change is not Change.NONE and self.change is not Change.CUT:
            self.change = change
        self.grown += by
