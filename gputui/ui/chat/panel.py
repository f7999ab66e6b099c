"""The chat: a prompt, and two sides that answer it beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.css.types import EdgeType
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import Static, TextArea

from gputui.chat.conversation import Conversation
from gputui.chat.side import Side
from gputui.errors import GputuiError
from gputui.text import clean, seconds
from gputui.ui.cells import CellView, Line
from gputui.ui.chat.answer import FinishedAnswer, LiveAnswer, figures
from gputui.ui.messages import ProblemMet
from gputui.ui.palette import Look

SIDES = ("A", "B")
TARGETS: tuple[tuple[str, ...], ...] = (("A", "B"), ("A",), ("B",))
DRAWS_PER_SECOND = 10
NARROW = 100
"""Below this many columns one side is shown at a time."""


class SideNumbers(CellView):
    """The live numbers of a side, in a line of their own so that nothing else is repainted for them."""

    def __init__(self, look: Look, side: Side) -> None:
        super().__init__(look, classes="numbers")
        self._side = side

    def lines(self, width: int) -> list[Line]:
        palette, side = self.look.palette, self._side
        if side.endpoint is None:
            return [Line().add("no model chosen", palette.dim)]
        live = side.live
        if live is None:
            return [Line().add(side.endpoint.url, palette.dim)]
        measurement = live.measurement
        if measurement.ttft_seconds is None:
            return [Line().add(self._waiting(), palette.value)]
        return [Line().add(figures(measurement, width), palette.value)]

    def _waiting(self) -> str:
        live = self._side.live
        elapsed = seconds(live.measurement.elapsed_seconds if live else None)
        progress = live.measurement.prompt_progress if live else None
        if live is None or progress is None:
            return f"waiting for the first token, {elapsed}"
        tokens = live.measurement.prompt_in_work
        return f"reading the prompt, {progress * 100:.0f} % of {tokens} tokens, {elapsed}"


class SidePane(Vertical):
    """One side of the chat."""

    BINDINGS = [
        Binding("x", "stop_side", "Stop answer", id="side.stop"),
        Binding("r", "retry_side", "Retry", id="side.retry"),
        Binding("e", "unfold", "Reasoning", id="side.reasoning"),
    ]

    class RetryRequested(Message):
        """The user wants this side to answer its last prompt again."""

        def __init__(self, side: str) -> None:
            super().__init__()
            self.side = side

    def __init__(self, look: Look, side: Side) -> None:
        super().__init__(id=f"side-{side.name.lower()}", classes="side")
        self.look = look
        self.side = side
        self._shown = 0
        self._frame = ("", "", "")
        self._empty_words = ""
        self._told: GputuiError | None = None
        self._version = -1
        self._follows = True

    def compose(self) -> ComposeResult:
        yield SideNumbers(self.look, self.side)
        with VerticalScroll(classes="turns"):
            yield Static("", classes="empty", markup=False)
            yield LiveAnswer(self.look)

    def on_mount(self) -> None:
        self.query_one(LiveAnswer).display = False
        self.watch(self.query_one(VerticalScroll), "scroll_y", self._scrolled, init=False)

    def _scrolled(self) -> None:
        """Whoever scrolled back reads on in peace; at the end, the end is followed."""
        self._follows = self.query_one(VerticalScroll).is_vertical_scroll_end

    def _follow(self) -> None:
        """As answers grow, and as other panels take room from this one."""
        if self._follows:
            scroll = self.query_one(VerticalScroll)
            self.call_after_refresh(scroll.scroll_end, animate=False)

    def on_resize(self) -> None:
        self._follow()

    def frame(self, hue: str, title: str, elsewhere: str) -> None:
        """The border's colour and titles; touched only where they change."""
        if (hue, title, elsewhere) != self._frame:
            self._frame = (hue, title, elsewhere)
            self.border_subtitle = Content(elsewhere)
            kind: EdgeType = "ascii" if self.look.ascii_only else "round"
            self.styles.border = (kind, hue)
            self.border_title = Content(title)

    def refresh_side(self) -> None:
        """Bring the pane up to date with its side."""
        self.query_one(SideNumbers).redraw()
        if self.side.version == self._version:
            return
        self._version = self.side.version
        if self.side.problem is not None and self.side.problem is not self._told:
            # To the screen itself: a message does not bubble past the panel in whose timer it is made.
            self.screen.post_message(ProblemMet(self.side.problem))
        self._told = self.side.problem
        self._mount_finished()
        live = self.query_one(LiveAnswer)
        answer = self.side.live
        live.display = answer is not None
        if answer is not None:
            live.update_answer(self.side.prompt, answer)
        self._follow()

    def _mount_finished(self) -> None:
        scroll = self.query_one(VerticalScroll)
        views = list(self.query(FinishedAnswer))
        turns = self.side.finished
        keep = 0
        while (
            keep < min(len(views), len(turns))
            and views[keep].answer is turns[keep].answers[self.side.name]
        ):
            keep += 1
        for view in views[keep:]:
            view.remove()
        new = [
            FinishedAnswer(turn.prompt, turn.answers[self.side.name], self.look)
            for turn in turns[keep:]
        ]
        if new:
            scroll.mount(*new, before=self.query_one(LiveAnswer))
        self.query_one(".empty", Static).display = not turns and self.side.live is None

    def say_when_empty(self, text: str) -> None:
        """What the pane says before the first prompt."""
        if text != self._empty_words:
            self._empty_words = text
            self.query_one(".empty", Static).update(text)

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        for view in self.query(FinishedAnswer):
            view.restyle()
        self.query_one(SideNumbers).redraw()

    def action_stop_side(self) -> None:
        self.side.stop()

    def action_retry_side(self) -> None:
        self.post_message(self.RetryRequested(self.side.name))

    def action_unfold(self) -> None:
        views = list(self.query(FinishedAnswer))
        for view in views[-1:]:
            view.toggle_reasoning()


class Prompt(TextArea):
    """Where a prompt is typed: enter sends, ctrl+j makes a new line, escape leaves."""

    BINDINGS = [
        Binding("enter", "send", "Send", id="prompt.send"),
        Binding("ctrl+j", "new_line", "New line", id="prompt.new_line"),
        Binding("ctrl+t", "target", "To A, B or both", id="prompt.target"),
        Binding("escape", "leave", "Stop / leave", id="prompt.leave"),
    ]

    class Sent(Message):
        """The user sent a prompt."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The user pressed escape in the prompt."""

    class TargetChanged(Message):
        """The user wants the prompt to go to other sides."""

    def __init__(self) -> None:
        super().__init__(
            "",
            id="prompt",
            compact=True,
            soft_wrap=True,
            show_line_numbers=False,
            placeholder="one prompt, two answers",
            tab_behavior="focus",
        )

    async def _on_key(self, event: Key) -> None:
        """Run the keys that are bound here in their turn among the letters.

        Textual's own dispatch runs bindings before (priority) or after the letters typed around
        them have arrived: in a fast burst half a prompt is sent, or a line break comes last.
        """
        bound = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if bound is not None and bound.node is self:
            event.prevent_default()
            event.stop()
            await self.run_action(bound.binding.action)

    async def _on_paste(self, event: Paste) -> None:
        """What is pasted came from elsewhere, and is drawn here before it is sent."""
        event.text = clean(event.text)

    def action_send(self) -> None:
        if self.text.strip():
            self.post_message(self.Sent(self.text))

    def action_new_line(self) -> None:
        self.insert("\n")

    def action_target(self) -> None:
        self.post_message(self.TargetChanged())

    def action_leave(self) -> None:
        self.post_message(self.Left())


class ChatPanel(Vertical):
    """Both sides and the prompt."""

    def __init__(
        self,
        look: Look,
        conversation: Conversation,
        prepare: Callable[[str], GputuiError | None],
    ) -> None:
        super().__init__(id="chat")
        self._prepare = prepare
        self._look = look
        self._conversation = conversation
        self._target = 0

    def compose(self) -> ComposeResult:
        with Horizontal(id="sides"):
            for name in SIDES:
                yield SidePane(self._look, self._conversation.sides[name])
        with Horizontal(id="prompt-row"):
            yield Static(self._look.text("› "), id="prompt-mark", markup=False)
            yield Prompt()
            yield Static("", id="target", markup=False)

    def on_mount(self) -> None:
        self._show_target()
        self._drawing = self.set_interval(1 / DRAWS_PER_SECOND, self.refresh_sides)

    @property
    def targets(self) -> Sequence[str]:
        """The sides that the next prompt goes to."""
        return TARGETS[self._target]

    def pane(self, name: str) -> SidePane:
        """The pane of side A or B."""
        return self.query_one(f"#side-{name.lower()}", SidePane)

    def refresh_sides(self) -> None:
        """Draw what has come since the last draw; nothing wakes up again while no side is busy."""
        busy = any(side.busy for side in self._conversation.sides.values())
        for name in SIDES:
            self.pane(name).refresh_side()
        if busy:
            self._drawing.resume()
        else:
            self._drawing.pause()

    def next_target(self) -> None:
        """Both sides, A alone, B alone, and from the start."""
        self._target = (self._target + 1) % len(TARGETS)
        self._show_target()

    def go_to(self, name: str) -> None:
        """Focus a side; in a narrow terminal, show it in place of the other."""
        self.set_class(name == "B", "-front-b")
        self.screen.set_focus(self.pane(name).query_one(VerticalScroll))

    def show_other(self) -> None:
        """In a narrow terminal, show the other side; the focus stays where it is."""
        self.toggle_class("-front-b")

    @property
    def narrow(self) -> bool:
        """Whether one side is shown at a time."""
        return self.has_class("-narrow")

    def fit(self, width: int) -> None:
        """One side at a time where two would be too narrow."""
        self.set_class(width < NARROW, "-narrow")

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        for name in SIDES:
            self.pane(name).restyle()

    @on(Prompt.Sent)
    def prompt_sent(self, message: Prompt.Sent) -> None:
        if self._ask(self.targets, partial(self._conversation.send, message.text, self.targets)):
            self.query_one(Prompt).clear()

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
        if any(side.busy for side in self._conversation.sides.values()):
            self._conversation.stop()
            message.stop()

    @on(SidePane.RetryRequested)
    def retry_requested(self, message: SidePane.RetryRequested) -> None:
        self._ask([message.side], partial(self._conversation.retry, message.side))

    def _show_target(self) -> None:
        self.query_one("#target", Static).update(f"to {' and '.join(self.targets)}")
