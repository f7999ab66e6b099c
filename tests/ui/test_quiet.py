"""What a tick costs the screen, counted: cells, regions, layouts, widgets, timers, lines that are made."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

from gputui.gpu.sample import Snapshot
from gputui.ui.cells import CellView
from gputui.ui.compositor import SpansUpdate, SparingCompositor
from gputui.ui.gpus.panel import GpuLines, GpuPanel
from gputui.ui.graph import STEP
from gputui.ui.instances.panel import InstancesPanel
from gputui.ui.messages import InstancesObserved
from tests.ui.harness import BOTH, Rig, rig, screen_text, snapshot, until, until_shown

GRAPHS = 4
"""Of a GPU that has a panel of its own."""


class Counted:
    """What was drawn since the last ``take``: for each frame the cells of each piece."""

    def __init__(self) -> None:
        self.frames: list[list[int]] = []
        self.layouts = 0
        self.lines: Counter[str] = Counter()

    def is_more_than(self, frames: int) -> bool:
        return len(self.frames) > frames

    def take(self) -> list[list[int]]:
        frames, self.frames = self.frames, []
        return frames


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    one = Counted()
    render, layout = SparingCompositor.render_partial_update, Screen._refresh_layout

    def rendered(self: SparingCompositor) -> object:
        update = render(self)
        if isinstance(update, SpansUpdate):
            one.frames.append([strip.cell_length for _, _, strip in update.pieces])
        return update

    def laid_out(self: Screen[object], *arguments: object, **options: object) -> None:
        one.layouts += 1
        layout(self, *arguments, **options)  # type: ignore[arg-type]

    def redrawn(self: CellView) -> None:
        made = self.lines

        def counting(width: int) -> object:
            one.lines[type(self).__name__] += 1
            return made(width)

        self.__dict__["lines"] = counting
        try:
            redraw(self)
        finally:
            del self.__dict__["lines"]

    redraw = CellView.redraw
    monkeypatch.setattr(SparingCompositor, "render_partial_update", rendered)
    monkeypatch.setattr(Screen, "_refresh_layout", laid_out)
    monkeypatch.setattr(CellView, "redraw", redrawn)
    return one


async def at_rest(pilot: Pilot[str | None], one: Rig, gpus: int) -> None:
    """The dashboard is there, and nothing is on its way to it."""
    await until_shown(pilot, "deepseek", "ready")
    kinds = one.app.screen.query(GpuPanel if gpus <= 4 else GpuLines)
    await until(pilot, lambda: all(view.content_size.width for view in kinds))
    await settle(pilot)


async def settle(pilot: Pilot[str | None]) -> None:
    for _ in range(4):
        await pilot.pause()


async def ticks(
    pilot: Pilot[str | None], one: Rig, samples: list[Snapshot], counted: Counted | None = None
) -> None:
    """One sample after the other, each drawn before the next comes (``counted`` says so)."""
    for sample in samples:
        before = len(counted.frames) if counted else 0
        one.sampler.take(sample)
        await settle(pilot)
        if counted is not None:
            await until(pilot, partial(counted.is_more_than, before))


def quiet_rig(gpus: int) -> Rig:
    """A clock that stands; enough samples for the graphs to be full."""
    ready = [snapshot(gpus, tick=tick) for tick in range(90)]
    return rig(snapshots=ready, clock=lambda: 1e9)


async def test_a_tick_that_changes_nothing_adds_a_column_to_each_graph_and_no_more(
    counted: Counted,
) -> None:
    one = quiet_rig(2)
    async with one.app.run_test(size=(160, 45)) as pilot:
        await at_rest(pilot, one, 2)
        await ticks(
            pilot, one, [snapshot(tick=89)] * STEP, counted
        )  # all that is drawn is of this sample
        counted.take()
        layouts = counted.layouts
        await ticks(pilot, one, [snapshot(tick=89)] * STEP, counted)
        frames = counted.take()
        assert len(frames) == STEP, "one picture a sample"
        columns = [frame for frame in frames if frame == [1] * (2 * GRAPHS)]
        assert len(columns) == STEP - 2, "once a step graphs move, those of one width together"
        assert counted.layouts == layouts
        for _ in range(5):
            one.app.screen.post_message(InstancesObserved(BOTH))
            await settle(pilot)
        await ticks(pilot, one, [snapshot(tick=89)], counted)
        assert len(counted.take()) == 1, "the same states are no picture"


@pytest.mark.parametrize(("gpus", "most"), [(2, 150), (16, 500)])
async def test_a_tick_draws_what_changed(gpus: int, most: int, counted: Counted) -> None:
    one = quiet_rig(gpus)
    async with one.app.run_test(size=(160, 45)) as pilot:
        await at_rest(pilot, one, gpus)
        counted.take()
        layouts = counted.layouts
        await ticks(
            pilot, one, [snapshot(gpus, tick=tick) for tick in range(90, 90 + STEP)], counted
        )
        frames = counted.take()
        assert len(frames) == STEP
        assert sorted(map(sum, frames))[STEP - 3] < most, "but for the ticks in which graphs move"
        assert counted.layouts == layouts


async def test_sixteen_gpus_are_no_more_widgets_than_two_and_nothing_ticks_by_itself() -> None:
    widgets: dict[int, int] = {}
    for gpus in (2, 16):
        one = quiet_rig(gpus)
        async with one.app.run_test(size=(160, 45)) as pilot:
            await at_rest(pilot, one, gpus)
            nodes = [one.app, one.app.screen, *one.app.screen.walk_children(Widget)]
            widgets[gpus] = len(nodes)
            timers = [timer for node in nodes for timer in node._timers]
            running = [timer.name for timer in timers if timer._active.is_set()]
            assert running == [], running
    assert widgets[16] <= widgets[2] <= 70


async def test_what_is_covered_or_not_displayed_is_not_reckoned(counted: Counted) -> None:
    one = quiet_rig(2)
    async with one.app.run_test(size=(160, 45)) as pilot:
        await at_rest(pilot, one, 2)
        await pilot.press("question_mark")
        await until_shown(pilot, "Any key can be changed")
        counted.lines.clear()
        await ticks(pilot, one, [snapshot(tick=tick) for tick in range(90, 94)])
        assert not counted.lines
        await pilot.press("escape")
        watts = f"{snapshot(tick=93).gpus[0].values['power_draw']:.0f}/600"
        await until_shown(pilot, watts)

        one.app.screen.query_one(InstancesPanel).focus()
        await pilot.press("z")
        await until(pilot, lambda: "util" not in screen_text(one.app))
        counted.lines.clear()
        await ticks(pilot, one, [snapshot(tick=tick) for tick in range(94, 98)])
        assert "GpuPanel" not in counted.lines
        assert counted.lines["InstancesPanel"]
        await pilot.press("z")
        watts = f"{snapshot(tick=97).gpus[0].values['power_draw']:.0f}/600"
        await until_shown(pilot, watts)
