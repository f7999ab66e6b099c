"""The samples one by one: what the sparklines read, and what readers see while one is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.history import History
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.identity import GpuIdentity

UUIDS = ("GPU-a", "GPU-b", "GPU-c")
METRICS = ("utilization_gpu", "power_draw")

values = st.dictionaries(
    st.sampled_from(METRICS), st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=2
)
ticks = st.dictionaries(st.sampled_from(UUIDS), values, max_size=3)


def snapshot(known: Mapping[str, Mapping[str, float]], taken_at: float = 0.0) -> Snapshot:
    gpus = (
        GpuSample(GpuIdentity(index, uuid, "", ""), numbers)
        for index, (uuid, numbers) in enumerate(known.items())
    )
    return Snapshot("test", taken_at, tuple(gpus))


@given(
    history=st.lists(st.one_of(ticks, st.integers(1, 9)), max_size=40),
    capacity=st.integers(1, 12),
    count=st.integers(0, 20),
)
def test_a_window_is_the_end_of_all_that_was_appended(
    history: list[dict[str, dict[str, float]] | int], capacity: int, count: int
) -> None:
    """Against a list that forgets nothing; an int in the history is that many ticks missed."""
    rings = History(capacity)
    model: list[dict[str, dict[str, float]]] = []
    for entry in history:
        if isinstance(entry, int):
            rings.skip(entry)
            model += [{}] * entry
        else:
            rings.append(snapshot(entry))
            model.append(entry)
    assert rings.ticks == len(model)
    kept = model[-capacity:]
    for uuid in UUIDS:
        for metric in METRICS:
            expected = [tick.get(uuid, {}).get(metric) for tick in kept]
            padded = [None] * (count - len(expected)) + expected
            assert rings.window(uuid, metric, count) == (padded[-count:] if count else [])


def test_unknown_is_none_and_never_a_number() -> None:
    history = History(4)
    history.append(snapshot({"GPU-a": {"power_draw": 5.0}}))
    history.append(snapshot({"GPU-a": {}}))
    history.append(snapshot({}))
    assert history.window("GPU-a", "power_draw", 5) == [None, None, 5.0, None, None]
    assert history.window("GPU-other", "power_draw", 2) == [None, None]


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), float("nan"), 1e300])
def test_what_is_no_number_is_not_known(odd: float) -> None:
    history = History(4)
    for tick, value in enumerate((5.0, odd, 7.0)):
        history.append(snapshot({"GPU-a": {"power_draw": value}}, tick))
    assert history.window("GPU-a", "power_draw", 3) == [5.0, None, 7.0]
    assert history.series("GPU-a", "power_draw", 0, 3, 1) == [(5.0, 6.0, 7.0)]


def test_a_long_gap_costs_no_more_than_the_capacity() -> None:
    history = History(8)
    history.append(snapshot({"GPU-a": {"power_draw": 5.0}}))
    history.skip(10**9)
    assert history.ticks == 10**9 + 1
    assert history.window("GPU-a", "power_draw", 3) == [None, None, None]
    assert history.window("GPU-a", "power_draw", 8) == [None] * 8


class Spy(dict[str, float]):
    """Values that look at the history at every moment of being appended."""

    def __init__(self, values: dict[str, float], look: Callable[[], None]) -> None:
        super().__init__(values)
        self._look = look

    def get(self, key: str, default: float | None = None) -> float | None:  # type: ignore[override]
        self._look()
        return super().get(key, default)


@given(capacity=st.integers(1, 5), seconds=st.sampled_from((1.0, 4.0, 10.0)))
def test_a_reader_never_sees_half_a_tick(capacity: int, seconds: float) -> None:
    """Whenever a reader looks while a tick is appended, it sees the ticks before, and all of them."""
    history = History(capacity, buckets=3)
    known: list[float | None] = [None] * capacity
    before: dict[str, object] = {}

    def seen() -> dict[str, object]:
        everything = {metric: history.series("GPU-a", metric, -99, 999, 40) for metric in METRICS}
        recent = {f"{metric} now": history.series("GPU-a", metric, 20, 60, 8) for metric in METRICS}
        return {"now": history.now, "begin": history.begin, **everything, **recent}

    def look() -> None:
        for metric in METRICS:
            assert history.window("GPU-a", metric, capacity) == known
        assert not before or seen() == before

    for tick in range(4 * capacity + 12):
        values = Spy(dict.fromkeys(METRICS, float(tick)), look)
        history.append(snapshot({"GPU-a": values}, tick * seconds))
        known = [*known[1:], float(tick)]
        before = seen()
        look()
        assert before[METRICS[0]] == before[METRICS[1]]
