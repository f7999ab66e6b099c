"""Searching the conversation: words marked in both sides' turns, and from one to the next."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

from gputui.chat.asking.attachments import asked_words
from gputui.errors import GputuiError
from gputui.instances.log.lines import Search
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.reading.find_bar import FindBar
from gputui.ui.chat.reading.hits import Hit, Said, hits_of
from gputui.ui.chat.reading.turns import region_of

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting

_KEYS = "n next  N before  esc ends it"


class Finding:
    """One search at a time, until it is ended."""

    def __init__(self, chatting: Chatting) -> None:
        self._chatting = chatting
        self.search: Search | None = None
        self._hits: list[Hit] = []
        self._current: Hit | None = None
        self._steps = 0

    @property
    def _bar(self) -> FindBar:
        bar = self._chatting.panel.query_one(FindBar)
        bar.typed, bar.left = self.find, self.end
        return bar

    def ask(self) -> None:
        """Have the user type what to find."""
        self._bar.ask()

    def find(self, words: str) -> None:
        """Mark these words and go to the first from the turn in view on; "" ends the search."""
        if not words:
            self.end()
            return
        self.search, self._current, self._steps = Search(words), None, 0
        self._go(1)

    def end(self) -> None:
        """No search, nothing marked; whoever typed is on the side again."""
        chatting, bar = self._chatting, self._bar
        was_typing = bar.box.has_focus
        self.search, self._hits, self._current = None, [], None
        self._mark()
        bar.close()
        if was_typing:
            chatting.panel.go_to(chatting.side)

    def step(self, by: int) -> None:
        """To the next one, or the one before; round at the end. Raises GputuiError without a search."""
        if self.search is None:
            raise GputuiError("Nothing is searched for", "/ on a side, or /find TEXT, begins.")
        self._go(by)

    def _go(self, by: int) -> None:
        self._steps += by  # the newest search alone is carried out: it takes all steps until then
        self._chatting.work(self._find(), "find")

    async def _find(self) -> None:
        search = self.search
        if search is None:
            return
        hits = await asyncio.to_thread(hits_of, search, self._said())
        if search is not self.search:
            return
        self._hits = hits
        by, self._steps = self._steps, 0
        at, note = self._place(by)
        self._current = hits[at] if hits else None
        self._mark()
        count = f"{at + 1}/{len(hits)}" if hits else "not found"
        said = [search.words, count, note, _KEYS if hits else "esc ends it"]
        self._bar.say("   ".join(word for word in said if word))
        if self._current is not None:
            self._chatting.panel.go_to(self._current.side)
            await self._reveal(self._current)
        elif self._bar.box.has_focus or self._chatting.screen.focused is None:
            self._chatting.panel.go_to(self._chatting.side)

    def _said(self) -> list[Said]:
        """What is on the screen, or was: all finished turns of both sides."""
        return [
            Said(pane.side.name, turn.created_at, asked_words(turn), turn.answers[pane.side.name])
            for pane in self._chatting.panel.panes
            for turn in pane.side.finished
        ]

    def _place(self, by: int) -> tuple[int, str]:
        """Which hit is next, and the word for it where it is on the other end."""
        if not self._hits:
            return 0, ""
        if self._current is None:
            at = bisect_left(self._hits, self._in_view, key=lambda hit: (hit.asked_at, hit.side))
        else:
            order = [(hit.asked_at, hit.side, hit.number) for hit in self._hits]
            here = (self._current.asked_at, self._current.side, self._current.number)
            at = bisect_left(order, here) + (by if by < 0 or here in order else 0)
        if at < 0:
            return at % len(self._hits), "from the end again"
        if at >= len(self._hits):
            return at % len(self._hits), "from the top again"
        return at, ""

    @property
    def _in_view(self) -> tuple[float, str]:
        """The turn that is read on the side that is read."""
        pane = self._chatting.panel.pane(self._chatting.side)
        reach = pane.turns.reach()
        return (pane.asked_at(reach.view) if reach else None) or 0.0, pane.side.name

    def _mark(self) -> None:
        """In the turns that have the words; the one that is gone to above all."""
        having = {(hit.side, hit.asked_at) for hit in self._hits}
        for pane in self._chatting.panel.panes:
            pane.turns.search = self.search
            for view in pane.turns.views:
                here = pane.side.name, pane.turns.asked_at(view)
                self._mark_view(view, here, has=here in having)

    def _mark_view(
        self, view: FinishedAnswer, here: tuple[str, float | None], *, has: bool
    ) -> None:
        hit = self._current
        if hit is None or (hit.side, hit.asked_at) != here:
            view.find(self.search if has else None, None)
            return
        unfolded = view.unfolded or hit.in_reasoning
        number = hit.number if unfolded else hit.number - hit.folded
        view.find(self.search, number, unfold=hit.in_reasoning)

    async def _reveal(self, hit: Hit) -> None:
        """Scroll to it; its turn may be no widget yet."""
        turns = self._chatting.panel.pane(hit.side).turns
        place = turns.place_of(hit.asked_at)
        if turns.view_at(place) is None:
            await turns.reveal(place)
            self._mark()
        turns.call_after_refresh(partial(self._show, hit))

    def _show(self, hit: Hit) -> None:
        """A third below the top, where it is not to be seen already."""
        turns = self._chatting.panel.pane(hit.side).turns
        view = turns.view_at(turns.place_of(hit.asked_at))
        if view is None or hit is not self._current:
            return
        row = region_of(view).y + view.found_row()
        top, height = turns.scroll_offset.y, turns.size.height
        if not top <= row < top + height:
            turns.move_to(max(0, row - height // 3), led=False)
