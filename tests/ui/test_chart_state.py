"""What the charts show, as values: zoom, pan, choice, and columns that stay where they are."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.history import GAUGES
from gputui.gpu.metrics import METRICS
from gputui.ui.gpus.chart_state import DAY, SPANS, ChartRange, ChartState, Grid, span_words

NOW = 1.7e9
moves = st.lists(
    st.tuples(
        st.sampled_from(("zoom", "pan", "latest", "wait")),
        st.integers(-3, 3),
    ),
    max_size=30,
)


@given(moves, st.floats(0, 2e5))
def test_no_keys_lead_out_of_what_is_known(moves: list[tuple[str, int]], age: float) -> None:
    shown, now, begin = ChartRange(), NOW, NOW - age
    for kind, by in moves:
        if kind == "zoom":
            shown = shown.zoomed(by, now, begin)
        elif kind == "pan":
            shown = shown.panned(by, now, begin)
        elif kind == "latest":
            shown = shown.latest()
        else:
            now += 60.0 * abs(by)
        assert shown.span in SPANS
        assert shown.ends_at(now) <= now
        if shown.end is not None and kind != "wait":
            assert shown.end - shown.span >= max(begin, now - DAY) - 1e-6
            assert shown.end < now


@given(st.integers(1, 8))
def test_there_and_back_again(steps: int) -> None:
    shown = ChartRange(3600.0)
    for _ in range(steps):
        shown = shown.panned(-1, NOW, NOW - DAY)
    assert shown.end == NOW - steps * 900
    assert shown.zoomed(1, NOW, 0).ends_at(NOW) == shown.ends_at(NOW) - 900  # around the middle
    for _ in range(steps):
        shown = shown.panned(1, NOW, NOW - DAY)
    assert shown == ChartRange(3600.0)  # at the right end it follows the time again


def test_every_span_from_a_minute_to_a_day_is_a_key_away() -> None:
    shown, spans = ChartRange(60.0), [60.0]
    while spans[-1] < DAY:
        shown = shown.zoomed(-1, NOW, 0)
        spans.append(shown.span)
    assert spans == list(SPANS)
    assert shown.zoomed(-1, NOW, 0) == shown
    assert ChartRange(60.0).zoomed(1, NOW, 0) == ChartRange(60.0)


def test_with_a_short_history_there_is_nowhere_to_go() -> None:
    assert ChartRange(600.0).panned(-1, NOW, NOW - 60) == ChartRange(600.0)


@given(st.lists(st.sampled_from(sorted(GAUGES))))
def test_a_choice_is_its_own_inverse_and_stays_in_the_tables_order(metrics: list[str]) -> None:
    state = ChartState(metrics=())
    for metric in metrics:
        state = state.toggled(metric)
    chosen = {metric for metric in metrics if metrics.count(metric) % 2}
    assert state.metrics == tuple(metric.name for metric in METRICS if metric.name in chosen)


@pytest.mark.parametrize("metric", [m.name for m in METRICS if m.name not in GAUGES])
def test_what_has_no_history_cannot_be_chosen(metric: str) -> None:
    with pytest.raises(ValueError, match="history"):
        ChartState().toggled(metric)


@given(
    st.sampled_from(SPANS),
    st.integers(2, 150),
    st.floats(0, 1e5),
    st.one_of(st.none(), st.floats(1, 1e5)),
)
def test_a_grid_holds_its_end_and_is_as_long_as_its_span(
    span: float, cells: int, later: float, back: float | None
) -> None:
    shown = ChartRange(span, None if back is None else NOW - back)
    grid = Grid.of(shown, NOW + later, 2 * cells)
    end = shown.ends_at(NOW + later)
    assert grid.end - grid.start == pytest.approx(span, rel=1e-6)
    assert end <= grid.end + 1e-5
    assert grid.end - end <= min(20, span / 24) + 2 * grid.seconds + 1e-5
    assert grid.first % 2 == 0  # a cell keeps its two columns


@given(st.sampled_from(SPANS), st.integers(20, 120))
def test_time_moves_the_columns_seldom_and_never_by_parts_of_one(span: float, cells: int) -> None:
    grids = [Grid.of(ChartRange(span), NOW + second, 2 * cells) for second in range(120)]
    assert {grid.seconds for grid in grids} == {span / (2 * cells)}
    moved = sum(one.first != other.first for one, other in itertools.pairwise(grids))
    assert moved <= 120 / min(20, span / 24) + 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "0.5 s"),
        (45, "45 s"),
        (60, "1 min"),
        (450, "7.5 min"),
        (3600, "1 h"),
        (5400, "90 min"),
        (7200, "2 h"),
        (86400, "24 h"),
    ],
)
def test_spans_in_words(seconds: float, words: str) -> None:
    assert span_words(seconds) == words
