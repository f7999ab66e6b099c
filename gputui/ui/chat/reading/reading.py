"""How two answers are read: both sides scrolled together, one alone, from turn to turn, searched."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cached_property
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.ui.chat.reading.turns import region_of

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting
    from gputui.ui.chat.reading.finding import Finding
    from gputui.ui.chat.reading.together import Together
    from gputui.ui.chat.side_pane import SidePane


class Reading:
    """What of it is switched on."""

    def __init__(self, chatting: Chatting) -> None:
        self._chatting = chatting

    @cached_property
    def together(self) -> Together:
        """Both sides scrolled as one."""
        from gputui.ui.chat.reading.together import Together

        return Together(self._chatting)

    @cached_property
    def finding(self) -> Finding:
        """Words looked for in what was said."""
        from gputui.ui.chat.reading.finding import Finding

        return Finding(self._chatting)

    def show_alone(self, side: str) -> None:
        """That side alone; where it is so already, both again. Raises GputuiError in a narrow terminal."""
        panel = self._chatting.panel
        if panel.narrow and not panel.alone:
            raise GputuiError(
                "The terminal is narrow: one side is shown at a time", "ctrl+o shows the other one."
            )
        panel.show_alone(None if panel.alone and panel.front == side else side)
        for pane in panel.panes:
            pane.set_mark("alone", "m: both" if panel.alone else "")
        self._chatting.seating.frame()

    def step(self, by: int) -> None:
        """To the beginning of the turn before or after; where that is on the screen, no further. Before the
        first one it is the first that one goes to."""
        pane = self._chatting.panel.pane(self._chatting.side)
        turns = pane.turns
        here, tops = turns.scroll_offset.y, [region_of(view).y for view in turns.all_views]
        beyond = [top for top in tops if (top > here if by > 0 else top < here)]
        if beyond:
            place = turns.first + tops.index(beyond[0] if by > 0 else beyond[-1])
        else:
            place = max(0, turns.first - 1) if by < 0 else turns.first + len(tops)
        if 0 <= place < len(turns.turns) + bool(pane.side.live):
            self._go_to(pane, place)

    def go_to(self, number: int) -> None:
        """To turn ``number`` of the side that is read, from 1 on. Raises GputuiError where there is none."""
        pane = self._chatting.panel.pane(self._chatting.side)
        count = len(pane.turns.turns) + bool(pane.side.live)
        if not 1 <= number <= count:
            there = f"Turns: 1 to {count}." if count else "Nothing is said yet."
            raise GputuiError(f"There is no turn {number} on side {pane.side.name}", there)
        self._go_to(pane, number - 1)

    def _go_to(self, pane: SidePane, place: int) -> None:
        """To the turn of that place, the last of which may be the one that is being written."""
        turns = pane.turns.turns
        if place >= len(turns):
            self._show(pane, pane.turns.show_newest())
            return
        self._show(pane, pane.turns.reveal(place))
        for other in self._chatting.panel.panes if self.together.on else ():
            same = other.turns.place_of(turns[place].created_at)
            if other is not pane and same >= 0:
                self._show(other, other.turns.reveal(same))

    def _show(self, pane: SidePane, work: Coroutine[None, None, None]) -> None:
        self._chatting.work(work, f"scroll {pane.side.name}")
