"""Layouts and waiting starts on the dashboard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from gputui.errors import GputuiError
from gputui.instances.status import State
from gputui.instances.switching.layouts import Arriving, Blocked, LayoutPlan, Leaving, Staying
from gputui.instances.switching.swap import GaveUpError
from gputui.instances.switching.switch import Report, SwitchError, no_report
from gputui.instances.switching.words import AnsweringError
from tests.ui.harness import (
    BOTH,
    Rig,
    identity,
    rig,
    screen_text,
    status,
    until,
    until_shown,
)

GPU0, GPU1 = (identity(0).uuid,), (identity(1).uuid,)
PAIR = LayoutPlan(
    "pair",
    ("deepseek", "qwen-coder"),
    stops=(Leaving("split", GPU0 + GPU1, ("GPU 0", "GPU 1", "port 8080")),),
    starts=(
        Arriving("deepseek", GPU0, restarts="ctx_size changed"),
        Arriving("qwen-coder", GPU1, fits=False, fit_words="40.1 GiB are needed, 31.0 are free"),
    ),
)
WHOLE = LayoutPlan("whole", ("split",), stays=(Staying("split", GPU0 + GPU1),))


@dataclass
class StubLayouts:
    """Plans as the test sets them; remembers what was switched to."""

    plans: list[LayoutPlan] = field(default_factory=lambda: [PAIR, WHOLE])
    switched: list[tuple[str, bool]] = field(default_factory=list)
    errors: list[GputuiError] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event | None = None  # a switch lasts until it is

    async def all(self) -> tuple[LayoutPlan, ...]:
        return tuple(self.plans)

    async def plan(self, name: str) -> LayoutPlan:
        return next(plan for plan in self.plans if plan.name == name)

    async def switch(
        self, shown: LayoutPlan, report: Report = no_report, *, force: bool = False
    ) -> LayoutPlan:
        self.begun.set()
        if self.broken_off is not None:
            await self.broken_off.wait()
        if self.errors:
            raise self.errors.pop()
        self.switched.append((shown.name, force))
        return shown

    def break_off(self) -> None:
        if self.broken_off is not None:
            self.broken_off.set()


def rig_of(layouts: StubLayouts, **more: object) -> Rig:
    return rig(layouts=layouts, **more)


@pytest.mark.parametrize("size", [(160, 45), (80, 24)])
async def test_a_layout_is_chosen_shown_and_switched_to(size: tuple[int, int]) -> None:
    layouts = StubLayouts()
    one = rig_of(layouts)
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("L")
        await until_shown(pilot, "whole  (active)  split")
        await pilot.press("home", "enter")
        await until_shown(pilot, "Switch to layout pair?")
        await until_shown(pilot, "in the way: GPU 0, GPU 1, port 8080")
        shown = " ".join(screen_text(one.app).split())
        assert "stops split ■0■1" in shown
        assert "starts deepseek ■0 stops first: ctx_size changed" in shown
        assert "will not fit: 40.1 GiB are needed" in shown
        await pilot.press("enter")  # alone, it changes nothing
        await until(pilot, lambda: "Switch to layout" not in screen_text(one.app))
        assert layouts.switched == []
        await pilot.press("L")
        await until_shown(pilot, "whole  (active)  split")
        await pilot.press("home", "enter")
        await until_shown(pilot, "Switch to layout pair?")
        await pilot.press("y")
        await until(pilot, lambda: layouts.switched == [("pair", False)])
        await until_shown(pilot, "deepseek, qwen-coder run.")


async def test_what_runs_already_and_what_cannot_be_had_is_only_shown() -> None:
    cannot = Blocked("qwen-coder", GPU1, "port 8081 is [used] by nginx (pid 4)", "Stop it.")
    layouts = StubLayouts([LayoutPlan("pair", ("qwen-coder",), cannot=(cannot,)), WHOLE])
    one = rig_of(layouts)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("L")
        await until_shown(pilot, "whole  (active)  split")
        await pilot.press("enter")  # the active one is marked
        await until_shown(pilot, "Layout whole runs already")
        await pilot.press("y")
        assert "Layout whole runs already" in screen_text(one.app)
        await pilot.press("escape", "L")
        await until_shown(pilot, "whole  (active)  split")
        await pilot.press("home", "enter")
        await until_shown(pilot, "Layout pair cannot be had as things are")
        await until_shown(pilot, "port 8081 is [used] by nginx (pid 4). Stop it.")
        assert "Switch" not in screen_text(one.app)
        await pilot.press("y", "enter")
        await until(pilot, lambda: "cannot be had" not in screen_text(one.app))
    assert layouts.switched == []


async def choose_pair(pilot, one: Rig) -> None:  # type: ignore[no-untyped-def]
    await until_shown(pilot, "ready")
    await pilot.press("L")
    await until_shown(pilot, "whole  (active)  split")
    await pilot.press("home", "enter")
    await until_shown(pilot, "Switch to layout pair?")
    await pilot.press("y")


async def test_answers_that_would_end_are_asked_about() -> None:
    layouts = StubLayouts(errors=[AnsweringError("layout pair: split is answering (2 requests)")])
    one = rig_of(layouts)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await choose_pair(pilot, one)
        await until_shown(pilot, "split is answering (2 requests). Switch all the same?")
        await pilot.press("y")
        await until(pilot, lambda: layouts.switched == [("pair", True)])


async def test_a_failure_half_way_is_shown() -> None:
    error = SwitchError("layout pair is not complete (stopped: split)", "Back: gputui start split")
    one = rig_of(StubLayouts(errors=[error]))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await choose_pair(pilot, one)
        await until_shown(pilot, "is not complete (stopped: split)")
        assert "Back: gputui start split" in screen_text(one.app)


async def test_quitting_in_a_switch_ends_it_after_its_step_and_says_where_it_stands() -> None:
    error = SwitchError("layout pair is not complete (stopped: split)", "Back: gputui start split")
    layouts = StubLayouts(errors=[error], broken_off=asyncio.Event())
    one = rig_of(layouts)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await choose_pair(pilot, one)
        await layouts.begun.wait()
        await pilot.press("q")
        await until(pilot, lambda: one.app._exit)
    assert str(one.app.return_value).startswith(
        "layout pair is not complete (stopped: split)\nBack: gputui start split\nStill running:"
    )
    assert one.supervisor.gave_up


async def test_readonly_shows_and_switches_nothing() -> None:
    layouts = StubLayouts()
    one = rig_of(layouts, readonly=True)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await choose_pair(pilot, one)
        await until_shown(pilot, "--readonly")
    assert layouts.switched == []


async def test_without_layouts_the_key_says_what_to_do() -> None:
    one = rig_of(StubLayouts([]))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("L")
        await until_shown(pilot, "No layout is configured")


async def test_a_start_that_waits_says_for_what_and_x_gives_it_up_without_asking() -> None:
    note = "waiting for deepseek to finish its answer"
    waiting = status("qwen-coder", State.STARTING, 1, 8081, pid=None, note=note)
    one = rig(statuses=(BOTH[0], waiting))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, f"qwen-coder: {note}")
        assert " waiting " in screen_text(one.app)
        await pilot.press("down", "x")
        await until(pilot, lambda: one.supervisor.asked == [("stop", "qwen-coder")])


async def test_a_wait_that_was_given_up_is_no_error() -> None:
    one = rig()
    one.supervisor.refusal = GaveUpError("qwen-coder does not wait any longer")
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])
        await pilot.pause(0.3)
        assert "does not wait" not in screen_text(one.app)
