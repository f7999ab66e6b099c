"""Both sides scrolled together: to the same turn, and the same share of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting
    from gputui.ui.chat.side_pane import SidePane

MARK = "s: together"


@dataclass(frozen=True, slots=True)
class _Place:
    """A turn by the time at which it was asked, the share of it, whether that is the end of all."""

    asked_at: float
    share: float
    at_end: bool


class Together:
    """The switch. Who scrolls a side has the others follow; what follows leads nobody."""

    def __init__(self, chatting: Chatting) -> None:
        self._chatting = chatting
        self._watched: set[SidePane] = set()
        self._place: _Place | None = None
        self.on = False

    def toggle(self) -> None:
        """Scroll together from now on, the others to where this side is; or each alone again."""
        self.on = not self.on
        panes = self._chatting.panel.panes
        for pane in panes:
            pane.set_mark("together", MARK if self.on else "")
        if self.on:
            self._watch(panes)
            self._lead(self._chatting.panel.pane(self._chatting.side))

    def _watch(self, panes: Sequence[SidePane]) -> None:
        for pane in panes:
            if pane not in self._watched:
                self._watched.add(pane)
                pane.turns.shown = partial(self._follow, pane)
                self._chatting.screen.watch(
                    pane.turns, "scroll_y", partial(self._scrolled, pane), init=False
                )

    def _scrolled(self, pane: SidePane) -> None:
        if self.on and not pane.turns.led:
            self._lead(pane)

    def _lead(self, leader: SidePane) -> None:
        reach = leader.turns.reach()
        asked_at = leader.asked_at(reach.view) if reach else None
        if reach is None or asked_at is None:
            return
        self._place = _Place(asked_at, reach.share, reach.at_end)
        for pane in self._chatting.panel.panes:
            if pane is not leader:
                self._follow(pane)

    def _follow(self, pane: SidePane) -> None:
        """Bring a side to where the one is that leads. One that is hidden comes along when it is seen."""
        place = self._place
        if not self.on or place is None:
            return
        turns = pane.turns
        if place.at_end:
            if turns.at_newest:
                turns.move_to(turns.max_scroll_y)
            else:
                self._chatting.work(turns.show_newest(), f"scroll {pane.side.name}")
            return
        views = [(asked, view) for view in turns.all_views if (asked := pane.asked_at(view))]
        before = [one for one in views if one[0] <= place.asked_at]
        at = turns.place_of(place.asked_at)
        if before and (at < 0 or at >= turns.first):
            asked_at, view = before[-1]
            share = place.share if asked_at == place.asked_at else 1.0
            turns.move_to(turns.y_of(view, share))
        elif at >= 0:
            self._chatting.work(turns.reveal(at), f"scroll {pane.side.name}")
        else:
            turns.move_to(0)
