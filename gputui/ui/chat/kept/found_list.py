"""The list of conversations, or of the places in them where words were found, with a cursor."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.binding import Binding
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from gputui.chat.keeping.found import Match, Summary
from gputui.text import clean_line
from gputui.ui.cells import CellView, Line
from gputui.ui.chat.kept import rows
from gputui.ui.palette import Look

NEAR_END = 20
"""Conversations before the end of the list at which more are asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be shown: conversations, or where ``words`` are in them. ``problem``: why there is
    nothing; "" where there is none."""

    words: str = ""
    conversations: tuple[Summary, ...] = ()
    matches: tuple[Match, ...] = ()
    problem: str = ""

    @property
    def items(self) -> Sequence[Summary | Match]:
        """What the cursor goes over."""
        return self.matches if self.words else self.conversations


class FoundList(CellView, can_focus=True):
    """Shows what is found; ``open_id`` is the conversation on the screen."""

    BINDINGS = [
        Binding("r", "screen.rename", "Rename", show=False, id="kept.rename_letter"),
        Binding("e", "screen.export", "Export", show=False, id="kept.export_letter"),
        Binding("delete", "screen.delete", "Delete", show=False, id="kept.delete_key"),
        Binding("enter", "screen.open", "Open", key_display="enter", id="kept.open"),
        Binding("slash", "screen.search", "Search", show=False, key_display="/", id="kept.search"),
    ]

    class MoreWanted(Message):
        """The cursor comes near the end of the conversations."""

    class Chosen(Message):
        """A row was clicked that had the cursor."""

    def __init__(
        self, look: Look, clock: Callable[[], float], open_id: Callable[[], int | None]
    ) -> None:
        super().__init__(look, id="kept-list")
        self._clock = clock
        self._open_id = open_id
        self._found: Found | None = None
        self._cursor = 0
        self._top = 0

    @property
    def found(self) -> Found | None:
        """What is shown; None before anything is known."""
        return self._found

    @property
    def selected(self) -> Summary | Match | None:
        """What the cursor is on; None where there is nothing."""
        items = self._found.items if self._found else ()
        return items[self._cursor] if self._cursor < len(items) else None

    def show(self, found: Found) -> None:
        """Show that; the cursor stays on its place where the question is the same, else on the first."""
        same = self._found is not None and self._found.words == found.words
        self._found = found
        self._cursor = max(0, min(len(found.items) - 1, self._cursor)) if same else 0
        self.redraw()

    def move(self, by: int) -> None:
        """Move the cursor by that many rows."""
        items = self._found.items if self._found else ()
        self._cursor = max(0, min(len(items) - 1, self._cursor + by))
        if len(items) - self._cursor <= NEAR_END:
            self.post_message(self.MoreWanted())
        self.redraw()

    @property
    def page(self) -> int:
        """How many rows of the cursor are seen at once."""
        return max(1, (self.content_size.height - 3) // self._rows_each)

    @property
    def _rows_each(self) -> int:
        return 2 if self._found is not None and self._found.words else 1

    def lines(self, width: int) -> Sequence[Line]:
        found, palette = self._found, self.look.palette
        if found is None:
            return [Line().add("  …", palette.dim)]
        if found.problem:
            wrapped = textwrap.wrap(found.problem, max(20, width - 4))
            return [Line().add(f"  {line}", palette.warning) for line in wrapped]
        if not found.items:
            return [Line().add(f"  {_nothing(found.words)}", palette.dim)]
        return [self._head(width), *self._table(width), Line(), self._about(width)]

    def _head(self, width: int) -> Line:
        found, palette = self._found, self.look.palette
        if found is None or not found.words:
            return rows.head(palette, width)
        count = len(found.matches)
        places = "1 place" if count == 1 else f"{count} places"
        return Line().add(f"  {places}, titles and then the newest first", palette.dim)

    def _table(self, width: int) -> list[Line]:
        items = self._found.items if self._found else ()
        self._top = max(min(self._top, self._cursor), self._cursor - self.page + 1)
        seen = items[self._top : self._top + self.page]
        lines = [
            self._marked(line, width, marked=self._top + place == self._cursor, first=not number)
            for place, item in enumerate(seen)
            for number, line in enumerate(self._row(item, width))
        ]
        blanks = (self.page - len(seen)) * self._rows_each
        return [*lines, *(Line() for _ in range(blanks))]

    def _row(self, item: Summary | Match, width: int) -> Sequence[Line]:
        palette, now = self.look.palette, self._clock()
        if isinstance(item, Match):
            return rows.found(item, palette, width, now)
        here = item.id == self._open_id()
        return (rows.conversation(item, palette, width, now, open_=here),)

    def _marked(self, row: Line, width: int, *, marked: bool, first: bool) -> Line:
        palette = self.look.palette
        line = Line().add("▸ " if marked and first else "  ", palette.strong)
        line.runs += row.runs
        line.width += row.width
        if marked:
            line.pad_to(width)
            line.runs = [(text, style + palette.cursor) for text, style in line.runs]
        return line

    def _about(self, width: int) -> Line:
        one = self.selected
        words = rows.about(one, self._clock()) if isinstance(one, Summary) else ""
        return Line().add("  ", self.look.palette.dim).cell(words, width - 3, self.look.palette.dim)

    # ── the mouse ────────────────────────────────────────────────────────────────────────────

    def on_click(self, event: Click) -> None:
        place = event.get_content_offset(self)
        if place is None or place.y < 1 or self.selected is None:
            return
        row = self._top + (place.y - 1) // self._rows_each
        if row == self._cursor:
            self.post_message(self.Chosen())
        elif row < self._top + self.page:
            self.move(row - self._cursor)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.move(-1)

    def on_focus(self) -> None:
        self.redraw()


def _nothing(words: str) -> str:
    if words:
        return f"Nothing was said with: {clean_line(words, 60)}"
    return "No conversation is kept yet: each is, from its first answer on."
