from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gputui.ui.graph import ASCII_BLOCKS, BLOCKS, STEP, bar, sparkline, window_size

VALUE = st.none() | st.floats(-1e12, 1e12)


@given(st.lists(VALUE, max_size=50), st.floats(-100, 100), st.floats(-100, 100), st.integers(0, 40))
def test_a_graph_is_exactly_as_wide_as_asked(
    values: list[float | None], low: float, high: float, width: int
) -> None:
    for blocks in (BLOCKS, ASCII_BLOCKS):
        graph = sparkline(values, low, high, width, blocks)
        assert cell_len(graph) == width or width == 0
        assert set(graph) <= set(blocks)


@given(st.lists(VALUE, min_size=1, max_size=40))
def test_unknown_is_a_gap_and_known_never_is(values: list[float | None]) -> None:
    graph = sparkline(values, 0, 100, len(values))
    assert [cell == " " for cell in graph] == [value is None for value in values]


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40))
def test_higher_is_never_drawn_lower(values: list[float]) -> None:
    heights = [BLOCKS.index(cell) for cell in sparkline(values, 0, 100, len(values))]
    ordered = [height for _, height in sorted(zip(values, heights, strict=True))]
    assert ordered == sorted(ordered)


@given(st.integers(1, 200), st.integers(0, 2000))
def test_a_graph_moves_by_one_cell_a_tick_or_by_one_step(width: int, ticks: int) -> None:
    before, after = window_size(width, ticks), window_size(width, ticks + 1)
    assert 0 <= before <= width
    moved = after - before
    if width > STEP:
        assert moved in (1, 1 - STEP)
        assert ticks < width or before > width - STEP, "most of the width is used"


def test_while_it_does_not_move_only_one_cell_changes() -> None:
    width = 40
    values: list[float | None] = [float(v % 100) for v in range(500)]

    def drawn(ticks: int) -> str:
        return sparkline(values[max(0, ticks - window_size(width, ticks)) : ticks], 0, 100, width)

    changes = [
        sum(a != b for a, b in zip(drawn(t), drawn(t + 1), strict=True))
        for t in range(100, 100 + 4 * STEP)
    ]
    assert sorted(changes)[: 3 * STEP + 4] == [1] * (3 * STEP + 4)


@given(st.none() | st.floats(-1, 2), st.integers(1, 40), st.booleans())
def test_a_bar_fills_its_width(share: float | None, width: int, ascii_only: bool) -> None:
    full, rest = bar(share, width, ascii_only=ascii_only)
    assert cell_len(full + rest) == width
    if share is None or share <= 0:
        assert full == ""
    if share is not None and share >= 1:
        assert rest == ""
