"""Alerts on the dashboard: the line, the marks, a toast when one begins, the bell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual.screen import Screen

from gputui.alerts.engine import Alert, Event
from gputui.alerts.rules import Severity
from gputui.alerts.views import Scope
from gputui.chat.model import Answer
from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.alerts.line import AlertLine
from gputui.ui.alerts.marks import SAID_ELSEWHERE, AlertMark, marks_of
from gputui.ui.palette import Look
from gputui.ui.services import Services

TOAST_LINES = 3
TOAST_SECONDS = 6.0
LINE = 160
"""Characters of one alert in a toast."""


class Alerting:
    """Brings what the watch says to ``screen``. ``say`` tells the user of a problem."""

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        look: Look,
        say: Callable[[GputuiError], None],
    ) -> None:
        self._screen = screen
        self._services = services
        self._look = look
        self._say = say
        self._firing: Sequence[Alert] = ()
        self._heard: dict[str, Answer] = {}

    def line(self) -> AlertLine:
        """The line, for the screen to be composed with."""
        return AlertLine(self._look, self._services.config.keys.get("view.events", "!"))

    def update(self) -> None:
        """Show what fires now, and tell what is new."""
        watch = self._services.alerts
        if watch is None:
            return
        self._hear_answers()
        self._firing = watch.firing
        self._screen.query_one(AlertLine).update_alerts(self._firing)
        self._tell(watch.take_news())
        for problem in watch.take_problems():
            self._say(problem)

    def marks(self, scope: Scope) -> Mapping[str, AlertMark]:
        """What fires for each GPU by UUID, or for each instance by name."""
        return marks_of(self._firing, scope)

    def show_events(self) -> None:
        """The list of all events."""
        from gputui.ui.alerts.events import EventsScreen

        watch = self._services.alerts
        if watch is not None:
            clock = self._services.clock if watch.keeps else lambda: watch.sampled_at
            self._screen.app.push_screen(EventsScreen(self._look, watch, clock))

    def _hear_answers(self) -> None:
        """The watch learns the TTFT of answers from the chat, once each is finished."""
        for name, side in self._services.conversation.sides.items():
            turns = side.finished
            answer = turns[-1].answers[side.name] if turns else None
            if answer is None or answer is self._heard.get(name):
                continue
            self._heard[name] = answer
            ttft = answer.measurement.ttft_seconds
            if self._services.alerts is not None and ttft is not None:
                self._services.alerts.answered(answer.name, ttft)

    def _tell(self, news: Sequence[Event]) -> None:
        if news and self._services.config.alert_bell:
            self._screen.app.bell()
        told = [event for event in news if event.rule.metric != SAID_ELSEWHERE]
        if told:
            self._toast(told)

    def _toast(self, told: Sequence[Event]) -> None:
        """What begins at once is one toast, the worst first: it must not cover the screen."""
        worst_first = sorted(told, key=lambda event: list(Severity).index(event.severity))
        words = [f"{event.severity}: {event.message}" for event in worst_first[:TOAST_LINES]]
        if len(told) > TOAST_LINES:
            words.append(f"and {len(told) - TOAST_LINES} more")
        critical = worst_first[0].severity is Severity.CRITICAL
        self._screen.notify(
            self._look.text("\n".join(clean_line(line, LINE) for line in words)),
            severity="error" if critical else "warning",
            timeout=TOAST_SECONDS,
            markup=False,
        )
