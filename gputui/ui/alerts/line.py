"""The line under the header: what fires now, the worst first; no line where nothing does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.style import Style

from gputui.alerts.engine import Alert
from gputui.alerts.rules import Severity
from gputui.ui.cells import CellView, Line
from gputui.ui.palette import Look

GAP = "  ·  "


class AlertLine(CellView):
    """One row. As many alerts as fit, the first one cut if it must be; then how many more there are."""

    def __init__(self, look: Look, key: str) -> None:
        super().__init__(look, id="alerts")
        self._key = key
        self._firing: Sequence[Alert] = ()
        self.display = False

    def update_alerts(self, firing: Sequence[Alert]) -> None:
        """Show ``firing``, the worst first."""
        self._firing = firing
        if self.display != bool(firing):
            self.display = bool(firing)
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        if not self._firing:
            return []
        line, rest, said = Line().add(" ▲", self._style(self._firing[0])), list(self._firing), ""
        while rest:
            alert, severity = rest[0], rest[0].rule.severity
            first = rest[0] is self._firing[0]
            before = " " if first else GAP
            text = alert.message if severity == said else f"{severity}: {alert.message}"
            room = width - line.width - len(before) - len(self._end(len(rest) - 1)) - 1
            if cell_len(text) > room:
                if not first:
                    break
                text = set_cell_size(text, max(0, room - 1)) + "…"
            line.add(before, self.look.palette.track).add(text, self._style(alert))
            said = severity
            rest.pop(0)
        end = self._end(len(rest))
        return [line.pad_to(width - len(end) - 1).add(end, self.look.palette.dim)]

    def _style(self, alert: Alert) -> Style:
        palette = self.look.palette
        return palette.error if alert.rule.severity is Severity.CRITICAL else palette.warning

    def _end(self, more: int) -> str:
        """How many are not shown, and the key that shows them."""
        return f" {more} more  {self._key} lists all" if more else f" {self._key} lists all"
