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


def test_changes_that_lie_near_each_other_are_one_region() -> None:
    rows = (" " * WIDTH, "   x   x".ljust(WIDTH), ("   x" + " " * 10 + "x").ljust(WIDTH))
    blank, near, far = (strip_of([(text, STYLES[0])]) for text in rows)
    assert list(changed_regions([blank], [near], WIDTH)) == [Region(3, 0, 5, 1)]
    assert list(changed_regions([blank], [far], WIDTH)) == [Region(3, 0, 1, 1), Region(14, 0, 1, 1)]


def test_a_wide_character_is_repainted_as_a_whole() -> None:
    before, after = (strip_of([(f"ab{wide}cd", STYLES[0])]) for wide in "漢字")
    assert list(changed_regions([before], [after], WIDTH)) == [Region(2, 0, 2, 1)]


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
