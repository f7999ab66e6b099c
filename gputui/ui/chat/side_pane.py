"""One side of the chat: its numbers, its turns, the keys that hold there."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.css.types import EdgeType
from textual.message import Message
from textual.widgets import Static

from gputui.chat.side import Side
from gputui.errors import GputuiError
from gputui.text import seconds
from gputui.ui.cells import CellView, Line
from gputui.ui.chat.answer import FinishedAnswer, LiveAnswer, figures
from gputui.ui.messages import ProblemMet
from gputui.ui.palette import Look


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
        if side.veiled:
            return [Line().add(self._veiled(), palette.value if live else palette.dim)]
        if live is None:
            return [Line().add(side.endpoint.url, palette.dim)]
        measurement = live.measurement
        if measurement.ttft_seconds is None:
            return [Line().add(self._waiting(), palette.value)]
        return [Line().add(figures(measurement, width), palette.value)]

    def _veiled(self) -> str:
        """The same on both sides of a blind draw."""
        if (live := self._side.live) is not None:
            return f"both are being written, {seconds(live.measurement.elapsed_seconds)}"
        return "blind: v votes" if self._side.finished else "blind"

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
