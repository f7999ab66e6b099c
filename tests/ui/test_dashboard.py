"""The dashboard as its user works it: keys in, screen out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.events import Key

from gputui.config import Config, EndpointConfig, InstanceConfig, PowerConfig
from gputui.errors import ConfigError, GputuiError
from gputui.gpu.sample import Problem, Snapshot
from gputui.instances.status import InstanceStatus, State
from gputui.ui.chat_panel import Prompt
from tests.ui.harness import (
    READY_METRICS,
    Rig,
    gpu_sample,
    make_rig,
    process,
    screen_text,
    snapshot,
    status,
    until,
    until_shown,
)

DEEPSEEK = InstanceConfig(name="deepseek", model="/m.gguf", port=8080, key="1", gpus=("0",))
CODER = InstanceConfig(name="qwen-coder", model="/m.gguf", port=8081, key="2", gpus=("1",))
CONFIG = Config(
    instances=(DEEPSEEK, CODER), power=PowerConfig(psu_watts=2000, price_per_kwh=0.5, currency="€")
)
BOTH = (
    status("deepseek", State.READY, 0, 8080, metrics=READY_METRICS),
    status("qwen-coder", State.STOPPED, 1, 8081),
)
SIZES = [(160, 45), (120, 30), (80, 24), (60, 20)]


def rig(**more: object) -> Rig:
    return make_rig(**({"config": CONFIG, "statuses": BOTH} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_picture_has_gpus_instances_and_both_sides(size: tuple[int, int]) -> None:
    one = rig()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "ready")
        text = screen_text(one.app)
        for part in ("RTX PRO", "RTX 5090", "deepseek", "qwen-coder", "stopped", "A  deepseek"):
            assert part in text
        if size[0] >= 120:
            assert "B  qwen-coder" in text
            assert "14.2" in text
        assert all(len(line) <= size[0] for line in text.splitlines())


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
        await until_shown(pilot, "500 / 2000 W (1 of 2 GPUs)")
        assert "€0.25/h" in screen_text(one.app)


async def test_a_digit_starts_a_stopped_instance_and_asks_before_it_stops_a_running_one() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])
        await pilot.press("1")
        await until_shown(pilot, "Stop deepseek?")
        await pilot.press("n")
        await pilot.pause()
        assert len(one.supervisor.asked) == 1
        await pilot.press("1", "y")
        await until(pilot, lambda: one.supervisor.asked[-1] == ("stop", "deepseek"))


async def test_letters_act_on_the_row_of_the_cursor() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("down", "s")
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])
        await pilot.press("up", "r")
        await until_shown(pilot, "Restart deepseek?")
        await pilot.press("enter")
        await pilot.pause()
        assert len(one.supervisor.asked) == 1, "enter alone leaves it running"
        await pilot.press("r")
        await until_shown(pilot, "Restart deepseek?")
        await pilot.press("y")
        await until(pilot, lambda: one.supervisor.asked[-1] == ("restart", "deepseek"))


async def test_readonly_refuses_in_words() -> None:
    one = rig(readonly=True)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until_shown(pilot, "--readonly")
        assert one.supervisor.asked == []


async def test_a_refusal_is_shown_with_its_remedy_and_its_brackets() -> None:
    one = rig()
    one.supervisor.refusal = GputuiError("port 8081 is [taken] by nginx[/]", "Stop [b]nginx.")
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until_shown(pilot, "is [taken] by nginx[/]")
        assert "Stop [b]nginx." in screen_text(one.app)


async def test_why_it_failed_stands_under_the_table() -> None:
    failed = status(
        "qwen-coder", State.FAILED, 1, 8081, last_error="not a GGUF file.", hint="Check the path."
    )
    one = rig(statuses=(BOTH[0], failed))
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "qwen-coder: not a GGUF file. Check the path.")


async def test_loading_and_stopping_show_how_far_they_are() -> None:
    one = rig(
        statuses=(
            status("deepseek", State.LOADING, 0, 8080, load_progress=0.43),
            status("qwen-coder", State.STOPPING, 1, 8081, stop_seconds_left=7.2),
        )
    )
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "loading")
        assert "43 %" in screen_text(one.app)
        assert "stopping 7 s" in screen_text(one.app)


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
        await until_shown(pilot, 'unknown key "ctx"')
        assert 'Did you mean "ctx_size"?' in screen_text(one.app)
        assert "RTX 5090" in screen_text(one.app)


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
        assert "RTX 5090" in screen_text(one.app)


@pytest.mark.parametrize("gpus", [1, 3, 4, 8, 16])
@pytest.mark.parametrize("size", SIZES)
async def test_any_number_of_gpus_leaves_room_for_instances_and_prompt(
    gpus: int, size: tuple[int, int]
) -> None:
    one = rig(snapshots=[snapshot(gpus, tick) for tick in range(3)])
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await until_shown(pilot, "one prompt, two answers")
        assert "deepseek" in screen_text(one.app)


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
        assert "qwen-coder" in screen_text(one.app)
        await pilot.press("z")
        await until_shown(pilot, "RTX 5090")


async def test_every_gpu_can_be_reached_by_keyboard_where_not_all_fit() -> None:
    one = rig(snapshots=[snapshot(16, tick) for tick in range(3)])
    async with one.app.run_test(size=(60, 20), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        assert "15 RTX" not in screen_text(one.app)
        await pilot.press("shift+tab", "end")
        await until_shown(pilot, "15 RTX")
        await pilot.press("z")
        await until_shown(pilot, " 0 RTX")
        assert "15 RTX" in screen_text(one.app)
        assert "Instances" not in screen_text(one.app)


async def test_more_instances_than_fit_follow_the_cursor() -> None:
    many = [status(f"model-{n}", State.STOPPED, 0, 9000 + n) for n in range(20)]
    one = make_rig(statuses=many)
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "model-0")
        assert "model-19" not in screen_text(one.app)
        await pilot.press(*["down"] * 25)
        await until_shown(pilot, "model-19")
        await pilot.press("s")
        await until(pilot, lambda: one.supervisor.asked == [("start", "model-19")])


async def test_the_log_is_shown_and_closed() -> None:
    one = rig()
    one.supervisor.log = "\n".join(f"line {n} [red]not markup[/red]" for n in range(200))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("l")
        await until_shown(pilot, "line 199 [red]not markup[/red]")
        await pilot.press("escape")
        await until(pilot, lambda: "line 199" not in screen_text(one.app))


async def test_every_key_is_listed_with_its_id() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 60), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("question_mark")
        for part in ("instance.start", "chat.prompt", "side.retry", "prompt.send", "app.quit"):
            await until_shown(pilot, part)


async def test_a_key_can_be_changed_by_its_id() -> None:
    one = make_rig(
        Config(instances=(DEEPSEEK, CODER), keys={"instance.start": "f8"}), statuses=BOTH
    )
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("s")
        await pilot.press("f8")
        await until(pilot, lambda: one.supervisor.asked == [("start", "deepseek")])


async def test_an_unknown_key_id_names_the_nearest() -> None:
    one = make_rig(Config(keys={"instance.strat": "f8"}))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, 'Did you mean "instance.start"?')


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
        await pilot.pause()
        assert one.app.look.palette.theme.name == one.app.theme
        assert "RTX 5090" in screen_text(one.app)


async def test_without_unicode_everything_is_ascii() -> None:
    one = rig(ascii_only=True)
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        drawn = {c for c in screen_text(one.app) if ord(c) > 127}
        assert not drawn - set("⏎▏"), drawn  # Textual's own footer


@pytest.mark.parametrize("way", ["q", "ctrl+q", "palette"])
async def test_every_way_out_of_the_demo_asks(way: str) -> None:
    one = rig(demo=True)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        if way == "palette":
            await one.app.action_quit()
        else:
            await pilot.press(way)
        await until_shown(pilot, "Stop the demo's servers (deepseek)?")
        await pilot.press("escape")
        await until(pilot, lambda: "Stop the demo" not in screen_text(one.app))
        assert one.app.is_running


async def test_leaving_waits_for_a_stop_that_was_asked_for_and_a_second_q_does_not_cut_it_short() -> (
    None
):
    one = rig(demo=True)
    released = asyncio.Event()
    stopped: list[str] = []

    async def slow_stop(name: str) -> None:
        await released.wait()
        stopped.append(name)

    one.supervisor.stop = slow_stop  # type: ignore[method-assign]
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("q", "enter")
        await until_shown(pilot, "Stopping, then quitting")
        await pilot.press("q", "enter", "ctrl+q")
        await pilot.pause()
        assert one.app.is_running
        released.set()
        await until(pilot, lambda: one.app.return_code is not None or not one.app.is_running)
    assert stopped == ["deepseek"]


async def test_letters_typed_right_after_the_prompts_key_are_the_prompts() -> None:
    """Over SSH keys come in bursts; none of them may start, stop or restart anything."""
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        for key in ("c", *"form rsx12", "1"):
            one.app.post_message(Key("space" if key == " " else key, key))
        await until(pilot, lambda: one.app.screen.query_one(Prompt).text == "form rsx121")
        assert one.supervisor.asked == []
        await pilot.press("c")
        assert one.app.screen.query_one(Prompt).text == "form rsx121c"


async def test_the_configurations_own_error_stays_when_others_follow() -> None:
    config_error = ConfigError("rig.toml: not valid TOML", "Look at line 3.")
    one = make_rig(Config(theme="midnigth", keys={"nope": "x"}), config_error=config_error)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "+2 more")
        one.app.clear_notifications()
        await until_shown(pilot, "rig.toml: not valid TOML")


async def test_a_second_failure_of_the_same_kind_is_told_again() -> None:
    failed = status("deepseek", State.FAILED, 0, 8080, last_error="it ended at once")
    one = rig(statuses=(failed,))
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "failed")
        for _ in range(2):
            one.app.clear_notifications()
            await until(pilot, lambda: screen_text(one.app).count("it ended at once") == 1)
            await pilot.press("s")
            await until(pilot, lambda: screen_text(one.app).count("it ended at once") == 2)


async def test_an_odd_error_of_a_look_is_told_once_and_the_next_look_comes() -> None:
    one = rig()
    looks: list[int] = []
    real = one.supervisor.observe

    async def failing() -> tuple[InstanceStatus, ...]:
        looks.append(1)
        if len(looks) < 3:
            raise OSError(28, "No space left on device")
        return await real()

    one.supervisor.observe = failing  # type: ignore[method-assign]
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "No space left on device")
        await until_shown(pilot, "ready")
        assert screen_text(one.app).count("No space left") == 1


async def test_a_side_whose_instance_is_not_ready_is_not_asked() -> None:
    """Another instance may answer on its port: that answer would wear the wrong name."""
    stopped = replace(BOTH[1], note="port 8081 is used by deepseek")
    one = rig(statuses=(BOTH[0], stopped))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c", "h", "i", "enter")
        await until_shown(pilot, "qwen-coder is stopped")
        assert "port 8081 is used by deepseek" in screen_text(one.app)
        assert one.app.screen.query_one(Prompt).text == "hi", "nothing is lost"
        assert not any(side.busy for side in one.conversation.sides.values())


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


async def test_quitting_says_what_goes_on_running() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("q")
    assert one.app.return_value is not None
    assert "Still running: deepseek" in one.app.return_value
    assert one.supervisor.asked == []
    assert one.sampler.stopped


async def test_leaving_the_demo_asks_and_stops_its_servers_by_default() -> None:
    one = rig(demo=True)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("q")
        await until_shown(pilot, "Stop the demo's servers (deepseek)?")
        await pilot.press("enter")
        await until(pilot, lambda: one.app.return_code is not None or not one.app.is_running)
    assert one.supervisor.asked == [("stop", "deepseek")]


async def test_what_is_asked_to_start_starts_once_the_gpus_are_known() -> None:
    one = rig(start=("qwen-coder",), snapshots=())
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        assert one.supervisor.asked == []
        one.sampler.take(snapshot())
        await until(pilot, lambda: one.supervisor.asked == [("start", "qwen-coder")])
        one.sampler.take(snapshot(tick=1))
        await pilot.pause()
        assert len(one.supervisor.asked) == 1


async def test_sides_can_be_chosen_among_instances_and_endpoints() -> None:
    config = Config(
        instances=(DEEPSEEK,), endpoints=(EndpointConfig(name="lab", url="http://127.0.0.1:9/v1"),)
    )
    one = make_rig(config, statuses=(BOTH[0],))
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "B  lab")
        await pilot.press("b")
        await until_shown(pilot, "Who answers on side B?")
        await pilot.press("enter")
        await until_shown(pilot, "B  deepseek")


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
