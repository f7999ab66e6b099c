"""All events: what fires on top, then what fired, the newest first."""

from __future__ import annotations

import asyncio
import re
import textwrap
import time
from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.screen import ModalScreen
from textual.worker import Worker

from gputui.alerts.engine import Ending
from gputui.alerts.events import Incident
from gputui.alerts.rules import Severity
from gputui.alerts.watch import AlertWatch
from gputui.text import UNKNOWN, uptime
from gputui.ui.cells import CellView, Line
from gputui.ui.palette import Look

SECONDS = 1.0
"""Between two looks at the list while it is open."""
TIME, SEVERITY, LASTED = 12, 8, 14
MOST_SUBJECT = 20
DETAIL = 4
"""Rows at the bottom for the whole of what the cursor is on."""
NOTHING = "No alert has fired yet."


class EventList(CellView, can_focus=True):
    """The list, with a cursor; what the cursor is on stands in full beneath."""

    BINDINGS = [
        Binding("up,k", "move(-1)", "Up", show=False, id="events.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="events.down"),
        Binding("pageup", "page(-1)", show=False, id="events.page_up"),
        Binding("pagedown", "page(1)", show=False, id="events.page_down"),
        Binding("home", "move(-1000000)", show=False, id="events.first"),
        Binding("end", "move(1000000)", show=False, id="events.last"),
    ]

    def __init__(
        self, look: Look, hint_of: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        super().__init__(look, classes="event-list")
        self._hint_of = hint_of
        self._clock = clock
        self._incidents: Sequence[Incident] | None = None
        self._cursor = 0
        self._top = 0

    def update_incidents(self, incidents: Sequence[Incident]) -> None:
        """Show them; the cursor stays on what it is on."""
        on = self._selected
        self._incidents = incidents
        if on is not None:
            places = [i for i, one in enumerate(incidents) if _same(one, on)]
            self._cursor = places[0] if places and self._cursor else self._cursor
        self._cursor = max(0, min(len(incidents) - 1, self._cursor))
        self.redraw()

    @property
    def _selected(self) -> Incident | None:
        incidents = self._incidents or ()
        return incidents[self._cursor] if self._cursor < len(incidents) else None

    @property
    def _visible(self) -> int:
        """Rows for incidents: all but the header and the detail under a blank."""
        return max(1, self.content_size.height - 1 - DETAIL - 1)

    def action_move(self, by: int) -> None:
        """Move the cursor by that many rows."""
        self._cursor = max(0, min(len(self._incidents or ()) - 1, self._cursor + by))
        self.redraw()

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.action_move(by * self._visible)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.action_move(-1)

    def on_click(self, event: Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and 1 <= place.y <= self._visible:
            self.action_move(self._top + place.y - 1 - self._cursor)

    def lines(self, width: int) -> Sequence[Line]:
        palette, incidents = self.look.palette, self._incidents
        if not incidents:
            words = NOTHING if incidents is not None else "…"
            return [Line().add(f" {words}", palette.dim)]
        self._top = max(min(self._top, self._cursor), self._cursor - self._visible + 1)
        shown = incidents[self._top : self._top + self._visible]
        subject = min(MOST_SUBJECT, max(cell_len(one.subject) for one in shown))
        header = Line().add(
            f"  {'began':<{TIME}}  {'':<{SEVERITY}}  {'':<{subject}}  ", palette.dim
        )
        header.pad_to(width - LASTED - 1).add(f"{'lasted':>{LASTED}}", palette.dim)
        table = [self._row(one, subject, width, marked=one is self._selected) for one in shown]
        blanks = [Line() for _ in range(self._visible - len(shown) + 1)]
        return [header, *table, *blanks, *self._detail(width)]

    def _row(self, one: Incident, subject: int, width: int, *, marked: bool) -> Line:
        palette = self.look.palette
        firing = one.ended_at is None
        plain = palette.value if firing else palette.dim
        line = Line().add("▸ " if marked else "  ", palette.strong)
        line.add(f"{self._when(one.began_at):<{TIME}}  ", plain)
        line.add(f"{one.severity[:SEVERITY]:<{SEVERITY}}  ", self._style(one))
        line.add(f"{_cut(one.subject, subject)}  ", self._hue(one) if firing else palette.dim)
        room = max(0, width - line.width - LASTED - 2)
        line.add(_cut(_what(one), room), plain)
        line.pad_to(width - LASTED - 1)
        line.add(f"{self._lasted(one):>{LASTED}}", self._style(one))
        if marked and self.has_focus:
            line.pad_to(width)
            line.runs = [(text, style + palette.cursor) for text, style in line.runs]
        return line

    def _detail(self, width: int) -> list[Line]:
        one, palette = self._selected, self.look.palette
        if one is None:
            return []
        end = "" if one.ended_at is None else f" It {_ENDINGS.get(one.ending, 'ended')}"
        end += (
            f" at {self._when(one.ended_at)}." if one.ended_at and one.lasted else "." * bool(end)
        )
        texts = [(f"{one.message}.{end}", palette.value), (self._hint_of(one.rule), palette.dim)]
        wrapped = [
            Line().add(f"  {part}", style)
            for text, style in texts
            for part in textwrap.wrap(text, max(20, width - 4))
        ]
        return wrapped[:DETAIL]

    def _style(self, one: Incident) -> Style:
        palette = self.look.palette
        if one.ended_at is not None:
            return palette.dim
        return palette.error if one.severity == Severity.CRITICAL else palette.warning

    def _hue(self, one: Incident) -> Style:
        """A GPU wears its hue here too."""
        match = re.fullmatch(r"GPU (\d{1,4})", one.subject)
        return self.look.palette.hue(int(match[1])) if match else self.look.palette.value

    def _when(self, at: float) -> str:
        """The time of today, or the day and the time."""
        then, now = time.localtime(at), time.localtime(self._clock())
        today = then[:3] == now[:3]
        return time.strftime("%H:%M:%S" if today else "%d %b %H:%M", then)

    def _lasted(self, one: Incident) -> str:
        if one.ended_at is None:
            return f"firing {uptime(max(0.0, self._clock() - one.began_at))}"
        return UNKNOWN if one.lasted is None else uptime(one.lasted)


_ENDINGS: dict[str, str] = {
    Ending.OVER: "ended",
    Ending.UNKNOWN: "was no longer known",
    Ending.GONE: "was gone",
    Ending.UNWATCHED: "was no longer watched, since gputui ended",
}


def _what(one: Incident) -> str:
    """The message without its subject, which has a column of its own."""
    return one.message.removeprefix(one.subject).strip()


def _same(one: Incident, other: Incident) -> bool:
    return (one.began_at, one.rule, one.subject) == (other.began_at, other.rule, other.subject)


def _cut(text: str, width: int) -> str:
    """``text`` at exactly that width; an ellipsis ends a cut."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 1)) + "…" * (width > 0)


class EventsScreen(ModalScreen[None]):
    """The list over the dashboard; looks again while it is open."""

    BINDINGS = [Binding("escape,q,exclamation_mark", "dismiss(None)", "Close", id="events.close")]

    def __init__(self, look: Look, watch: AlertWatch, clock: Callable[[], float]) -> None:
        super().__init__()
        self._look = look
        self._watch = watch
        self._clock = clock
        self._looking: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="events-screen") as box:
            box.border_title = Content("Events")
            box.border_subtitle = Content("escape closes")
            yield EventList(self._look, self._watch.hint_of, self._clock)

    def on_mount(self) -> None:
        self._look_again()
        self.set_interval(SECONDS, self._look_again)

    def _look_again(self) -> None:
        """Unless a look is under way: a locked database holds its thread for seconds."""
        if self._looking is None or self._looking.is_finished:
            self._looking = self.run_worker(self._read(), group="events")

    async def _read(self) -> None:
        incidents = await asyncio.to_thread(self._watch.incidents)
        self.query_one(EventList).update_incidents(incidents)
