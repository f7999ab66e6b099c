"""The line on top: where this is, how the machine does, what the GPUs draw and cost, the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from gputui.chat.health import EndpointState, EndpointStatus
from gputui.config import PowerConfig
from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceStatus
from gputui.power.meter import PowerMeter, PowerReport
from gputui.text import clean_line
from gputui.ui.cells import CellView, Line
from gputui.ui.header_fields import GAP, Field, Place, fields, fitting
from gputui.ui.palette import Look, Palette

CLOCK = 10
"""Cells of the time, with a blank on both sides."""
WORDY = 100
"""Columns from which on there is room for the program's own name."""


class Header(CellView):
    """One line; fields that do not fit are left out.

    ``session`` gives the power of the session; without it the newest sample alone counts.
    """

    def __init__(
        self,
        look: Look,
        power: PowerConfig,
        host: str,
        clock: Callable[[], float],
        session: Callable[[], PowerReport] | None = None,
    ) -> None:
        super().__init__(look, id="header")
        self._power = power
        self._host = clean_line(host, 30)
        self._clock = clock
        self._session = session
        self._snapshot: Snapshot | None = None
        self._statuses: Sequence[InstanceStatus] = ()
        self._endpoints: Sequence[EndpointStatus] = ()

    def set_power(self, power: PowerConfig) -> None:
        """What the GPUs' sum is held against, and its price, from now on."""
        self._power = power
        self.redraw()

    def update_facts(
        self,
        snapshot: Snapshot | None,
        statuses: Sequence[InstanceStatus],
        endpoints: Sequence[EndpointStatus],
    ) -> None:
        """The newest sample, for the totals and the host, and the newest states, for the counts."""
        self._snapshot, self._statuses, self._endpoints = snapshot, statuses, endpoints
        self.redraw()

    def lines(self, width: int) -> Iterator[Line]:
        palette = self.look.palette
        line = self._start(width, palette)
        down = sum(one.state is EndpointState.DOWN for one in self._endpoints)
        found = fields(self._snapshot, self._statuses, self._report(), self._power, down)
        place = Place.MACHINE
        for field in fitting(found, width - line.width - CLOCK):
            _add(line, field, palette, first=field.place is not place)
            place = field.place
        line.pad_to(width - CLOCK)
        clock = time.strftime("%H:%M:%S", time.localtime(self._clock()))
        yield line.add(f" {clock} ", palette.dim)

    def _start(self, width: int, palette: Palette) -> Line:
        line = Line().add(" ", palette.dim)
        if width >= WORDY or not self._host:
            line.add("gputui  ", palette.strong)
        return line.add(self._host, palette.value)

    def _report(self) -> PowerReport:
        if self._session is not None:
            return self._session()
        meter = PowerMeter()
        if self._snapshot is not None:
            meter.sampled(self._snapshot)
        return meter.report()


def _add(line: Line, field: Field, palette: Palette, *, first: bool) -> None:
    """A field behind those before it; a wider blank stands between two places."""
    styles = {
        "dim": palette.dim,
        "value": palette.value,
        "warning": palette.warning,
        "error": palette.error,
    }
    line.add(" " * GAP if first else " · ", palette.track)
    for text, role in field.parts:
        line.add(text, styles[role])
