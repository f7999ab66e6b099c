"""What the GPUs did lately: the latest samples one by one, and the last day in buckets of 10 s.

Both tiers are rings that are filled in order and never moved: a ring of times that all series share,
and one ring a series for each number. Only gauges (metrics.Kind) are kept.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import NamedTuple, TypeVar

from gputui.gpu.buckets import (
    Bucket,
    Points,
    Stands,
    at,
    entries,
    in_columns,
    known,
    of_samples,
    span_of,
)
from gputui.gpu.metrics import METRICS, Kind
from gputui.gpu.sample import Snapshot

TICKS = 3600
"""Samples kept one by one: an hour at 1 Hz."""
BUCKETS = 8640
BUCKET_SECONDS = 10.0
"""Together 24 hours."""

_UNKNOWN = math.nan
_LARGEST = 2.0**128 - 2.0**104  # that a float of 32 bits holds; beyond it nothing is a reading
_SPARE = 2  # slots beyond those that are read: one being written, one written meanwhile
_PACE_STEPS = 15
_STANDS_PACES = 2.5

GAUGES = frozenset(metric.name for metric in METRICS if metric.kind is Kind.GAUGE)
"""The names of the metrics that have a history."""

Result = TypeVar("Result")


class _State(NamedTuple):
    """What readers may see; replaced as a whole, after a tick is written."""

    ticks: int = 0
    closed: int = 0  # buckets so far, less the open one
    opened: int = 0  # the tick at which the open bucket begins
    opened_at: float | None = None  # the time of its first sample, None without any
    now: float | None = None
    pace: float = 0.0  # seconds from sample to sample, the median of the latest


class _Series:
    """One metric of one GPU; all its memory is taken when it is first known."""

    __slots__ = ("counts", "known_at", "maxima", "means", "minima", "values")

    def __init__(self, ticks: int, buckets: int) -> None:
        self.values = array("f", [_UNKNOWN]) * (ticks + _SPARE)
        self.minima = array("f", [0.0]) * (buckets + _SPARE)
        self.means = array("f", [0.0]) * (buckets + _SPARE)
        self.maxima = array("f", [0.0]) * (buckets + _SPARE)
        self.counts = array("H", [0]) * (buckets + _SPARE)
        self.known_at = 0  # the bucket in which it was last known

    def rings(self) -> tuple[array[float] | array[int], ...]:
        """Everything it holds."""
        return self.values, self.minima, self.means, self.maxima, self.counts


class History:
    """The last ``ticks`` samples and ``buckets`` buckets of every GPU's gauges, by GPU uuid.

    One thread appends, any thread reads, and never sees half a tick. A series that is in neither tier
    takes no memory. Its time is Unix time as the first sample's clock had it: where the wall clock is
    set back it goes on, so it only grows (see ``wall_clock``).

    Samples need not come at one pace: the interval at which each was taken is kept with it, and says for
    how long it stands.
    """

    def __init__(self, ticks: int = TICKS, buckets: int = BUCKETS) -> None:
        if not 1 <= ticks < 2**16 or buckets < 1:
            raise ValueError("ticks must be 1 to 65535, buckets at least 1")
        self.capacity = ticks
        self._buckets = buckets
        self._times = array("d", [0.0]) * (ticks + _SPARE)
        self._intervals = array("f", [0.0]) * (ticks + _SPARE)
        self._bucket_times = array("d", [0.0]) * (buckets + _SPARE)
        self._series: dict[str, dict[str, _Series]] = {}
        self._state = _State()
        self._ahead = 0.0  # seconds that its time is ahead of the wall clock
        self._steps: deque[float] = deque(maxlen=_PACE_STEPS)
        self._interval = 0.0  # of the latest sample, 0 where it had none

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def ticks(self) -> int:
        """How many samples were taken or missed so far; grows by more than one after a gap."""
        return self._state.ticks

    @property
    def now(self) -> float | None:
        """The time of the latest sample, None before any."""
        return self._state.now

    @property
    def begin(self) -> float | None:
        """The time of the oldest sample that is known in either tier, None before any."""
        return self._consistent(self._begin)

    @property
    def memory_bytes(self) -> int:
        """What all rings hold, in bytes."""
        rings: list[array[float] | array[int]] = [self._times, self._intervals, self._bucket_times]
        for series in self._all_series():
            rings += series.rings()
        return sum(len(ring) * ring.itemsize for ring in rings)

    def wall_clock(self, when: float) -> float:
        """A time of this history as Unix time by the clock of now."""
        return when - self._ahead

    def window(self, uuid: str, metric: str, count: int) -> list[float | None]:
        """The last ``count`` values in base units, newest last; None where not known or too long ago."""
        series = self._find(uuid, metric)
        if series is None:
            return [None] * count

        def read(state: _State) -> array[float]:
            kept = min(count, state.ticks, self.capacity)
            return entries(series.values, state.ticks - kept, state.ticks)

        known = [None if math.isnan(value) else value for value in self._consistent(read)]
        return [None] * (count - len(known)) + known

    def series(
        self, uuid: str, metric: str, start: float, end: float, columns: int
    ) -> list[Bucket | None]:
        """The metric from ``start`` to ``end`` (of this history's time) in ``columns`` equal parts.

        A column combines the samples that were taken in it. One without any shows the sample before
        it where that one still stands (2.5 times the interval at which it was taken, else the usual
        pace), since columns can be narrower than the pace. Else it is None: a gap, or not known; nothing
        is interpolated. Where ``start`` is older than the samples that are kept one by one, buckets stand
        for samples, each as a whole at its first sample's time.
        Raises ValueError where there is no column or no time in it.
        """
        if columns < 1 or not start < end:
            raise ValueError("a range of time needs columns, and an end after its start")
        found = self._find(uuid, metric)
        if found is None:
            return [None] * columns

        def read(state: _State) -> tuple[Points, float, Stands]:
            now, pace = -math.inf if state.now is None else state.now, _STANDS_PACES * state.pace
            if not self._ticks_reach(state, start):
                stands = max(BUCKET_SECONDS, pace)
                return self._buckets_of(state, found, start, end), now, lambda _: stands
            points, intervals = self._samples(state, found, start, end)
            return points, now, lambda index: _STANDS_PACES * intervals[index] or pace

        points, now, stands = self._consistent(read)
        return in_columns(points, start, end, columns, now, stands)

    def _find(self, uuid: str, metric: str) -> _Series | None:
        return self._series.get(uuid, {}).get(metric)

    def _all_series(self) -> Iterator[_Series]:
        for metrics in list(self._series.values()):
            yield from list(metrics.values())

    def _consistent(self, read: Callable[[_State], Result]) -> Result:
        """What ``read`` copies, read again where the writer came round to it meanwhile."""
        while True:
            state = self._state
            result = read(state)
            if self._state.ticks - state.ticks < _SPARE:
                return result

    def _first_tick(self, state: _State) -> int:
        return max(0, state.ticks - self.capacity)

    def _first_bucket(self, state: _State) -> int:
        return max(0, state.closed - self._buckets)

    def _begin(self, state: _State) -> float | None:
        if state.closed:
            return at(self._bucket_times, self._first_bucket(state))
        return state.opened_at

    def _ticks_reach(self, state: _State, start: float) -> bool:
        """Whether the samples kept one by one reach back to ``start``, or as far as anything does."""
        first = self._first_tick(state)
        return first == 0 or at(self._times, first) <= start

    def _samples(
        self, state: _State, series: _Series, start: float, end: float
    ) -> tuple[Points, array[float]]:
        """The samples from the one before ``start`` to ``end``, and the interval of each."""
        first = self._first_tick(state)
        times = entries(self._times, first, state.ticks)
        low, high = span_of(times, start, end)
        values = entries(series.values, first + low, first + high)
        intervals = entries(self._intervals, first + low, first + high)
        return Points(times[low:high], values, values, values, None), intervals

    def _buckets_of(self, state: _State, series: _Series, start: float, end: float) -> Points:
        """The buckets from the one before ``start`` to ``end``; the open one is the last."""
        first = self._first_bucket(state)
        times = entries(self._bucket_times, first, state.closed)
        low, high = span_of(times, start, end)
        first, high = first + low, first + high
        points = Points(
            entries(self._bucket_times, first, high),
            entries(series.minima, first, high),
            entries(series.means, first, high),
            entries(series.maxima, first, high),
            entries(series.counts, first, high),
        )
        if state.opened_at is not None and state.opened_at < end:
            values = entries(series.values, state.opened, state.ticks)
            bucket, count = of_samples(values), len(known(values))
            points.add(state.opened_at, bucket, count)
        return points

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def append(self, snapshot: Snapshot, interval: float | None = None) -> None:
        """Add one tick: what ``snapshot`` knows; every other series is unknown at it.

        ``interval`` is the seconds until the next one is due, None where the source has a pace of its own.
        """
        when = self._time_of(snapshot.taken_at)
        state = self._state
        self._interval = 0.0 if interval is None else max(interval, state.pace)
        if state.opened_at is None:
            state = state._replace(opened=state.ticks, opened_at=when)
        elif _bucket_number(when) != _bucket_number(state.opened_at) or self._is_full(state, 1):
            state = self._close(state)._replace(opened_at=when)
        self._write(state, when, {gpu.identity.uuid: gpu.values for gpu in snapshot.gpus})

    def skip(self, ticks: int) -> None:
        """Add ``ticks`` at which nothing is known, so that a gap in time is a gap in a graph."""
        state = self._state
        if state.opened_at is not None and self._is_full(state, ticks):
            self._state = self._close(state)._replace(opened_at=None)
        written = min(ticks, len(self._times))
        for _ in range(written):
            state = self._state
            self._write(state, -math.inf if state.now is None else state.now, {})
        # Every slot is blank by now, so the rest needs no writing.
        self._state = self._state._replace(ticks=self._state.ticks + max(0, ticks - written))

    def _time_of(self, taken_at: float) -> float:
        """The time of a sample in this history, which never goes back."""
        now = self._state.now
        if now is None:
            return taken_at if math.isfinite(taken_at) else 0.0
        when = taken_at + self._ahead
        if not math.isfinite(when):
            return now
        if when < now:
            when = now + self._state.pace
            self._ahead = when - taken_at
        elif when > now:
            self._steps.append(when - now)
        return when

    def _is_full(self, state: _State, ticks: int) -> bool:
        """Whether ``ticks`` more would push the open bucket's samples out before it is closed."""
        return state.ticks + ticks - state.opened > self.capacity

    def _close(self, state: _State) -> _State:
        """The open bucket written down; a new one begins at the next tick."""
        slot = state.closed % len(self._bucket_times)
        assert state.opened_at is not None  # noqa: S101 - only a bucket with a sample is closed
        self._bucket_times[slot] = state.opened_at
        for series in self._all_series():
            values = entries(series.values, state.opened, state.ticks)
            series.counts[slot] = len(known(values))
            bucket = of_samples(values)
            if bucket is not None:
                series.minima[slot], series.means[slot], series.maxima[slot] = bucket
                series.known_at = state.closed
        self._forget(state)
        return state._replace(closed=state.closed + 1, opened=state.ticks)

    def _forget(self, state: _State) -> None:
        """Drop the series that are unknown in all that is kept."""
        for uuid, metrics in list(self._series.items()):
            kept = {
                name: series
                for name, series in metrics.items()
                if state.closed - series.known_at < self._buckets
                or known(entries(series.values, self._first_tick(state), state.ticks))
            }
            if len(kept) < len(metrics):
                self._series[uuid] = kept
            if not kept:
                del self._series[uuid]

    def _write(
        self, state: _State, when: float, readings: Mapping[str, Mapping[str, float]]
    ) -> None:
        """One tick of every series, then all of it at once for the readers."""
        for uuid, values in readings.items():
            self._make_series(uuid, values, state)
        slot = state.ticks % len(self._times)
        self._times[slot], self._intervals[slot] = when, self._interval
        nothing: Mapping[str, float] = {}
        for uuid, metrics in self._series.items():
            get = readings.get(uuid, nothing).get
            for name, series in metrics.items():
                value = get(name, _UNKNOWN)
                series.values[slot] = value if -_LARGEST <= value <= _LARGEST else _UNKNOWN
        self._state = state._replace(
            ticks=state.ticks + 1,
            now=when if when > -math.inf else None,
            pace=median(self._steps) if self._steps else 0.0,
        )

    def _make_series(self, uuid: str, values: Mapping[str, float], state: _State) -> None:
        metrics = self._series.get(uuid, {})
        new = [name for name in values if name not in metrics and name in GAUGES]
        if new:
            made = {name: _Series(self.capacity, self._buckets) for name in new}
            for series in made.values():
                series.known_at = state.closed
            self._series[uuid] = {**metrics, **made}


def _bucket_number(when: float) -> int:
    return math.floor(when / BUCKET_SECONDS)
