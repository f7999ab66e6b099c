"""Energy of one GPU: hand-computed, against a naive model, and against what the GPU truly used."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.power.cost import cost, costs, money
from gputui.power.energy import Energy, EnergyMeter, Method, total

GAP = 5.0
MOST = 600.0


@dataclass(frozen=True)
class Point:
    at: float
    draw: float | None = None
    counter: float | None = None


def metered(*points: Point) -> Energy:
    meter = EnergyMeter(GAP)
    for point in points:
        meter.add(point.at, point.draw, point.counter, MOST)
    return meter.energy


def test_nothing_is_known_of_one_sample() -> None:
    assert metered() == Energy()
    assert metered(Point(10, 300, 1000)) == Energy()


def test_the_draw_is_integrated_by_trapezoids() -> None:
    energy = metered(Point(0, 100), Point(1, 200), Point(3, 400))
    assert energy.joules == 150 + 600
    assert energy.method is Method.INTEGRATED
    assert energy.seconds == 3
    assert energy.mean_watts == 250


def test_the_counter_goes_before_the_draw() -> None:
    energy = metered(Point(0, 100, 5000), Point(1, 100, 5123), Point(2, 100, 5200))
    assert (energy.joules, energy.method) == (200, Method.MEASURED)


def test_a_gap_is_not_bridged_by_the_draw_but_by_the_counter() -> None:
    assert metered(Point(0, 100), Point(1, 100), Point(61, 100)) == Energy(
        100, Method.INTEGRATED, 1, 60
    )
    assert metered(Point(0, 100, 0), Point(1, 100, 90), Point(61, 100, 7000)) == Energy(
        7000, Method.MEASURED, 61, 0
    )


def test_an_unknown_draw_is_missing_and_not_nothing() -> None:
    energy = metered(Point(0, 100), Point(1, None), Point(2, 100), Point(3, 100))
    assert energy == Energy(100, Method.INTEGRATED, 1, 2)
    assert metered(Point(0, None), Point(4, None)) == Energy(missing_seconds=4)


def test_the_counter_takes_the_place_of_the_estimate_made_while_it_was_silent() -> None:
    points = [Point(0, 100, 0), Point(1, 100, 110), Point(2, 100), Point(3, None), Point(4, 100)]
    assert metered(*points) == Energy(110 + 100, Method.MEASURED, 2, 2)
    assert metered(*points, Point(5, 100, 560)) == Energy(560, Method.MEASURED, 5, 0)


def test_a_driver_that_was_loaded_again_starts_the_counter_anew() -> None:
    energy = metered(
        Point(0, 100, 90_000), Point(1, 100, 90_100), Point(2, 100, 40), Point(3, 100, 145)
    )
    assert energy == Energy(100 + 100 + 105, Method.MIXED, 3, 0)


def test_a_counter_that_grows_by_more_than_the_gpu_can_draw_is_not_believed() -> None:
    energy = metered(Point(0, 100, 0), Point(1, 100, 10**9), Point(2, 100, 10**9 + 98))
    assert energy == Energy(100 + 98, Method.MIXED, 2, 0)


def test_a_counter_that_stands_still_says_nothing() -> None:
    energy = metered(*(Point(at, 300, 0) for at in range(61)))
    assert energy == Energy(300 * 60, Method.INTEGRATED, 60, 0)


def test_the_same_sample_again_and_a_clock_set_back_add_nothing() -> None:
    again = metered(Point(0, 100), Point(1, 100), Point(1, 100), Point(1, 500))
    assert again == Energy(100, Method.INTEGRATED, 1, 0)
    set_back = metered(Point(100, 100), Point(101, 100), Point(50, 100), Point(51, 100))
    assert set_back == Energy(200, Method.INTEGRATED, 2, 0)


def test_what_is_no_number_is_not_known() -> None:
    nan, inf = float("nan"), float("inf")
    energy = metered(Point(0, 100, nan), Point(1, 100, inf), Point(2, nan, 50), Point(3, 100, 150))
    assert energy == Energy(100 + 100, Method.MIXED, 2, 1)


def test_the_sum_of_gpus_says_how_it_was_had() -> None:
    measured, integrated = Energy(10, Method.MEASURED, 5, 0), Energy(20, Method.INTEGRATED, 4, 1)
    assert total((measured, measured)) == Energy(20, Method.MEASURED, 5, 0)
    assert total((measured, integrated)) == Energy(30, Method.MIXED, 5, 1)
    assert total((measured, Energy(missing_seconds=7))) == Energy(10, Method.MEASURED, 5, 7)
    assert total(()) == Energy()


def naive(points: list[Point]) -> tuple[float, float, float]:
    """Joules, their seconds and the missing ones, with all points at hand."""
    joules = seconds = missing = 0.0

    def integrate(part: list[Point]) -> tuple[float, float, float]:
        area = known = lost = 0.0
        for one, other in itertools.pairwise(part):
            passed = other.at - one.at
            if one.draw is None or other.draw is None or passed > GAP:
                lost += passed
            else:
                area += passed * (one.draw + other.draw) / 2
                known += passed
        return area, known, lost

    moved: list[int] = []
    for index, point in enumerate(points):
        if point.counter is not None and (not moved or point.counter != points[moved[-1]].counter):
            moved.append(index)
    cuts = [0, *moved, len(points) - 1]
    for begin, end in itertools.pairwise(cuts):
        one, other = points[begin], points[end]
        parts = integrate(points[begin : end + 1])
        if (
            begin in moved
            and end in moved
            and one.counter is not None
            and other.counter is not None
        ):
            grown, passed = other.counter - one.counter, other.at - one.at
            if begin != end and 0 < grown <= 1.5 * MOST * (passed + 5):
                parts = grown, passed, 0.0
        joules, seconds, missing = joules + parts[0], seconds + parts[1], missing + parts[2]
    return joules, seconds, missing


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.25, 1.0, 4.0, 8.0, 100.0]),
        st.none() | st.integers(0, 600),
        st.none() | st.integers(0, 5000),
    ),
    min_size=2,
    max_size=12,
)


@given(STEPS)
def test_as_a_naive_model_has_it(steps: list[tuple[float, int | None, int | None]]) -> None:
    at, points = 0.0, []
    for passed, draw, counter in steps:
        at += passed
        points.append(Point(at, draw, counter))
    joules, seconds, missing = naive(points)
    energy = metered(*points)
    assert energy.missing_seconds == pytest.approx(missing)
    assert energy.seconds == pytest.approx(seconds)
    assert energy.seconds + energy.missing_seconds == pytest.approx(at - points[0].at)
    assert energy.joules == (None if seconds == 0 else pytest.approx(joules))


@given(
    st.lists(
        st.tuples(st.integers(20, 600), st.booleans(), st.booleans()), min_size=2, max_size=40
    ),
    st.none() | st.integers(1, 39),
)
def test_near_to_what_was_truly_used(
    seconds: list[tuple[int, bool, bool]], reload_at: int | None
) -> None:
    """A steady draw within each second, readings lost at random, the driver loaded again once."""
    used, counter, points = 0.0, 1e6, []  # no reload goes unseen behind a lost reading
    for at, (watts, draw_known, counter_known) in enumerate(seconds):
        if at == reload_at:
            counter = 0.0
        points.append(Point(at, watts if draw_known else None, counter if counter_known else None))
        if at < len(seconds) - 1:
            mean = (watts + seconds[at + 1][0]) / 2
            used, counter = used + mean, counter + mean
    energy = metered(*points)
    if energy.missing_seconds == 0 and energy.joules is not None:
        # The second in which the driver was loaded again is known by no counter.
        assert energy.joules == pytest.approx(used, abs=1e-6)
    assert (energy.joules or 0.0) <= used + 1e-6


def test_costs() -> None:
    """842 W at $0.15: 0.1263 an hour; 24 of them a day; 30.44 days a month."""
    at_842 = costs(842, 0.15)
    assert at_842 is not None
    assert at_842.hour == pytest.approx(0.1263)
    assert at_842.day == pytest.approx(3.0312)
    assert at_842.month == pytest.approx(92.269728)
    assert cost(7.2e6, 0.15) == pytest.approx(0.30)
    assert cost(7.2e6, 0) == 0
    assert costs(None, 0.15) is costs(842, None) is cost(None, 0.15) is cost(1, None) is None


@pytest.mark.parametrize(
    ("amount", "words"),
    [(None, "–"), (0, "€0.00"), (0.004, "<€0.01"), (0.005, "€0.01"), (92.269, "€92.27")],
)
def test_money(amount: float | None, words: str) -> None:
    assert money(amount, "€") == words
