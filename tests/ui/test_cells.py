"""The line base: what is repainted is what changed, and all of it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

from gputui.themes import read_theme, shipped_dir
from gputui.ui.cells import CellView, Line, changed_regions
from gputui.ui.palette import Look, Palette

LOOK = Look(Palette.of(read_theme(shipped_dir() / "midnight.toml")))
STYLES = [Style(color="red"), Style(color="blue"), Style(bold=True)]
RUNS = st.lists(st.tuples(st.text("ab 漢é▂", max_size=6), st.sampled_from(STYLES)), max_size=5)
WIDTH = 24


def strip_of(runs: Iterable[tuple[str, Style]]) -> Strip:
    line = Line()
    for text, style in runs:
        line.add(text, style)
    return line.strip(WIDTH, LOOK)


def by_cell(strip: Strip) -> list[tuple[str, Style | None]]:
    """Independent of the code under test: what each cell of the terminal holds."""
    cells: list[tuple[str, Style | None]] = []
    for text, style, _ in strip:
        for character in text:
            cells += [(character, style)] * cell_len(character)
    return cells


@given(st.lists(RUNS, max_size=4), st.lists(RUNS, max_size=4))
def test_every_cell_that_differs_is_in_a_region(
    old: list[list[tuple[str, Style]]], new: list[list[tuple[str, Style]]]
) -> None:
    before, after = [strip_of(runs) for runs in old], [strip_of(runs) for runs in new]
    regions = list(changed_regions(before, after, WIDTH))
    covered = {(x, r.y) for r in regions for x in range(r.x, r.right)}
    for y in range(max(len(before), len(after))):
        if y >= len(before) or y >= len(after):
            assert all((x, y) in covered for x in range(WIDTH))
            continue
        pairs = zip(by_cell(before[y]), by_cell(after[y]), strict=True)
        assert {x for x, (a, b) in enumerate(pairs) if a != b} <= {
            x for x, row in covered if row == y
        }


@given(st.lists(RUNS, max_size=4))
def test_the_same_lines_repaint_nothing(runs: list[list[tuple[str, Style]]]) -> None:
    assert not list(
        changed_regions([strip_of(r) for r in runs], [strip_of(r) for r in runs], WIDTH)
    )


def test_a_line_has_one_region_from_its_first_change_to_its_last() -> None:
    style = STYLES[0]
    blank = strip_of([(" " * WIDTH, style)])
    two = strip_of([("   x" + " " * 10 + "x" + " " * (WIDTH - 15), style)])
    assert list(changed_regions([blank], [two], WIDTH)) == [Region(3, 0, 12, 1)]


class Counter(CellView):
    """Counts what Textual asks it to paint."""

    number = 7

    def lines(self, width: int) -> list[Line]:
        return [
            Line().add("label ", STYLES[0]).add(f"{self.number:>4}", STYLES[2]),
            Line().add("x", STYLES[1]),
        ]


class CounterApp(App[None]):
    CSS = "Counter { height: 2; }"

    def compose(self) -> ComposeResult:
        yield Counter(LOOK)


async def test_only_the_changed_cells_are_sent() -> None:
    async with CounterApp().run_test(size=(40, 4)) as pilot:
        counter = pilot.app.query_one(Counter)
        await pilot.pause()
        refreshed: list[Region] = []
        original = counter.refresh
        counter.refresh = lambda *regions, **kw: (
            refreshed.extend(regions),
            original(*regions, **kw),
        )[1]  # type: ignore[method-assign,assignment,func-returns-value]
        counter.redraw()
        assert refreshed == []
        counter.number = 8
        counter.redraw()
        assert refreshed == [Region(9, 0, 1, 1)]
