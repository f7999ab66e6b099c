"""The chat: a prompt, and two sides that answer it beside each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from gputui.chat.conversation import PAIR, Conversation
from gputui.errors import GputuiError
from gputui.ui.chat.answer import load_markdown
from gputui.ui.chat.prompt import Prompt
from gputui.ui.chat.prompting.area import PromptArea
from gputui.ui.chat.prompting.drafting import Drafting
from gputui.ui.chat.prompting.typed import as_sent, command_in
from gputui.ui.chat.queue.line import QueueLine
from gputui.ui.chat.reading.find_bar import FindBar
from gputui.ui.chat.settings.notice import ChatNotice
from gputui.ui.chat.side_pane import SidePane
from gputui.ui.messages import AnswersStreamed, ProblemMet
from gputui.ui.palette import Look

DRAWS_PER_SECOND = 10
IDLE_SHARE = 3
"""A draw that took so long is followed by the next one after three times that."""
NARROW = 100
"""Below this many columns one side is shown at a time."""


class ChatPanel(Vertical):
    """Both sides and the prompt."""

    def __init__(
        self,
        look: Look,
        conversation: Conversation,
        prepare: Callable[[str], GputuiError | None],
        drafting: Drafting,
    ) -> None:
        """``prepare`` says why a side cannot be asked, ``drafting`` is what the prompt stands on."""
        super().__init__(id="chat")
        self._prepare = prepare
        self._drafting = drafting
        self._look = look
        self._conversation = conversation
        self._target = 0
        self._width = 0
        self.alone = False
        self._annotated: list[tuple[str, int]] = []
        self._busy = False
        self._not_before = 0.0

    def compose(self) -> ComposeResult:
        with Horizontal(id="sides"):
            for name in PAIR:
                yield SidePane(self._look, self._conversation.sides[name])
        yield FindBar(self._look)
        yield QueueLine(self._look, self._conversation)
        yield ChatNotice(self._look)
        yield PromptArea(self._look, self._drafting, self.submit)

    def on_mount(self) -> None:
        self._show_target()
        self._drawing = self.set_interval(1 / DRAWS_PER_SECOND, self._draw)

    @property
    def targets(self) -> Sequence[str]:
        """The sides that the next prompt goes to."""
        everyone = tuple(self._conversation.sides)
        return (everyone, *((pane.side.name,) for pane in self.panes))[self._target]

    def pane(self, name: str) -> SidePane:
        """The pane that shows a side. Raises GputuiError where none does."""
        for pane in self.panes:
            if pane.side.name == name:
                return pane
        raise GputuiError(f"Side {name} is not on the screen", f"/show {name} shows it.")

    @property
    def panes(self) -> Sequence[SidePane]:
        """Both, from left to right, whichever sides they show."""
        return [self.query_one(f"#side-{place.lower()}", SidePane) for place in PAIR]

    @property
    def front(self) -> str:
        """The side that is shown where one is."""
        return self.panes[self.has_class("-front-b")].side.name

    @property
    def side(self) -> str:
        """The side with the focus, else the one in front."""
        for pane in self.panes:
            if pane.has_pseudo_class("focus-within"):
                return pane.side.name
        return self.front if self.narrow else self.panes[0].side.name

    def _draw(self) -> None:
        """Ten times a second, and less often where a draw takes long: most of the time is for the keys."""
        began = time.monotonic()
        if began < self._not_before and self._conversation.busy:
            return
        self.refresh_sides()
        self.call_after_refresh(self._drawn, began)

    def _drawn(self, began: float) -> None:
        took = time.monotonic() - began
        self._not_before = began + took * IDLE_SHARE

    def refresh_sides(self) -> None:
        """Draw what has come since the last draw; nothing wakes up again while none is to come."""
        unsettled = self._conversation.unsettled
        for pane in self.panes:
            pane.refresh_side()
        self._annotate()
        self.query_one(QueueLine).update()
        self.redraw_prompt()
        self._offer_keys()
        if unsettled:
            self._drawing.resume()
        else:
            self._drawing.pause()

    def _annotate(self) -> None:
        """What stands beside a turn may come from the other side: both, where either has news."""
        sides = [pane.side for pane in self.panes]
        versions = [(side.name, side.version - side.grown) for side in sides]
        if versions != self._annotated:
            self._annotated = versions
            for pane in self.panes:
                pane.annotate()

    def _offer_keys(self) -> None:
        """The footer shows the keys that there is something for; drawn again only where that differs."""
        busy, votable = self._conversation.busy, self._votable()
        changed = [busy != self._busy]
        if busy != self._busy:
            self._busy = busy
            # To the app itself: a message does not bubble past the panel in whose timer it is made.
            self.app.post_message(AnswersStreamed(busy))
            self.run_worker(load_markdown(), group="load")
        for pane in self.panes:
            offers = {
                "stop": pane.side.busy,
                "vote": votable,
                "reasoning": pane.reasoned,
                "alone": self.alone or not self.narrow,
            }
            changed.append(pane.offer({name for name, offered in offers.items() if offered}))
        if any(changed) and self.has_pseudo_class("focus-within"):
            self.screen.refresh_bindings()

    def _votable(self) -> bool:
        if not any(side.finished for side in self._conversation.sides.values()):
            return False
        from gputui.chat.voting.casting import can_vote

        return can_vote(self._conversation)

    def next_target(self) -> None:
        """All sides, each that is shown alone, and from the start."""
        self._target = (self._target + 1) % (1 + len(PAIR))
        self._show_target()

    def target_both(self) -> None:
        """The next prompt goes to all sides."""
        self._target = 0
        self._show_target()

    def go_to(self, name: str) -> None:
        """Focus a side; in a narrow terminal, show it in place of the other."""
        self.go_to_place(self.panes.index(self.pane(name)))

    def go_to_place(self, place: int) -> None:
        """Focus the left pane (0) or the right one (1)."""
        self.set_class(place == 1, "-front-b")
        self.screen.set_focus(self.panes[place].turns)

    def shown_anew(self) -> None:
        """Other sides are shown: what is said of them follows."""
        self._show_target()

    def show_other(self) -> None:
        """In a narrow terminal, show the other side; the focus stays where it is."""
        self.toggle_class("-front-b")

    @property
    def narrow(self) -> bool:
        """Whether one side is shown at a time."""
        return self.has_class("-narrow")

    def fit(self, width: int) -> None:
        """One side at a time where two would be too narrow, or where one is wanted alone."""
        self._width = width
        narrow = self.narrow
        self.set_class(width < NARROW or self.alone, "-narrow")
        self._offer_keys()
        if self.narrow is not narrow:
            self.screen.refresh_bindings()

    def show_alone(self, name: str | None) -> None:
        """That side alone; None: both again, where they fit."""
        self.alone = name is not None
        self.fit(self._width)
        self.go_to(name or self.side)

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        for pane in self.panes:
            pane.restyle()

    async def submit(self, text: str) -> bool:
        """Carry out a command, or send a prompt with what is attached; False where that was refused."""
        command = command_in(text)
        if command is not None:
            return self._drafting.run(*command)
        await self._drafting.settled()
        return self._send(as_sent(text))

    def _send(self, text: str) -> bool:
        sides, attaching = self.targets, self._drafting.attaching
        ask = partial(self._conversation.send, text, sides, attaching.attachments)
        if not self._ask(sides, ask):
            return False
        self._drafting.history.add(text)
        attaching.clear()
        self.redraw_prompt()
        return True

    def suggest(self) -> None:
        """Suggest anew what the text in the prompt can become."""
        self.query_one(PromptArea).suggest()

    def redraw_prompt(self) -> None:
        """Show what goes with the next prompt as it is now."""
        self.query_one(PromptArea).redraw()

    def _ask(self, sides: Sequence[str], ask: Callable[[], None]) -> bool:
        """Ask those sides, if all of them can be asked; else say why not."""
        try:
            for side in sides:
                if (reason := self._prepare(side)) is not None:
                    raise reason
            ask()
        except GputuiError as error:
            self.post_message(ProblemMet(error))
            return False
        self.refresh_sides()
        return True

    @on(Prompt.TargetChanged)
    def target_changed(self) -> None:
        self.next_target()

    @on(Prompt.Left)
    def prompt_left(self, message: Prompt.Left) -> None:
        """Escape stops what streams; only when nothing streams it leaves the prompt."""
        if self._conversation.busy:
            self._conversation.stop()
            message.stop()

    @on(SidePane.RetryRequested)
    def retry_requested(self, message: SidePane.RetryRequested) -> None:
        self.retry(message.side)

    def retry(self, side: str) -> None:
        """Have a side answer its last prompt again; why it cannot is told."""
        sides = self._conversation.blind.together(side)
        self._ask(sides, partial(self._conversation.retry, side))

    def _show_target(self) -> None:
        to = self.targets
        words = " and ".join(to) if len(to) <= len(PAIR) else f"all {len(to)}"
        target = self.query_one("#target", Static)
        target.set_class(len(to) < len(self._conversation.sides), "-partly")
        target.update(f"to {words}")
