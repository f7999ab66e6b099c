"""What becomes of readings over time, against tables worked out by hand and against a naive model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.alerts.engine import (
    LONGEST_STEP,
    NOTIFY_SECONDS,
    UNKNOWN_SECONDS,
    Change,
    Ending,
    Engine,
    State,
    Subject,
)
from gputui.alerts.rules import Rule, Severity
from gputui.alerts.views import Scope
from tests.alerts.making import GPU_0, HOT, judged, run

# A rule "> 85 for 10 s, keep_firing_for 6 s", evaluated every 2 s. "-" is not known. A row's state is
# after its reading. for and keep_firing_for count between two readings that say the same.
TIMELINES = {
    "pending until it has held for its time, firing until it has not held for the other": """
        0 80 inactive | 2 86 pending | 4 87 pending | 6 86 pending | 8 90 pending | 10 86 pending
        12 86 firing  | 14 91 firing | 16 85 firing | 18 84 firing | 20 84 firing | 22 84 inactive
    """,
    "one reading below starts for anew": """
        0 86 pending | 2 86 pending | 4 86 pending | 6 86 pending | 8 85 inactive
        10 86 pending | 12 86 pending | 14 86 pending | 16 86 pending | 18 86 pending | 20 86 firing
    """,
    "one reading above starts keep_firing_for anew": """
        0 90 pending | 2 90 pending | 4 90 pending | 6 90 pending | 8 90 pending | 10 90 firing
        12 80 firing | 14 80 firing | 16 80 firing | 17 99 firing | 18 80 firing | 20 80 firing
        22 80 firing | 24 80 inactive
    """,
    "unknown time does not count for it": """
        0 90 pending | 2 90 pending | 4 90 pending | 6 - pending | 10 - pending | 14 - pending
        16 90 pending | 18 90 pending | 20 90 pending | 22 90 firing
    """,
    "unknown time does not count against it": """
        0 90 pending | 2 90 pending | 4 90 pending | 6 90 pending | 8 90 pending | 10 90 firing
        12 80 firing | 14 80 firing | 16 80 firing | 18 - firing | 22 - firing | 26 - firing
        28 80 firing | 30 80 inactive
    """,
    "a short gap between two readings that say the same is no gap": """
        0 90 pending | 2 - pending | 4 90 pending | 6 - pending | 8 90 pending | 9 - pending
        10 90 firing | 12 80 firing | 14 - firing | 16 - firing | 18 80 inactive
    """,
    "a short gap between two that do not is one": """
        0 90 pending | 8 90 pending | 10 - pending | 12 80 inactive | 14 - inactive
        16 90 pending | 24 90 pending | 26 90 firing | 28 - firing | 34 80 firing | 40 80 inactive
    """,
    "never known is never anything": """
        0 - inactive | 2 - inactive | 4 - inactive
    """,
    "a clock that goes back costs the time until it moves on": """
        100 90 pending | 102 90 pending | 104 90 pending | 3 90 pending | 5 90 pending | 7 90 pending
        9 90 firing
    """,
    "a gap in time is not known time": """
        0 90 pending | 2 90 pending | 60 90 pending | 62 90 pending | 64 90 pending | 66 90 pending
        68 90 firing
    """,
}  # fmt: skip

STEPPED = Rule("stepped", "temperature_gpu", ">", 85, for_seconds=10, keep_firing_seconds=6)


def rows_of(table: str) -> list[tuple[float, float | None, str]]:
    cells = [cell.split() for line in table.strip().splitlines() for cell in line.split("|")]
    return [(float(at), None if v == "-" else float(v), state) for at, v, state in cells]


@pytest.mark.parametrize("name", TIMELINES)
def test_the_state_over_time_is_that_of_the_table(name: str) -> None:
    engine = Engine()
    for at, value, expected in rows_of(TIMELINES[name]):
        engine.evaluate(at, [judged(STEPPED, value)])
        assert engine.state("stepped", GPU_0.key) == expected, f"at {at:g} s"


def test_an_alert_begins_and_ends_with_one_event_each_that_says_all() -> None:
    timeline = [(t, 87.0) for t in range(40)] + [(t, 80.0) for t in range(40, 110)]
    _, events = run(HOT, timeline)
    begin, end = events
    assert (begin.at, begin.change, begin.value, begin.notify) == (30, Change.FIRING, 87, True)
    assert begin.message == "GPU 0 temperature 87 °C (> 85 °C for 30 s)"
    assert (end.at, end.change, end.notify) == (100, Change.RESOLVED, True)
    assert end.message == f"{begin.message}: over after 01:10"


def test_what_fires_says_its_newest_reading_for_which_it_holds() -> None:
    engine, _ = run(HOT, [(t, 87.0) for t in range(31)] + [(31, 89.0), (32, 70.0)])
    (alert,) = engine.firing
    assert (alert.value, alert.lasted, alert.began_at) == (89, 2, 30)
    assert "89 °C" in alert.message


def test_without_for_and_keep_firing_for_it_follows_each_reading() -> None:
    rule = replace(HOT, for_seconds=0, keep_firing_seconds=0)
    _, events = run(rule, [(0, 86), (1, 85), (2, 86), (3, 85)])
    assert [event.at for event in events] == [0, 1, 2, 3]


def test_an_alert_whose_reading_stays_unknown_is_over_as_no_longer_known() -> None:
    rule = replace(HOT, for_seconds=0)
    lost = 10 + UNKNOWN_SECONDS
    _, events = run(rule, [(t, 90) for t in range(11)] + [(t, None) for t in range(11, 400)])
    assert [event.at for event in events] == [0, lost]
    assert str(Ending.UNKNOWN) in events[1].message


def test_what_is_pending_is_forgotten_when_it_stays_unknown() -> None:
    first = [(float(t), 90.0) for t in range(29)]
    unknown: list[tuple[float, float | None]] = [(29.0 + t, None) for t in range(301)]
    engine, events = run(HOT, [*first, *unknown, (330, 90.0), (331, 90.0), (332, 90.0)])
    assert not events
    assert engine.state(HOT.name, GPU_0.key) is State.PENDING


def test_a_subject_that_vanishes_ends_its_alert() -> None:
    rule = replace(HOT, for_seconds=0)
    engine, _events = run(rule, [(0, 90)])
    (end,) = engine.evaluate(1, [])
    assert (end.change, engine.firing) == (Change.RESOLVED, ())
    assert str(Ending.GONE) in end.message


def test_the_same_rule_fires_for_each_subject_by_itself() -> None:
    engine, rule = Engine(), replace(HOT, for_seconds=1)
    other = Subject(Scope.GPU, "GPU-1", "GPU 1")
    seen = []
    for at, value in enumerate((80, 90, 90)):
        engine.evaluate(at, [judged(rule, 90), judged(rule, value, other)])
        seen.append(tuple(str(engine.state(rule.name, one.key)) for one in (GPU_0, other)))
    assert seen == [("pending", "inactive"), ("firing", "pending"), ("firing", "firing")]


def test_a_worse_rule_that_fires_mutes_the_lesser_one() -> None:
    worse = replace(HOT, name="worse", threshold=90, for_seconds=0, severity=Severity.CRITICAL)
    lesser = replace(HOT, name="lesser", for_seconds=5, unless="worse", keep_firing_seconds=0)
    engine = Engine()
    events = []
    for at in range(10):
        events += engine.evaluate(at, [judged(worse, 91), judged(lesser, 91)])
    assert [(event.rule.name, event.notify) for event in events] == [
        ("worse", True),
        ("lesser", False),
    ]
    assert [(alert.rule.name, alert.muted) for alert in engine.firing] == [
        ("worse", False),
        ("lesser", True),
    ]


def test_what_flaps_makes_noise_once_in_ten_minutes_and_a_line_each_time() -> None:
    rule = replace(HOT, for_seconds=0, keep_firing_seconds=0)
    timeline = [(float(t), 90.0 if t % 20 < 10 else 80.0) for t in range(3600)]
    _, events = run(rule, timeline)
    begun = [event for event in events if event.change is Change.FIRING]
    loud = [event.at for event in begun if event.notify]
    assert len(begun) == 180
    assert loud == [0, 600, 1200, 1800, 2400, 3000]
    for first, second in itertools.pairwise(events):
        if first.change is Change.FIRING:
            assert first.notify == second.notify, "an end is as loud as its beginning"


def test_at_the_end_everything_that_fires_is_over() -> None:
    engine, _ = run(replace(HOT, for_seconds=0), [(0, 90), (7, 90)])
    (end,) = engine.end(Ending.UNWATCHED)
    assert end.message.endswith("no longer watched after 00:07")
    assert engine.firing == ()


READINGS = st.none() | st.sampled_from([80.0, 90.0, float(85)])
STEPS = st.sampled_from([0.0, 1.0, 5.0, 9.5, 10.0]) | st.floats(-5, 25) | st.just(400.0)
SERIES = st.lists(st.tuples(STEPS, READINGS), min_size=1, max_size=60)


def times(series: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    at, timeline = 1000.0, []
    for step, value in series:
        at += step
        timeline.append((at, value))
    return timeline


def naive(rule: Rule, timeline: Sequence[tuple[float, float | None]]) -> list[State]:
    """The states by the definition: at each reading the whole past is looked at again."""
    passed = [0.0] + [max(0.0, b[0] - a[0]) for a, b in itertools.pairwise(timeline)]
    holds = [None if value is None else value > 85 for _, value in timeline]

    def long_unknown(now: int) -> bool:
        total = 0.0
        while now >= 0 and holds[now] is None:
            total += passed[now]
            now -= 1
        return total >= UNKNOWN_SECONDS

    def known(now: int, wanted: bool) -> float:
        """Seconds between two known readings that said ``wanted``, since one said otherwise."""
        total = between = 0.0
        for i in range(now, 0, -1):
            if holds[i - 1] is (not wanted) or long_unknown(i):
                break
            between += passed[i]
            if holds[i - 1] is wanted:
                total += between if between <= LONGEST_STEP + 1e-6 else 0.0
                between = 0.0
        return total

    state, states = State.INACTIVE, []
    for now, holds_now in enumerate(holds):
        firing = state is State.FIRING
        if long_unknown(now):
            state = State.INACTIVE
        elif holds_now is True and not firing:
            ripe = known(now, True) >= rule.for_seconds - 1e-6
            state = State.FIRING if ripe else State.PENDING
        elif holds_now is False:
            kept = firing and known(now, False) < rule.keep_firing_seconds - 1e-6
            state = State.FIRING if kept else State.INACTIVE
        states.append(state)
    return states


@given(SERIES, st.sampled_from([0.0, 5.0, 20.0]), st.sampled_from([0.0, 5.0, 30.0]))
def test_the_states_are_those_of_a_naive_model(
    series: list[tuple[float, float | None]], for_seconds: float, keep: float
) -> None:
    rule = replace(HOT, for_seconds=for_seconds, keep_firing_seconds=keep)
    timeline = times(series)
    engine, states = Engine(), []
    for at, value in timeline:
        engine.evaluate(at, [judged(rule, value)])
        states.append(engine.state(rule.name, GPU_0.key))
    assert states == naive(rule, timeline)


@given(SERIES, st.sampled_from([5.0, 20.0]))
def test_nothing_fires_that_was_not_true_for_its_time(
    series: list[tuple[float, float | None]], for_seconds: float
) -> None:
    timeline = times(series)
    engine = Engine()
    true_for = since = 0.0
    was_true = False
    for i, (at, value) in enumerate(timeline):
        events = engine.evaluate(at, [judged(replace(HOT, for_seconds=for_seconds), value)])
        since += max(0.0, at - timeline[i - 1][0]) if i else 0.0
        if value is not None:
            true_for = true_for + since if value > 85 and was_true else 0.0
            was_true, since = value > 85, 0.0
        if any(event.change is Change.FIRING for event in events):
            assert true_for >= for_seconds - 1e-6


@given(SERIES, st.sampled_from([0.0, 5.0]), st.sampled_from([0.0, 5.0]))
def test_whatever_comes_the_noise_is_bounded_and_events_alternate(
    series: list[tuple[float, float | None]], for_seconds: float, keep: float
) -> None:
    rule = replace(HOT, for_seconds=for_seconds, keep_firing_seconds=keep)
    timeline = times(series)
    _, events = run(rule, timeline)
    passed = sum(max(0.0, b[0] - a[0]) for a, b in itertools.pairwise(timeline))
    loud = [event for event in events if event.notify and event.change is Change.FIRING]
    assert len(loud) <= passed // NOTIFY_SECONDS + 1
    changes = [event.change for event in events]
    expected = [Change.FIRING, Change.RESOLVED] * len(changes)
    assert changes == expected[: len(changes)]
