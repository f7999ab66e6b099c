"""The differences of two answers, as a screen of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from rich.style import Style
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.events import MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.widgets import Footer

from gputui.chat.model import Turn
from gputui.chat.reading.compared import Comparison
from gputui.chat.reading.differences import compare
from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.cells import CellView, Line, Run
from gputui.ui.chat.reading.difference_lines import Below, Beside, Ink, Layout, Place
from gputui.ui.overlay import Overlay, Seen
from gputui.ui.palette import Look, rich_style

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting

ONE_COLUMN = 100
"""Below so many columns both texts are in one."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Their letters, what their frames say, and the colours of these."""

    names: tuple[str, str]
    titles: tuple[str, str]
    hues: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A turn that both sides answered; ``number`` counts all such turns from 1 on."""

    number: int
    prompt: str
    left: str
    right: str


def show_differences(chatting: Chatting) -> None:
    """Of the turn that one went to, or that is in view, where both sides answered it, else of the newest.
    Raises GputuiError where there is none."""
    panel = chatting.panel
    left, right = panel.panes[:2]
    pairs = _pairs(left.side.name, left.side.finished, right.side.name, right.side.finished)
    if not pairs:
        raise GputuiError(
            "There are no two answers to compare", "Both sides have to have answered one prompt."
        )
    pane = panel.pane(panel.side)
    reach = pane.turns.reach()
    view = pane.turns.gone_to or (reach.view if reach else None)
    in_view = pane.asked_at(view) if view else None
    times = list(pairs)
    start = times.index(in_view) if in_view in times else len(times) - 1
    sides = Sides(
        (left.side.name, right.side.name), (left.title, right.title), (left.hue, right.hue)
    )
    chatting.screen.app.push_screen(
        DifferenceScreen(chatting.look, sides, list(pairs.values()), start, _keys(chatting))
    )


def _keys(chatting: Chatting) -> Callable[[], None]:
    return lambda: chatting.screen.call_next(chatting.screen.run_action, "keys")


def _pairs(a: str, left: Sequence[Turn], b: str, right: Sequence[Turn]) -> dict[float, Pair]:
    """The turns that both sides said something to, by when they were asked."""
    said = {turn.created_at: turn.answers[b].text for turn in right}
    both = [turn for turn in left if turn.answers[a].text and said.get(turn.created_at)]
    return {
        turn.created_at: Pair(number, turn.prompt, turn.answers[a].text, said[turn.created_at])
        for number, turn in enumerate(both, 1)
    }


class DifferenceView(CellView, can_focus=True):
    """Both texts, to move in."""

    BINDINGS = [
        Binding("n", "difference(1)", "Next", key_display="n N", id="diff.next"),
        Binding("N", "difference(-1)", "Before", show=False, id="diff.before"),
        Binding(
            "left_square_bracket",
            "screen.turn(-1)",
            "Turn",
            key_display="[ ]",
            id="diff.turn_before",
        ),
        Binding(
            "right_square_bracket",
            "screen.turn(1)",
            "Next turn",
            show=False,
            key_display="]",
            id="diff.turn_next",
        ),
        Binding("up,k", "move(-1)", "Up", show=False, id="diff.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="diff.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="diff.page_up"),
        Binding("pagedown,space", "page(1)", "Page down", show=False, id="diff.page_down"),
        Binding("g,home", "top", "Top", show=False, id="diff.top"),
        Binding("G,end", "end", "End", show=False, id="diff.end"),
    ]

    class Changed(Message):
        """What the view says of itself changed."""

    def __init__(self, look: Look, hues: tuple[str, str]) -> None:
        super().__init__(look, id="differences")
        self._hues = hues
        self._layout: Layout | None = None
        self._width = 0
        self._top: Place = (0, 0)
        self.comparison: Comparison | None = None
        self.here = -1

    def show(self, comparison: Comparison | None) -> None:
        """Another one, from its top on; None while it is worked out."""
        self.comparison, self._top, self.here, self._layout = comparison, (0, 0), -1, None
        self._changed()

    @property
    def count(self) -> int:
        """How many differences there are."""
        layout = self._laid_out(self.content_size.width)
        return len(layout.firsts) if layout else 0

    def action_difference(self, by: int) -> None:
        """To the next one, or the one before; round at the end."""
        count, layout = self.count, self._laid_out(self.content_size.width)
        if count and layout:
            self.here = (self.here + by) % count if self.here >= 0 or by > 0 else count - 1
            self._go((layout.firsts[self.here], 0), -(self._height // 3))

    def action_move(self, by: int) -> None:
        self._go(self._top, by)

    def action_page(self, by: int) -> None:
        self._go(self._top, by * max(1, self._height - 1))

    def action_top(self) -> None:
        self._go((0, 0))

    def action_end(self) -> None:
        layout = self._laid_out(self.content_size.width)
        self._go((layout.size, 0) if layout else (0, 0))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        self._changed()

    @property
    def _height(self) -> int:
        return max(1, self.content_size.height)

    def _go(self, place: Place, by: int = 0) -> None:
        """So many lines from there."""
        layout = self._laid_out(self.content_size.width)
        if layout is not None:
            self._top = self._within(layout, layout.moved(place, by))
        self._changed()

    def _within(self, layout: Layout, top: Place) -> Place:
        """So far down that the end is at the end of the screen, and no further."""
        return min(top, layout.moved((layout.size, 0), -self._height))

    def _changed(self) -> None:
        self.redraw()
        self.post_message(self.Changed())

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        self._layout = None
        self.redraw()

    def _laid_out(self, width: int) -> Layout | None:
        if self.comparison is None or width <= 0:
            return None
        if self._layout is None or width != self._width:
            kind = Below if width < ONE_COLUMN else Beside
            if self._layout is not None and type(self._layout) is not kind:
                self._top = (0, 0)
            self._width = width
            self._layout = kind(self.comparison, width, self.inks, self.look.palette)
            self._top = (self._top[0], 0)
        return self._layout

    @property
    def inks(self) -> tuple[Ink, Ink]:
        """How what is on one side alone is drawn, in the hue of each side."""
        palette = self.look.palette
        left, right = (
            rich_style(hue) if hue in palette.theme.gpus else palette.hue(number)
            for number, hue in enumerate(self._hues)
        )
        return Ink.of("-", left, palette), Ink.of("+", right, palette)

    def lines(self, width: int) -> list[Line]:
        if self.comparison is None:
            return [Line().add(" comparing …", self.look.palette.dim)]
        layout = self._laid_out(width)
        if layout is None:
            return []
        self._top = self._within(layout, self._top)
        return layout.window(self._top, self._height, self.here)


class DifferenceBar(CellView):
    """Two lines above: what is compared, and how much of it is alike."""

    def __init__(self, look: Look, sides: Sides, view: DifferenceView) -> None:
        super().__init__(look, id="difference-bar")
        self._sides = sides
        self._view = view
        self.pair: Pair | None = None
        self.pairs = 0

    def lines(self, width: int) -> list[Line]:
        palette, pair = self.look.palette, self.pair
        left, right = self._sides.titles
        minus, plus = (ink.only + Style(bold=True) for ink in self._view.inks)
        head = Line().add(f" - {left}", minus).add(f"   + {right}", plus)
        if pair is not None:
            head.add(f"   turn {pair.number}/{self.pairs}", palette.value)
            head.add(f"   › {clean_line(pair.prompt, 200)}", palette.dim)
        return [_fitting(head, width), self._summary(width)]

    def _summary(self, width: int) -> Line:
        palette, view, compared = self.look.palette, self._view, self._view.comparison
        line, (left, right) = Line(), self._sides.names
        if compared is None:
            return line
        line.add(" ", palette.value).add(*self._place())
        if view.here < 0 and view.count:
            line.add(" (n)", palette.dim)
        share = (
            "no words" if compared.share is None else f"{_percent(compared.share)} of words in both"
        )
        only = f"only {left} {compared.only_left}, only {right} {compared.only_right}"
        line.add(f" · {share} · {only}", palette.value)
        if not compared.whole:
            line.add("   too long to compare all by words", palette.warning)
        return _fitting(line, width)

    def _place(self) -> Run:
        """Which difference one is at, and how many there are."""
        palette, view = self.look.palette, self._view
        if not view.count:
            return "no difference", palette.success
        if view.here >= 0:
            return f"difference {view.here + 1}/{view.count}", palette.strong
        return f"{view.count} difference{'' if view.count == 1 else 's'}", palette.strong


def _percent(share: float) -> str:
    """Whole, and 100 % only where nothing differs."""
    return f"{min(99, round(share * 100)) if share < 1 else 100} %"


def _fitting(line: Line, width: int) -> Line:
    """A line that is too wide in one style, its end cut."""
    if line.width <= width:
        return line
    return Line().cell("".join(text for text, _ in line.runs), width, line.runs[0][1])


class DifferenceScreen(Overlay):
    """Both answers to one prompt, and what only one of them says."""

    AUTO_FOCUS = "DifferenceView"
    DEFAULT_CSS = """
    DifferenceScreen { layout: vertical; }
    #difference-bar { height: 2; background: $surface; }
    #differences { height: 1fr; }
    """
    BINDINGS = [
        Binding("escape", "dismiss(None)", "Close", key_display="esc", id="diff.close"),
        Binding("q,d", "dismiss(None)", "Close", show=False, id="diff.close_at_once"),
        Binding("question_mark", "keys", "Keys", key_display="?", id="view.keys"),
    ]

    def __init__(
        self,
        look: Look,
        sides: Sides,
        pairs: Sequence[Pair],
        start: int,
        show_keys: Callable[[], None],
    ) -> None:
        super().__init__(show_keys)
        self._pairs = pairs
        self._at = start
        self._view = DifferenceView(look, sides.hues)
        self._bar = DifferenceBar(look, sides, self._view)
        self._bar.pairs = len(pairs)

    def compose(self) -> ComposeResult:
        yield self._bar
        yield self._view
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        self._begin()

    def on_difference_view_changed(self) -> None:
        self._bar.redraw()

    def _begin(self) -> None:
        self._bar.pair = self._pairs[self._at]
        self._view.show(None)
        self.run_worker(self._compare(self._pairs[self._at]), group="compare", exclusive=True)

    async def _compare(self, pair: Pair) -> None:
        stop = Event()
        try:
            comparison = await asyncio.to_thread(compare, pair.left, pair.right, stop.is_set)
        finally:
            stop.set()  # whoever left, or went to another turn, waits for nothing
        self._view.show(comparison)

    def take(self, seen: Seen) -> None:
        """Samples say nothing of answers."""

    def restyle(self) -> None:
        self._view.restyle()
        self._bar.redraw()

    def action_turn(self, by: int) -> None:
        """The turn before, or after, that both sides answered."""
        at = max(0, min(self._at + by, len(self._pairs) - 1))
        if at != self._at:
            self._at = at
            self._begin()

    def commands(self) -> Iterator[SystemCommand]:
        view = self._view
        for title, words, run in (
            ("Next difference", "n", partial(view.action_difference, 1)),
            ("Difference before", "N", partial(view.action_difference, -1)),
            ("Next turn", "that both sides answered", partial(self.action_turn, 1)),
            ("Turn before", "that both sides answered", partial(self.action_turn, -1)),
            ("Key list", "all keys with their ids", self.action_keys),
            ("Close the differences", "back", self.dismiss),
        ):
            yield SystemCommand(title, words, run)
