"""What the charts show: which metrics, over which time; values only, no drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gputui.gpu.history import GAUGES
from gputui.gpu.metrics import METRICS

SPANS = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0)
"""Seconds from the left end of the charts to the right one: 1 minute to 24 hours."""
DAY = SPANS[-1]
PAN = 4
"""A step to the side is one of so many parts of the span."""
SHIFT_SECONDS = 20.0
SHIFT_PART = 24
"""Charts that follow the time move that seldom, but by no more than one such part of their width: what
moves is sent to the terminal again as a whole."""

DEFAULT_METRICS = ("utilization_gpu", "memory_used", "power_draw", "temperature_gpu")


@dataclass(frozen=True, slots=True)
class ChartRange:
    """A range of the history's time. ``end`` is its right end; None follows the latest sample."""

    span: float = 600.0
    end: float | None = None

    def ends_at(self, now: float) -> float:
        """The right end where the latest sample is from ``now``."""
        return now if self.end is None else min(self.end, now)

    def zoomed(self, by: int, now: float, begin: float) -> ChartRange:
        """``by`` steps closer (less than 0: further away), around the middle unless it follows."""
        index = min(range(len(SPANS)), key=lambda i: abs(SPANS[i] - self.span))
        span = SPANS[max(0, min(len(SPANS) - 1, index - by))]
        if self.end is None:
            return replace(self, span=span)
        middle = self.ends_at(now) - self.span / 2
        return ChartRange(span)._ending(middle + span / 2, now, begin)

    def panned(self, by: int, now: float, begin: float) -> ChartRange:
        """``by`` steps to the right (less than 0: to the left), at most to what is known."""
        return self._ending(self.ends_at(now) + by * self.span / PAN, now, begin)

    def latest(self) -> ChartRange:
        """The same span, following the time."""
        return replace(self, end=None)

    def _ending(self, end: float, now: float, begin: float) -> ChartRange:
        end = max(end, max(begin, now - DAY) + self.span)
        return replace(self, end=None if end >= now else end)


@dataclass(frozen=True, slots=True)
class ChartState:
    """All that a user chooses about the charts. ``metrics`` are gauges, in the table's order."""

    range: ChartRange = ChartRange()
    metrics: tuple[str, ...] = DEFAULT_METRICS
    overlay: bool = False

    def toggled(self, metric: str) -> ChartState:
        """With ``metric`` if it was not there, else without. Raises ValueError where it is no gauge."""
        if metric not in GAUGES:
            raise ValueError(f"{metric} has no history")
        chosen = {*self.metrics} ^ {metric}
        return replace(self, metrics=tuple(m.name for m in METRICS if m.name in chosen))


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns of equal width whose borders stay where they are while time goes on.

    Column ``n`` is from ``n × seconds`` to ``(n + 1) × seconds`` of the history's time; ``first`` is
    the number of the leftmost. So a sample changes only the column that it falls into.
    """

    seconds: float
    first: int
    columns: int

    @classmethod
    def of(cls, shown: ChartRange, now: float, columns: int) -> Grid:
        """The grid of ``columns`` (an even number: two share a cell) for that range."""
        seconds = shown.span / columns
        shift = 2
        if shown.end is None:  # room for the next samples: the whole moves only every so often
            shift = 2 * math.ceil(min(SHIFT_SECONDS / seconds, columns / SHIFT_PART) / 2)
        last = (math.floor(shown.ends_at(now) / seconds) // shift + 1) * shift
        return cls(seconds, last - columns, columns)

    @property
    def start(self) -> float:
        """The left end, in seconds of the history's time."""
        return self.first * self.seconds

    @property
    def end(self) -> float:
        """The right end."""
        return (self.first + self.columns) * self.seconds


def span_words(seconds: float) -> str:
    """``45 s``, ``10 min``, ``7.5 min``, ``24 h``."""
    for least, unit in ((7200.0, 3600.0), (60.0, 60.0)):
        if seconds >= least or (unit == 3600.0 and seconds == unit):
            return f"{seconds / unit:.3g} {'h' if unit == 3600.0 else 'min'}"
    return f"{seconds:.3g} s"
