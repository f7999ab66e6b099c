"""One side of the chat: its numbers, its turns, the keys that hold there."""

from __future__ import annotations

from collections.abc import Set

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.css.types import EdgeType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from gputui.chat.side import Side
from gputui.errors import GputuiError
from gputui.text import seconds
from gputui.ui.cells import CellView, Line, cut
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.kept.turn_list import TurnList
from gputui.ui.chat.live.answer import LiveAnswer
from gputui.ui.chat.reading.figures import figures
from gputui.ui.chat.reading.turns import TurnView
from gputui.ui.chat.settings.context_bar import add_context, context_width
from gputui.ui.chat.side_keys import OFFERED, SIDE_BINDINGS
from gputui.ui.messages import ProblemMet
from gputui.ui.palette import Look


class SideNumbers(CellView):
    """The live numbers of a side, in a line of their own so that nothing else is repainted for them.

    While there are none: ``model``, else the address, where no model is known.
    """

    def __init__(self, look: Look, side: Side) -> None:
        super().__init__(look, classes="numbers")
        self.side = side
        self.model = ""

    def lines(self, width: int) -> list[Line]:
        palette, side = self.look.palette, self.side
        if side.endpoint is None:
            return [Line().add("no model chosen", palette.dim)]
        live = side.live
        if side.veiled:
            return [Line().add(self._veiled(), palette.value if live else palette.dim)]
        if live is None and side.lingering:
            return [Line().add(f"stopped: the server is {side.lingering}", palette.warning)]
        if live is None:
            who = cut(
                self.model or side.endpoint.url, width - context_width(side.context_use, width)
            )
            return [self._with_context(Line().add(who, palette.dim), width)]
        measurement = live.measurement
        if measurement.ttft_seconds is None:
            return [Line().add(self._waiting(), palette.value)]
        room = width - context_width(side.context_use, width)
        return [self._with_context(Line().add(figures(measurement, room), palette.value), width)]

    def _with_context(self, line: Line, width: int) -> Line:
        return add_context(line, self.side.context_use, width, self.look)

    def _veiled(self) -> str:
        """The same on both sides of a blind draw."""
        if (live := self.side.live) is not None:
            return f"both are being written, {seconds(live.measurement.elapsed_seconds)}"
        return "read both, then /vote" if self.side.finished else "nothing asked yet"

    def _waiting(self) -> str:
        live = self.side.live
        if others := self.side.waits_for:
            return f"waits for {' and '.join(others)} to finish"
        elapsed = seconds(live.measurement.elapsed_seconds if live else None)
        progress = live.measurement.prompt_progress if live else None
        if live is None or progress is None:
            return f"waiting for the first token, {elapsed}"
        tokens = live.measurement.prompt_in_work
        return f"reading the prompt, {progress * 100:.0f} % of {tokens} tokens, {elapsed}"


class SidePane(Vertical):
    """One side of the chat."""

    BINDINGS = list(SIDE_BINDINGS)

    class RetryRequested(Message):
        """The user wants this side to answer its last prompt again."""

        def __init__(self, side: str) -> None:
            super().__init__()
            self.side = side

    def __init__(self, look: Look, side: Side) -> None:
        super().__init__(id=f"side-{side.name.lower()}", classes="side")
        self.look = look
        self.side = side
        self._frame = ("", "", "", "")
        self._marks: dict[str, str] = {}
        self._empty_words = ""
        self._told: GputuiError | None = None
        self._version = -1
        self._offers: Set[str] = frozenset()

    def compose(self) -> ComposeResult:
        yield SideNumbers(self.look, self.side)
        yield TurnList(self.look, self.side.name, self.side.note_of)

    @property
    def turns(self) -> TurnList:
        """What was said."""
        return self.query_one(TurnList)

    def show(self, side: Side) -> None:
        """Show another side from now on, at its newest turn."""
        if side is not self.side:
            self.side = self.query_one(SideNumbers).side = side
            self.turns.of_side(side.name, side.note_of)
            self._told, self._version = side.problem, -1

    def frame(self, hue: str, title: str, elsewhere: str, ink: str = "") -> None:
        """The border's colour and titles; touched only where they change. ``ink``: the titles' colour,
        where a line of that hue is too faint to be read."""
        if (hue, title, elsewhere, ink) != self._frame:
            self._frame = (hue, title, elsewhere, ink)
            self._show_subtitle()
            kind: EdgeType = "ascii" if self.look.ascii_only else "round"
            self.styles.border = (kind, hue)
            self.styles.border_title_color = self.styles.border_subtitle_color = ink or hue
            self.border_title = Content(title)

    def set_mark(self, kind: str, words: str) -> None:
        """Say in the frame how the side is read; "" for nothing of that kind."""
        self._marks[kind] = words
        self._show_subtitle()

    def _show_subtitle(self) -> None:
        words = "  ".join(part for part in (*self._marks.values(), self._frame[2]) if part)
        self.border_subtitle = Content(words)

    @property
    def title(self) -> str:
        """What its frame says."""
        return self._frame[1]

    @property
    def hue(self) -> str:
        """The colour of its frame."""
        return self._frame[0]

    def asked_at(self, view: TurnView) -> float | None:
        """When the prompt of a turn was sent, which is the same on all sides; None: not known."""
        return self.side.asked_at if isinstance(view, LiveAnswer) else self.turns.asked_at(view)

    @property
    def seen(self) -> bool:
        """Whether it is on the screen: no other screen over it, no other panel in its place."""
        shown = all(node.display for node in self.ancestors_with_self if isinstance(node, Widget))
        return shown and self.screen.is_current

    def refresh_side(self) -> None:
        """Bring the pane up to date with its side. While an answer is written, nothing where nobody sees
        it: it is drawn when it is seen."""
        if self.side.busy and not self.seen:
            return
        self.query_one(SideNumbers).redraw()
        if self.side.version == self._version:
            return
        self._version = self.side.version
        if self.side.problem is not None and self.side.problem is not self._told:
            # To the screen itself: a message does not bubble past the panel in whose timer it is made.
            self.screen.post_message(ProblemMet(self.side.problem))
        self._told = self.side.problem
        turns, finished, answer = self.turns, self.side.finished, self.side.live
        turns.show(finished)
        self.query_one(".empty", Static).display = not finished and answer is None
        live = self.query_one(LiveAnswer)
        live.display = answer is not None and turns.at_newest
        if answer is not None and live.display:
            live.update_answer(self.side.prompt, answer)
        turns.follow()

    def annotate(self) -> None:
        """Bring what stands beside the turns up to date: it comes from the other side, too."""
        self.turns.annotate()

    def say_model(self, model: str) -> None:
        """What answers here; "" where only the address is known."""
        numbers = self.query_one(SideNumbers)
        if model != numbers.model:
            numbers.model = model
            numbers.redraw()

    def say_when_empty(self, text: str) -> None:
        """What the pane says before the first prompt."""
        if text != self._empty_words:
            self._empty_words = text
            self.query_one(".empty", Static).update(text)

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        for view in self.query(FinishedAnswer):
            view.restyle()
        self.query_one(LiveAnswer).restyle()
        self.query_one(SideNumbers).redraw()

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    @property
    def reasoned(self) -> bool:
        """Whether there is reasoning to unfold."""
        live = self.side.live
        answers = [view.answer for view in self.turns.views]
        return any(answer.reasoning for answer in ([*answers, live] if live else answers))

    def offer(self, names: Set[str]) -> bool:
        """These are the keys with something to do here; whether others were."""
        before, self._offers = self._offers, names
        return names != before

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of a key that is not offered, its second binding holds, which the footer does not show."""
        return action != "offered" or parameters[0] in self._offers

    async def action_offered(self, name: str) -> None:
        await self.run_action(OFFERED[name])

    def action_stop_side(self) -> None:
        self.side.stop()

    def action_retry_side(self) -> None:
        self.post_message(self.RetryRequested(self.side.name))

    def action_unfold(self) -> None:
        """The reasoning of the turn in view."""
        reach = self.turns.reach()
        if reach is None:
            return
        reach.view.toggle_reasoning()
        if isinstance(reach.view, FinishedAnswer) and reach.view.unfolded:
            self.turns.stay_at(reach.view)
