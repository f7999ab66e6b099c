"""The line on top: where this is, what all of it draws and costs, the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gputui.config import PowerConfig
from gputui.gpu.sample import Snapshot
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import clean_line
from gputui.ui.cells import CellView, Line
from gputui.ui.palette import Look


class Header(CellView):
    """One line; fields that do not fit are left out."""

    def __init__(
        self, look: Look, power: PowerConfig, host: str, clock: Callable[[], float]
    ) -> None:
        super().__init__(look, id="header")
        self._power = power
        self._host = clean_line(host, 30)
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._statuses: Sequence[InstanceStatus] = ()

    def update_gpus(self, snapshot: Snapshot) -> None:
        """The newest sample, for the totals."""
        self._snapshot = snapshot
        self.redraw()

    def update_instances(self, statuses: Sequence[InstanceStatus]) -> None:
        """The newest states, for the counts."""
        self._statuses = statuses
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        palette = self.look.palette
        line = Line().add(" gputui", palette.strong).add(f"  {self._host}", palette.value)
        middle = [
            part for part in (self._source(), self._counts(), self._draw(), self._cost()) if part
        ]
        clock = time.strftime("%H:%M:%S", time.localtime(self._clock()))
        for text in middle:
            if line.width + 3 + len(text) + len(clock) + 3 > width:
                break
            line.add(" · ", palette.track).add(text, palette.dim)
        line.pad_to(width - len(clock) - 1)
        return [line.add(clock, palette.dim)]

    def _source(self) -> str:
        return self._snapshot.source if self._snapshot and self._snapshot.source != "nvml" else ""

    def _counts(self) -> str:
        ready = sum(status.state is State.READY for status in self._statuses)
        failed = sum(status.state is State.FAILED for status in self._statuses)
        running = sum(status.state in RUNNING for status in self._statuses)
        words = [f"{ready} of {len(self._statuses)} ready"] if self._statuses else []
        if running > ready:
            words.append(f"{running - ready} on the way")
        if failed:
            words.append(f"{failed} failed")
        return ", ".join(words)

    def _known_watts(self) -> list[float]:
        """The draw of each GPU that says its own."""
        gpus = self._snapshot.gpus if self._snapshot else ()
        return [watts for gpu in gpus if (watts := gpu.get("power_draw")) is not None]

    def _draw(self) -> str:
        """The sum; where a GPU does not say its draw, it is no total, and says of how many it is."""
        known, psu = self._known_watts(), self._power.psu_watts
        if not known or self._snapshot is None:
            return ""
        of = f" / {psu:.0f}" if psu else ""
        gpus = len(self._snapshot.gpus)
        part = f" ({len(known)} of {gpus} GPUs)" if len(known) < gpus else ""
        return f"{sum(known):.0f}{of} W{part}"

    def _cost(self) -> str:
        known, price = self._known_watts(), self._power.price_per_kwh
        if not known or price is None:
            return ""
        return f"{clean_line(self._power.currency)}{sum(known) / 1000 * price:.2f}/h"
