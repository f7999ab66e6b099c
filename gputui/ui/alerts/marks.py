"""What fires, as a panel or a row says it in a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.style import Style

from gputui.alerts.engine import Alert
from gputui.alerts.rules import Severity
from gputui.alerts.views import Scope
from gputui.ui.palette import Palette

SAID_ELSEWHERE = "failed"
"""The metric whose alert a row says already by its state, and the caretaker by a toast."""


@dataclass(frozen=True, slots=True)
class AlertMark:
    """What fires for one subject: ``words`` (``temperature, memory``), and the worst in full."""

    words: str
    critical: bool
    message: str
    hint: str = ""

    def style(self, palette: Palette) -> Style:
        """Red only for what is critical; the words carry the meaning."""
        return palette.error if self.critical else palette.warning


def marks_of(firing: Iterable[Alert], scope: Scope) -> Mapping[str, AlertMark]:
    """The mark of each subject of that kind by its key; ``firing`` comes the worst first."""
    found: dict[str, list[Alert]] = {}
    for alert in firing:
        if alert.subject.scope is scope and alert.rule.metric != SAID_ELSEWHERE:
            found.setdefault(alert.subject.key, []).append(alert)
    return {
        key: AlertMark(
            ", ".join(dict.fromkeys(alert.rule.mark for alert in alerts)),
            alerts[0].rule.severity is Severity.CRITICAL,
            alerts[0].message,
            alerts[0].rule.hint,
        )
        for key, alerts in found.items()
    }
