"""The turns of a side to scroll in: which one is in view, and how far in it one has read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.widget import Widget

from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.live.answer import LiveAnswer

if TYPE_CHECKING:
    from gputui.instances.log.lines import Search


TurnView = FinishedAnswer | LiveAnswer


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one has read: a turn, the share of it that is behind (0 to 1), and whether this is the end
    of all."""

    view: TurnView
    share: float
    at_end: bool


class Turns(VerticalScroll):
    """The turns of one side. ``led``: it is being moved by the program, not by the user.

    What one reads is taken to be at the top of the screen at the top of the conversation, at the bottom at
    its end, and between them in proportion: so that every line is read at some place of the scrollbar.
    ``search``: what is marked in turns that are shown from now on.
    """

    led = False
    search: Search | None = None
    shown: Callable[[], None] | None = None
    """Called when it can be seen again, after it could not."""

    def on_show(self) -> None:
        if self.shown is not None:
            self.call_after_refresh(self.shown)

    @property
    def all_views(self) -> list[TurnView]:
        """What is shown of turns, the one that is being written too, from the top down."""
        return [
            child
            for child in self.children
            if child.display and isinstance(child, FinishedAnswer | LiveAnswer)
        ]

    def move_to(self, y: float, *, led: bool = True) -> None:
        """Scroll there at once."""
        was, self.led = self.led, led
        try:
            self.scroll_to(y=y, animate=False, immediate=True)
        finally:
            self.led = was

    def reach(self) -> Reach | None:
        """How far one has read; None before the first turn."""
        views = self.all_views
        if not views:
            return None
        if self.is_vertical_scroll_end:
            return Reach(views[-1], 1.0, True)
        place = self.scroll_y * self.virtual_size.height / self.max_scroll_y
        found = views[0]
        for view in views:
            if region_of(view).y > place:
                break
            found = view
        region = region_of(found)
        share = (place - region.y) / region.height if region.height else 0.0
        return Reach(found, min(1.0, max(0.0, share)), False)

    def y_of(self, view: TurnView, share: float) -> float:
        """Where to scroll for so much of a turn to be read."""
        region = region_of(view)
        place = region.y + share * region.height
        return place * self.max_scroll_y / max(1, self.virtual_size.height)


def region_of(view: Widget) -> Region:
    """Its place among the turns, however they are scrolled; empty while it is not laid out."""
    return view.virtual_region
