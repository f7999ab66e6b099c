"""The dashboard as its user works it: keys in, screen out."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from gputui.config import Config
from gputui.errors import ConfigError
from gputui.gpu.sample import Problem, Snapshot
from gputui.instances.status import State
from tests.ui.harness import (
    BOTH,
    CODER,
    DEEPSEEK,
    gpu_sample,
    make_rig,
    process,
    rig,
    screen_text,
    snapshot,
    status,
    until,
    until_shown,
)

SIZES = [(160, 45), (120, 30), (80, 24), (60, 20)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_picture_has_gpus_instances_and_both_sides(size: tuple[int, int]) -> None:
    one = rig()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(
            pilot,
            "ready",
            "RTX PRO",
            "RTX 5090",
            "deepseek",
            "qwen-coder",
            "stopped",
            "A  deepseek",
        )
        if size[0] >= 120:
            await until_shown(pilot, "B  qwen-coder", "14.2")
        assert all(len(line) <= size[0] for line in screen_text(one.app).splitlines())


async def test_the_totals_are_sums_of_what_is_known() -> None:
    watts = [gpu_sample(0), gpu_sample(1)]
    values = dict(watts[0].values) | {"power_draw": 500.0}
    unknown = {k: v for k, v in watts[1].values.items() if k != "power_draw"}
    one = rig(
        snapshots=[
            Snapshot(
                "nvml", 1.0, (replace(watts[0], values=values), replace(watts[1], values=unknown))
            )
        ]
    )
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "500 / 2000 W (1 of 2 GPUs)", "€0.25/h")


async def test_why_it_failed_stands_under_the_table() -> None:
    failed = status(
        "qwen-coder", State.FAILED, 1, 8081, last_error="not a GGUF file.", hint="Check the path."
    )
    one = rig(statuses=(BOTH[0], failed))
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "qwen-coder failed: not a GGUF file.")
        await pilot.press("down")
        await until_shown(pilot, "qwen-coder: not a GGUF file. Check the path.")


async def test_loading_and_stopping_show_how_far_they_are() -> None:
    one = rig(
        statuses=(
            status("deepseek", State.LOADING, 0, 8080, load_progress=0.43),
            status("qwen-coder", State.STOPPING, 1, 8081, stop_seconds_left=7.2),
        )
    )
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "loading", "43 %", "stopping 7 s")


@pytest.mark.parametrize(
    ("state", "known", "shown"),
    [
        (State.LOADING, {"load_progress": 0.43}, r"loading \S+ +~43 %"),
        (State.LOADING, {"load_progress": 0.43, "load_seconds_left": 12.0}, r"loading \S+ +~43 %"),
        (State.LOADING, {}, r"loading for 3\d s"),
        (State.LOADING, {"load_progress": 0.99, "load_seconds_left": 0.0}, r"loading for 3\d s"),
        (State.READY, {"prompt_progress": 0.43}, r"ready prompt 43 %"),
    ],
)
async def test_how_far_a_load_or_a_prompt_is(
    state: State, known: dict[str, float], shown: str
) -> None:
    one = rig(statuses=(status("deepseek", state, 0, 8080, started_at=time.time() - 31, **known),))
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until(pilot, lambda: bool(re.search(shown, screen_text(one.app))))


async def test_memory_is_the_gpus_where_nvml_knows_it() -> None:
    pid = BOTH[0].pid
    assert pid is not None
    sample = replace(gpu_sample(0), processes=(process(pid, 54 * 2**30),))
    one = rig(snapshots=[Snapshot("nvml", 1.0, (sample, gpu_sample(1)))])
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "54.0 GiB")
        assert "61.2 GiB" not in screen_text(one.app)


async def test_a_wrong_configuration_is_shown_and_the_rest_works() -> None:
    error = ConfigError('rig.toml: [[instances]] a: unknown key "ctx"', 'Did you mean "ctx_size"?')
    one = make_rig(config_error=error)
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, 'unknown key "ctx"', 'Did you mean "ctx_size"?', "RTX 5090")


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (
            Snapshot("nvml", 1.0, problem=Problem("no NVIDIA driver is installed", "Install it.")),
            "Install it.",
        ),
        (Snapshot("nvml", 1.0), "No GPU here"),
        (
            Snapshot(
                "nvml",
                1.0,
                (gpu_sample(0, problem=Problem("GPU 0 is lost", "Reboot.")), gpu_sample(1)),
            ),
            "GPU 0 is lost",
        ),
        (
            replace(snapshot(), problem=Problem("the driver has not answered for 9 s")),
            "not answered for 9 s",
        ),
    ],
)
async def test_what_is_wrong_with_the_gpus_is_said_and_the_rest_works(
    first: Snapshot, text: str
) -> None:
    one = rig(snapshots=[first])
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, text)
        await pilot.press("2")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])
        one.sampler.take(snapshot(tick=1))
        await until(pilot, lambda: text not in screen_text(one.app))
        await until_shown(pilot, "RTX 5090")


@pytest.mark.parametrize("gpus", [1, 3, 4, 8, 16])
@pytest.mark.parametrize("size", SIZES)
async def test_any_number_of_gpus_leaves_room_for_instances_and_prompt(
    gpus: int, size: tuple[int, int]
) -> None:
    one = rig(snapshots=[snapshot(gpus, tick) for tick in range(3)])
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "Instances", "one prompt, two answers", "deepseek")


async def test_resizing_while_it_runs_keeps_everything_in_sight() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        for size in [(60, 20), (80, 24), (200, 60), (160, 45), (40, 10), (120, 30)]:
            await pilot.resize_terminal(*size)
            one.sampler.take(snapshot(tick=100))
            await pilot.pause()
        await until_shown(pilot, "SM 2617/3090 MHz")


async def test_gpus_may_come_and_go() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "21:00.0")
        one.sampler.take(snapshot(1, 200))
        await until(pilot, lambda: "21:00.0" not in screen_text(one.app))
        one.sampler.take(snapshot(3, 201))
        await until_shown(pilot, "41:00.0")
        assert [gpu.index for gpu in one.supervisor.gpus] == [0, 1, 2]


async def test_maximise_shows_the_focused_panel_alone_and_back() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("z")
        await until(pilot, lambda: "RTX 5090" not in screen_text(one.app))
        await until_shown(pilot, "qwen-coder")
        await pilot.press("z")
        await until_shown(pilot, "RTX 5090")


async def test_an_unknown_theme_is_told_and_the_default_used() -> None:
    one = make_rig(Config(theme="midnigth"))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, 'Did you mean "midnight"?')
        assert one.app.theme == "midnight"


@pytest.mark.parametrize("theme", ["midnight", "paper", "contrast", "terminal"])
async def test_every_theme_opens_and_can_be_changed_to(theme: str) -> None:
    one = make_rig(Config(theme=theme, instances=(DEEPSEEK, CODER)), statuses=BOTH)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        one.app.theme = "paper" if theme == "midnight" else "midnight"
        await until(pilot, lambda: one.app.look.palette.theme.name == one.app.theme)
        await until_shown(pilot, "RTX 5090")


async def test_without_unicode_everything_is_ascii() -> None:
    one = rig(ascii_only=True)
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        drawn = {c for c in screen_text(one.app) if ord(c) > 127}
        assert not drawn - set("⏎"), drawn  # Textual's own footer


async def test_the_configurations_own_error_stays_when_others_follow() -> None:
    config_error = ConfigError("rig.toml: not valid TOML", "Look at line 3.")
    one = make_rig(Config(theme="midnigth", keys={"nope": "x"}), config_error=config_error)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "+2 more")
        one.app.clear_notifications()
        await until_shown(pilot, "rig.toml: not valid TOML")


async def test_cpu_is_said_only_where_it_is_known() -> None:
    one = rig(
        statuses=(
            status("on-cpu", State.STOPPED, None, 1, pinned=False),
            status("who-knows", State.STOPPED, None, 2),
        )
    )
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "on-cpu")
        rows = {
            line.split()[1]: line
            for line in screen_text(one.app).splitlines()
            if " stopped" in line
        }
        assert " CPU " in next(line for line in rows.values() if "on-cpu" in line)
        assert " CPU " not in next(line for line in rows.values() if "who-knows" in line)


async def test_a_tick_repaints_few_cells() -> None:
    """The wire's budget: from the numbers to the newest column of a graph, never a whole panel."""
    one = rig()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        from gputui.ui.cells import CellView

        areas: list[int] = []
        for view in one.app.screen.query(CellView):
            original = view.refresh

            def spy(*regions, _original=original, **more):  # type: ignore[no-untyped-def]
                areas.append(sum(region.area for region in regions) if regions else 10_000)
                return _original(*regions, **more)

            view.refresh = spy  # type: ignore[method-assign]
        one.sampler.take(snapshot(tick=91))  # the first that knows who is pinned where
        await until(pilot, lambda: len(areas) >= 2)
        areas.clear()
        one.sampler.take(snapshot(tick=92))
        await until(pilot, lambda: len(areas) >= 2)
        whole_panel = 78 * 5
        assert max(areas) < whole_panel * 3 // 4, areas
