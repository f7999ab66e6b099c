"""The screen of votes and ratings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from gputui.chat.voting.standings import Standings, Wanted, standings
from gputui.chat.voting.vote import Vote
from gputui.errors import GputuiError
from gputui.ui.cells import CellView, Line
from gputui.ui.chat.voting.lines import votes_lines
from gputui.ui.palette import Look


class VotesView(CellView, can_focus=True):
    """The table; keys choose which votes count."""

    BINDINGS = [
        Binding("t", "tag(1)", "Next tag", id="votes.tag"),
        Binding("T", "tag(-1)", "Previous tag", show=False, id="votes.tag_back"),
        Binding("b", "not_blind", "Those not blind, too", id="votes.not_blind"),
        Binding("n", "named", "Those that named themselves, too", id="votes.named"),
    ]

    def __init__(self, look: Look, read: Callable[[], Awaitable[Sequence[Vote]]]) -> None:
        super().__init__(look, classes="votes")
        self._read = read
        self._votes: Sequence[Vote] | None = None
        self._problem: GputuiError | None = None
        self._wanted = Wanted()
        self._found: Standings | None = None

    async def on_mount(self) -> None:
        try:
            self._votes = await self._read()
        except GputuiError as error:
            self._problem = error
        await self._reckon()

    async def _reckon(self) -> None:
        """Count anew, on a thread: of thousands of votes it takes a moment."""
        if self._votes is not None:
            self._found = await asyncio.to_thread(standings, self._votes, self._wanted)
        self.show()

    def lines(self, width: int) -> list[Line]:
        palette = self.look.palette
        if self._problem is not None:
            words = (self._problem.message, palette.error), (self._problem.hint, palette.dim)
            return [Line().add(text, style) for text, style in words]
        if self._found is None:
            return [Line().add("…", palette.dim)]
        return votes_lines(self._found, width, palette)

    def show(self) -> None:
        """What is known now; as high as it needs."""
        width = self.content_size.width
        if width > 0:
            self.styles.height = max(1, len(self.lines(width)))
            self.redraw()

    def on_resize(self) -> None:
        self.show()

    async def action_tag(self, by: int) -> None:
        """Another tag: all, then each."""
        tags: list[str | None] = [None, *sorted({vote.tag for vote in self._votes or ()})]
        place = tags.index(self._wanted.tag) if self._wanted.tag in tags else 0
        self._wanted = replace(self._wanted, tag=tags[(place + by) % len(tags)])
        await self._reckon()

    async def action_not_blind(self) -> None:
        self._wanted = replace(self._wanted, not_blind=not self._wanted.not_blind)
        await self._reckon()

    async def action_named(self) -> None:
        self._wanted = replace(self._wanted, named=not self._wanted.named)
        await self._reckon()


class VotesScreen(ModalScreen[None]):
    """The table over the dashboard."""

    BINDINGS = [Binding("escape,q", "dismiss(None)", "Close", id="votes.close")]

    def __init__(self, look: Look, read: Callable[[], Awaitable[Sequence[Vote]]]) -> None:
        super().__init__()
        self._view = VotesView(look, read)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="text-screen", can_focus=False) as frame:
            frame.border_title = Content("Votes and ratings")
            frame.border_subtitle = Content(
                "t tag  b not blind, too  n self-named, too  esc closes"
            )
            yield self._view
