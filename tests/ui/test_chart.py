"""From history to lines: what is drawn is what is known, at every size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.buckets import Bucket
from gputui.gpu.history import History
from gputui.gpu.metrics import METRICS_BY_NAME, Metric
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.themes import read_theme, shipped_dir
from gputui.ui.cells import Line
from gputui.ui.gpus.chart import ASCII_BAND, BAND, DOTS, Axis, Chart, axis_of, curve, draw
from gputui.ui.gpus.chart_state import ChartRange, Grid
from gputui.ui.gpus.chart_view import SeriesCache, axis_labels
from gputui.ui.palette import Palette
from tests.ui.harness import identity

PALETTE = Palette.of(read_theme(shipped_dir() / "midnight.toml"))
PERCENT, TEMPERATURE = METRICS_BY_NAME["utilization_gpu"], METRICS_BY_NAME["temperature_gpu"]
RATE = METRICS_BY_NAME["pcie_rx"]

Columns = Sequence[Bucket | None]
bucket = st.tuples(*[st.floats(0, 100)] * 3).map(lambda three: Bucket(*sorted(three)))
columns = st.integers(1, 60).flatmap(
    lambda cells: st.lists(st.none() | bucket, min_size=2 * cells, max_size=2 * cells)
)


def flat(value: float) -> Bucket:
    return Bucket(value, value, value)


def chart(*series: Columns, rows: int = 5, axis: Axis | None = None, **more: bool) -> Chart:
    """The last of ``series`` is the one it is about; GPUs are numbered from 0."""
    axis = axis or axis_of(PERCENT, 100.0, series)
    curves = tuple(
        curve(index, one, axis, rows, band=index == len(series) - 1)
        for index, one in enumerate(series)
    )
    return Chart(len(series[0]) // 2, rows, axis_labels(PERCENT, axis, rows), curves, **more)


def texts(lines: Sequence[Line]) -> list[str]:
    return ["".join(text for text, _ in line.runs) for line in lines]


def canvas(chart: Chart, lines: Sequence[Line] | None = None) -> list[str]:
    """The rows from top to bottom without axes and labels."""
    left = len(chart.labels[0]) + 1
    return [text[left:] for text in texts(lines or draw(chart, PALETTE))][: chart.rows]


def dots(text: str) -> int:
    """The braille dots in ``text``."""
    return sum((ord(c) - 0x2800).bit_count() for c in text if 0x2800 <= ord(c) < 0x2900)


@given(columns, st.integers(2, 12), st.booleans(), st.booleans())
def test_no_history_and_no_size_breaks_a_chart(
    columns: list[Bucket | None], rows: int, time_axis: bool, ascii_only: bool
) -> None:
    one = chart(columns, columns[::-1], rows=rows, time_axis=time_axis, ascii_only=ascii_only)
    lines = draw(one, PALETTE)
    assert len(lines) == rows + time_axis
    assert {line.width for line in lines} == {len(one.labels[0]) + 1 + one.cells + one.margin}
    if ascii_only:
        assert not set("".join(canvas(one, lines))) - set(" *01:")


@given(columns, st.integers(2, 12))
def test_a_gap_is_a_gap_and_everything_known_is_drawn(
    columns: list[Bucket | None], rows: int
) -> None:
    one = chart(columns, rows=rows)
    shown = canvas(one)
    for cell in range(one.cells):
        column = "".join(row[cell] for row in shown)
        assert bool(column.strip()) == any(columns[2 * cell : 2 * cell + 2])


@given(st.lists(st.floats(0, 100), min_size=2, max_size=80), st.integers(2, 10))
def test_a_line_is_at_its_values_height(values: list[float], rows: int) -> None:
    """Every value has its dot, and a line no more than it takes to join them."""
    values = values[: len(values) // 2 * 2]
    one = chart([flat(value) for value in values], rows=rows)
    heights = [round(value / 100 * (rows * DOTS - 1)) for value in values]
    drawn = canvas(one)
    for column, (value, height) in enumerate(zip(values, heights, strict=True)):
        got = one.curves[0].heights[column]
        assert got is not None
        assert abs(got - value / 100 * (rows * DOTS - 1)) <= 0.5 + 1e-9
        assert drawn[rows - 1 - height // DOTS][column // 2] != " " or got != height
    joined = sum(
        max(1, abs(a - b))
        for a, b in zip(one.curves[0].heights, one.curves[0].heights[1:], strict=False)
        if a is not None and b is not None
    )
    assert dots("".join(drawn)) == 1 + joined


def test_what_varies_in_a_column_has_a_band_and_what_does_not_has_none() -> None:
    steady = chart([flat(50.0)] * 20)
    varied = chart([Bucket(10.0, 50.0, 90.0)] * 20)
    assert BAND not in "".join(canvas(steady))
    rows = canvas(varied)
    assert [BAND in row for row in rows] == [True, True, False, True, True]
    assert dots("".join(rows)) == dots("".join(canvas(steady)))
    (own,) = {style for line in draw(varied, PALETTE) for text, style in line.runs if BAND in text}
    assert own == PALETTE.faint(0)
    assert ASCII_BAND in "".join(canvas(chart([Bucket(10.0, 50.0, 90.0)] * 20, ascii_only=True)))


def test_the_gpu_itself_lies_on_top_in_its_hue_and_each_is_numbered() -> None:
    lines = draw(chart([flat(50.0)] * 20, [flat(100.0)] * 20, [flat(50.0)] * 20), PALETTE)
    used = {style for line in lines for text, style in line.runs if dots(text)}
    assert used == {PALETTE.hue(1), PALETTE.hue(2)}  # GPU 0 is exactly beneath GPU 2
    ends = [text[-2] for text in texts(lines)]
    assert ends[0] == "1"
    assert ends[2] == "2"
    assert "0" in ends  # in the nearest free row


def test_sixteen_gpus_in_a_small_chart_leave_the_numbers_that_fit() -> None:
    lines = draw(chart(*[[flat(6.0 * n)] * 40 for n in range(16)], rows=4), PALETTE)
    numbers = [number for text in texts(lines) for number in re.findall(r" (\d+)\s*$", text)]
    assert len(numbers) == 4
    assert "15" in numbers


def test_a_chart_is_drawn_the_same_each_time() -> None:
    noisy = [Bucket(0.0, 50 + 40 * math.sin(n), 100.0) if n % 7 else None for n in range(100)]
    one = chart(noisy, noisy[::-1], time_axis=True)
    first = draw(one, PALETTE)
    assert all(
        [line.runs for line in draw(one, PALETTE)] == [line.runs for line in first]
        for _ in range(5)
    )


@given(
    st.lists(columns, max_size=3),
    st.sampled_from((PERCENT, TEMPERATURE, RATE, METRICS_BY_NAME["pstate"])),
    st.none() | st.floats(1, 200),
    st.floats(1e-3, 1e9),
)
def test_an_axis_holds_everything_and_begins_at_nought_where_there_is_a_ceiling(
    series: list[list[Bucket | None]], metric: object, ceiling: float | None, scale: float
) -> None:
    scaled = [
        [one and Bucket(*(value * scale for value in one)) for one in columns] for columns in series
    ]
    axis = axis_of(metric, ceiling, scaled)  # type: ignore[arg-type]
    seen = [value for columns in scaled for one in columns if one for value in one]
    assert axis.low < axis.high
    assert axis.low >= 0
    assert all(axis.low <= value <= axis.high for value in seen)
    if ceiling is not None:
        assert axis == Axis(0.0, max([ceiling, *seen]))


WILD = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from((2.0**62, 1e308, 1e-320))


@given(
    st.lists(st.none() | st.tuples(WILD, WILD, WILD), min_size=1, max_size=6),
    st.sampled_from((PERCENT, TEMPERATURE, RATE, METRICS_BY_NAME["memory_used"])),
    st.none() | WILD,
)
def test_no_number_of_a_strange_trace_breaks_a_chart(
    values: list[tuple[float, float, float] | None], metric: Metric, ceiling: float | None
) -> None:
    one = [value and Bucket(*sorted(value)) for value in values for _ in range(2)]
    axis = axis_of(metric, ceiling, [one])
    assert math.isfinite(axis.low)
    assert math.isfinite(axis.high)
    assert axis.low < axis.high
    shown = chart(one, axis=axis)
    assert all(height is None or 0 <= height < 5 * DOTS for height in shown.curves[0].heights)
    assert len(axis_labels(metric, axis, 5)) == 3
    draw(shown, PALETTE)


def test_an_axis_without_ceiling_has_round_ends_and_room() -> None:
    assert axis_of(TEMPERATURE, None, [[Bucket(41.0, 50.0, 79.0)]]) == Axis(30.0, 90.0)
    assert axis_of(TEMPERATURE, None, [[flat(55.0)]]) == Axis(50.0, 70.0)
    assert axis_of(RATE, None, [[Bucket(0.9e9, 1e9, 1.2e9)]]).low == 0
    assert axis_of(TEMPERATURE, None, [[None]]) == Axis(0.0, 20.0)


def test_the_axis_says_its_unit_and_the_middle_where_there_is_room() -> None:
    memory, axis = METRICS_BY_NAME["memory_used"], Axis(0.0, 96 * 2**30)
    assert [label.strip() for label in axis_labels(memory, axis, 5)] == [
        "0 B", "48.0 GiB", "96.0 GiB",
    ]  # fmt: skip
    assert [label.strip() for label in axis_labels(memory, axis, 4)] == ["0 B", "96.0 GiB"]


steps = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from((60.0, 600.0, 3600.0)), st.integers(-4, 4)),
    min_size=1,
    max_size=12,
)


@given(steps, st.integers(5, 60))
def test_columns_that_are_kept_are_those_that_would_be_read(
    steps: list[tuple[int, float, int]], cells: int
) -> None:
    """Whatever the user does while samples come, with a gap now and then."""
    history, now = History(), 1e6 + 0.37
    cache, uuid = SeriesCache(history), identity(0).uuid
    shown = ChartRange()
    for seconds, span, pan in steps:
        for second in range(seconds):
            now += 100 if second % 97 == 96 else 1
            sample = GpuSample(identity(0), {"power_draw": now % 61})
            history.append(Snapshot("test", now, (sample,)))
        assert history.now is not None
        assert history.begin is not None
        shown = ChartRange(span, shown.end).panned(pan, history.now, history.begin)
        grid = Grid.of(shown, history.now, 2 * cells)
        fresh = history.series(uuid, "power_draw", grid.start, grid.end, grid.columns)
        kept = cache.columns(uuid, "power_draw", grid)
        assert [one is None for one in kept] == [one is None for one in fresh]
        if history.now - grid.start < 3000:  # the buckets of long ago are of another tier
            assert list(kept) == fresh


@pytest.mark.parametrize("theme", ["midnight", "paper", "contrast", "terminal"])
def test_the_band_is_fainter_than_the_line_in_every_theme(theme: str) -> None:
    palette = Palette.of(read_theme(shipped_dir() / f"{theme}.toml"))
    assert palette.faint(0) != palette.hue(0)
