"""A day of history: buckets that keep minimum, mean and maximum, and what they cost."""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.gpu.history import BUCKET_SECONDS, BUCKETS, GAUGES, TICKS, History
from gputui.gpu.metrics import METRICS, Kind
from tests.gpu.test_history import snapshot

UUID, METRIC = "GPU-a", "power_draw"
DAY = 86400.0


@dataclass
class Point:
    """Samples of one time or of one bucket; ``ticks`` counts those not known as well."""

    when: float
    known: list[float]
    ticks: int = 1


@dataclass
class Naive:
    """The same promises, kept with lists that forget only what the promise lets go."""

    ticks: int
    buckets: int
    samples: list[Point] = field(default_factory=list)
    closed: list[Point] = field(default_factory=list)
    open: Point | None = None
    steps: list[float] = field(default_factory=list)
    now: float | None = None

    def append(self, value: float | None, when: float, step: float | None) -> None:
        """``when``: as the history says. ``step``: since the last sample, by the wall clock."""
        known = [] if value is None else [value]
        self.samples.append(Point(when, known))
        full = self.open is not None and self.open.ticks + 1 > self.ticks
        if self.open and (full or when // BUCKET_SECONDS != self.open.when // BUCKET_SECONDS):
            self.closed.append(self.open)
            self.open = None
        if self.open is None:
            self.open = Point(when, known)
        else:
            self.open.known = self.open.known + known
            self.open.ticks += 1
        if step is not None and step > 0:
            self.steps.append(step)
        self.now = when

    def skip(self, count: int) -> None:
        self.samples += [Point(-math.inf if self.now is None else self.now, [])] * count
        if self.open and self.open.ticks + count > self.ticks:
            self.closed.append(self.open)
            self.open = None
        elif self.open:
            self.open.ticks += count

    def series(self, start: float, end: float, columns: int) -> list[list[float] | None]:
        """For each column the samples it is made of, None where there is none."""
        kept = self.samples[-self.ticks :]
        stands = 2.5 * statistics.median(self.steps[-15:] or [0.0])
        if len(self.samples) > self.ticks and kept[0].when > start:
            kept = self.closed[-self.buckets :] + ([self.open] if self.open else [])
            stands = max(stands, BUCKET_SECONDS)
        width = (end - start) / columns
        edges = [start + width * column for column in range(columns)] + [end]
        return [self._column(kept, low, high, stands) for low, high in itertools.pairwise(edges)]

    def _column(
        self, points: Sequence[Point], low: float, high: float, stands: float
    ) -> list[float] | None:
        inside = [point for point in points if low <= point.when < high]
        before = [point for point in points if point.when < low]
        if not inside and before and self.now is not None and low <= self.now:
            last = before[-1].when
            inside = [point for point in before if point.when == last and high <= last + stands]
        return [value for point in inside for value in point.known] or None


reading = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))
pace = st.sampled_from((0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0))
odd_step = st.one_of(
    st.just(("skip", 1)),
    st.tuples(st.just("skip"), st.integers(2, 30)),
    st.tuples(st.just("ahead"), st.sampled_from((7.0, 100.0, 1e5))),
    st.tuples(st.just("back"), st.sampled_from((0.05, 3.0, 3600.0, 1e6))),
)
steps = st.lists(st.one_of(st.tuples(st.just("tick"), st.floats(0.7, 1.3)), odd_step), max_size=60)


@settings(max_examples=300)
@given(st.data(), pace, steps, st.integers(1, 40), st.integers(1, 8))
def test_a_series_is_that_of_a_history_that_forgets_nothing(
    data: st.DataObject,
    seconds: float,
    steps: list[tuple[str, float]],
    capacity: int,
    buckets: int,
) -> None:
    history, naive, clock = History(capacity, buckets), Naive(capacity, buckets), 1e5
    for kind, amount in steps:
        if kind == "skip":
            history.skip(int(amount))
            naive.skip(int(amount))
            continue
        step = {"tick": amount * seconds, "ahead": amount, "back": -amount}[kind]
        clock, before = clock + step, history.now
        value = data.draw(reading)
        history.append(snapshot({UUID: {} if value is None else {METRIC: value}}, clock))
        assert history.now is not None
        if before is not None:
            passed = history.now - before
            assert passed >= 0
            if step >= 0:
                assert passed == pytest.approx(step, abs=1e-3)  # time goes on at its own pace
            else:
                assert passed <= max([*naive.steps[-15:], 0.0]) + 1e-6
        naive.append(value, history.now, None if before is None or step < 0 else passed)
        assert history.wall_clock(history.now) == pytest.approx(clock)
    assert history.now == naive.now
    if naive.now is None:
        return
    end = naive.now + data.draw(st.floats(-2e3, 100))
    start = end - data.draw(st.sampled_from((0.3, 1.0, 10.0, 60.0, 333.0, 5e3, 1e6)))
    columns = data.draw(st.integers(1, 50))
    expected = naive.series(start, end, columns)
    for bucket, known in zip(
        history.series(UUID, METRIC, start, end, columns), expected, strict=True
    ):
        assert (bucket is None) == (known is None)
        if bucket is not None and known is not None:
            assert bucket.minimum == min(known)
            assert bucket.maximum == max(known)
            assert bucket.mean == pytest.approx(statistics.fmean(known), rel=1e-5, abs=1e-1)
            assert bucket.minimum <= bucket.mean <= bucket.maximum


def filled(
    seconds: int, history: History | None = None, start: float = 0.0, gpus: Sequence[str] = (UUID,)
) -> History:
    """Seconds at 1 Hz; the value is the number of the second."""
    history = history or History()
    for second in range(seconds):
        history.append(snapshot({uuid: {METRIC: second} for uuid in gpus}, start + second))
    return history


def test_a_day_later_the_first_hour_still_has_its_extremes() -> None:
    history = filled(int(DAY))
    assert history.begin == 0
    assert history.now == DAY - 1
    whole = history.series(UUID, METRIC, 0, DAY, 24)
    for hour, bucket in enumerate(whole):
        first, last = hour * 3600, hour * 3600 + 3599
        assert bucket == (first, pytest.approx((first + last) / 2), last)


def test_the_open_bucket_counts() -> None:
    history = History(ticks=5)
    filled(57, history)
    assert history.series(UUID, METRIC, 0, 60, 6)[-1] == (50, 53, 56)


def test_a_gap_stays_a_gap_in_both_tiers() -> None:
    for ticks in (3600, 20):
        history = filled(60, History(ticks))
        filled(60, history, start=200)
        columns = history.series(UUID, METRIC, 0, 260, 26)
        assert [column is None for column in columns] == [False] * 6 + [True] * 14 + [False] * 6


def test_a_reading_that_is_missing_is_a_gap_at_once() -> None:
    history = History()
    for second in range(10):
        values = {} if second == 4 else {METRIC: 1.0}
        history.append(snapshot({UUID: values}, second))
    known = [bucket is not None for bucket in history.series(UUID, METRIC, 0, 10, 20)]
    assert known == [True] * 8 + [False] * 2 + [True] * 9 + [False]


def test_between_two_samples_the_earlier_stands_and_not_for_long() -> None:
    history = History()
    for second in (0, 5, 10, 15, 60):
        history.append(snapshot({UUID: {METRIC: second}}, second))
    columns = history.series(UUID, METRIC, 0, 75, 75)
    assert [c and c.mean for c in columns[:20]] == [0] * 5 + [5] * 5 + [10] * 5 + [15] * 5
    assert columns[15 + 11] is not None  # 2.5 paces of 5 s
    assert columns[15 + 12 : 60] == [None] * (60 - 27)
    assert columns[60] is not None
    assert columns[61:] == [None] * 14  # nothing is known of what is to come


def test_a_clock_set_back_reorders_nothing() -> None:
    history = filled(100)
    for second in range(100):
        history.append(snapshot({UUID: {METRIC: 100 + second}}, 10 + second))  # an hour back, say
    assert history.now == 199
    assert history.wall_clock(history.now) == 109
    columns = history.series(UUID, METRIC, 0, 200, 200)
    assert [bucket and bucket.mean for bucket in columns] == list(range(200))


def test_a_clock_that_jumps_ahead_leaves_a_gap_and_what_was() -> None:
    history = filled(100)
    filled(100, history, start=1e9)
    assert history.begin == 0
    assert history.series(UUID, METRIC, 0, 100, 1) == [(0, 49.5, 99)]
    assert history.series(UUID, METRIC, 100, 1e9, 3)[1:] == [None, None]
    assert history.series(UUID, METRIC, 1e9, 1e9 + 100, 1) == [(0, 49.5, 99)]


def test_what_is_no_gauge_is_not_kept() -> None:
    history = History()
    history.append(snapshot({UUID: {"memory_total": 1.0, "ecc_corrected": 2.0, METRIC: 3.0}}))
    assert history.window(UUID, "memory_total", 1) == [None]
    assert history.series(UUID, "ecc_corrected", 0, 1, 1) == [None]
    assert {metric.name for metric in METRICS if metric.kind is Kind.GAUGE} == GAUGES


def memory_of(gpus: int, gauges: int) -> int:
    """Bytes by the tiers' arithmetic: floats of 4 bytes, counts of 2; shared times of 8, intervals of 4."""
    one_series = (TICKS + 2) * 4 + (BUCKETS + 2) * (3 * 4 + 2)
    return (TICKS + 2) * (8 + 4) + (BUCKETS + 2) * 8 + gpus * gauges * one_series


def test_sixteen_gpus_stay_under_64_mib_and_memory_is_flat() -> None:
    history = History()
    readings = {f"GPU-{n}": dict.fromkeys(GAUGES, 1.0) for n in range(16)}
    assert history.memory_bytes == memory_of(0, 0)
    history.append(snapshot(readings))
    assert history.memory_bytes == memory_of(16, len(GAUGES))
    for tick in range(1, 50):
        history.append(snapshot(readings, tick * 300.0))
    history.skip(1)
    assert history.memory_bytes == memory_of(16, len(GAUGES)) < 64 * 2**20


def test_what_was_never_known_takes_no_memory_and_what_is_long_gone_gives_it_back() -> None:
    history = History(ticks=5, buckets=4)
    history.append(snapshot({UUID: {}, "GPU-b": {}}))
    empty = history.memory_bytes
    history.append(snapshot({UUID: {METRIC: 1.0}, "GPU-b": {METRIC: 1.0}}, 1))
    both = history.memory_bytes
    for tick in range(2, 12):
        history.append(snapshot({"GPU-b": {METRIC: 1.0}}, tick * 10))
    assert history.memory_bytes - empty == (both - empty) // 2
    assert history.window(UUID, METRIC, 5) == [None] * 5
    assert history.series(UUID, METRIC, 0, 120, 3) == [None] * 3


@pytest.mark.parametrize(("start", "end", "columns"), [(0, 0, 1), (1, 0, 1), (0, 1, 0)])
def test_a_range_without_time_or_columns_is_refused(start: float, end: float, columns: int) -> None:
    with pytest.raises(ValueError, match="columns"):
        History().series(UUID, METRIC, start, end, columns)


def test_a_reader_on_another_thread_sees_time_in_order() -> None:
    """Values only grow, so every window and every series must; rings so small that all of them turn."""
    history, over, wrong = History(ticks=40, buckets=6), threading.Event(), list[object]()
    readings: Mapping[str, float]

    def read() -> None:
        while not over.is_set():
            now = history.now or 0.0
            for start in (now - 30, now - 200):
                columns = history.series(UUID, METRIC, start, now + 1, 20)
                means = [bucket.mean for bucket in columns if bucket]
                window = [value for value in history.window(UUID, METRIC, 40) if value is not None]
                if means != sorted(means) or window != sorted(window):
                    wrong.append((means, window))

    readers = [threading.Thread(target=read) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for reader in readers:
            reader.start()
        for tick in range(15000):
            readings = {METRIC: tick}
            history.append(snapshot({UUID: readings}, tick))
    finally:
        over.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)
    assert not wrong


def at_intervals(*steps: tuple[float, int]) -> History:
    """A history whose values are its times: for each pair so many samples, so many seconds apart."""
    history, when = History(), 0.0
    for interval, count in steps:
        for _ in range(count):
            history.append(snapshot({UUID: {METRIC: when}}, when), interval)
            when += interval
    return history


def test_a_pace_that_changes_leaves_no_gap() -> None:
    history = at_intervals((1.0, 30), (5.0, 30), (1.0, 30), (2.0, 1))
    columns = history.series(UUID, METRIC, 0, 210, 210)
    assert None not in columns
    assert [one.mean for one in columns if one][28:46:5] == [28, 30, 35, 40]


def test_a_gap_at_a_quick_pace_is_one_while_the_pace_is_slow() -> None:
    history = at_intervals((1.0, 20))
    for tick in range(15):
        when = 28.0 + 5 * tick
        history.append(snapshot({UUID: {METRIC: when}}, when), 5.0)
    columns = history.series(UUID, METRIC, 0, 98, 98)
    assert [x for x, one in enumerate(columns) if one is None] == list(range(21, 28))
