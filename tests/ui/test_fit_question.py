"""The question before a start that will not fit."""

from __future__ import annotations

import asyncio

from gputui.instances.fit.reckoning import Fit, FitRow
from gputui.models.memory import Share
from tests.ui.harness import GIB, rig, screen_text, until, until_shown


def too_large(**more: object) -> Fit:
    row = FitRow("GPU 1 RTX 5090", Share(25 * GIB), 20.0 * GIB, "u", (("[deepseek]", 11.0 * GIB),))
    values: dict[str, object] = {
        "rows": (row, FitRow("host memory", Share(GIB), 60.0 * GIB)),
        "fails": True,
        "context": 32768,
        "largest_context": 12800,
        "most_layers": 40,
        "layers": 65,
    }
    return Fit("qwen-coder", False, **(values | more))  # type: ignore[arg-type]


async def test_a_start_that_will_not_fit_is_asked_about_in_words() -> None:
    one = rig()
    one.supervisor.fits["qwen-coder"] = too_large()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until_shown(pilot, "qwen-coder will not fit (estimated).")
        text = screen_text(one.app)
        for part in (
            "25.0 GiB needed, 20.0 GiB free, 5.0 GiB too little",
            "[deepseek] (11.0 GiB)",
            "12800 tokens of context would fit; 32768 are asked for",
            "40 of 65 layers would fit",
        ):
            assert part in text
        await pilot.press("enter")
        await pilot.pause()
        assert one.supervisor.asked == [], "enter alone starts nothing"
        await pilot.press("2")
        await until_shown(pilot, "Start anyway")
        await pilot.press("y")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])


async def test_a_restart_that_will_not_fit_is_asked_about_before_anything_stops() -> None:
    one = rig()
    one.supervisor.fits["deepseek"] = too_large(lowers="layers", fails=False)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("r")
        await until_shown(pilot, "Restart deepseek?")
        await pilot.press("y")
        await until_shown(pilot, "leave layers to the CPU")
        assert one.supervisor.asked == []
        await pilot.press("n")
        await pilot.pause()
        assert one.supervisor.asked == []


async def test_a_context_that_the_server_may_choose_is_not_asked_about() -> None:
    one = rig()
    one.supervisor.fits["qwen-coder"] = too_large(lowers="context", fails=False)
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])


async def test_where_nothing_is_known_nothing_is_asked() -> None:
    one = rig()
    one.supervisor.fits["qwen-coder"] = Fit("qwen-coder", None, reason="no driver")
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])


async def test_a_long_look_is_told_and_done_once_and_quitting_does_not_drop_the_start() -> None:
    one = rig()
    fitting = one.supervisor.fitting = asyncio.Event()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2", "2")
        await until_shown(pilot, "Looking whether qwen-coder fits")
        await pilot.press("q")
        await until_shown(pilot, "Finishing")
        assert one.supervisor.asked == []
        fitting.set()
        await until(pilot, lambda: not one.app.is_running)
    assert one.supervisor.asked == [("start", "qwen-coder")]


async def test_who_quits_is_told_that_what_would_not_fit_was_not_started() -> None:
    one = rig()
    one.supervisor.fits["qwen-coder"] = too_large()
    fitting = one.supervisor.fitting = asyncio.Event()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2", "q")
        await until_shown(pilot, "Finishing")
        fitting.set()
        await until(pilot, lambda: not one.app.is_running)
    assert one.supervisor.asked == []
    assert "qwen-coder was not started: it will not fit." in str(one.app.return_value)


async def test_what_is_to_start_at_once_is_asked_about_too() -> None:
    one = rig(start=("qwen-coder",))
    one.supervisor.fits["qwen-coder"] = too_large()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "qwen-coder will not fit (estimated).")
        assert one.supervisor.asked == []
