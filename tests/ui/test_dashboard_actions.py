"""What the dashboard does when it is told to: instances, sides, keys, ways out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.events import Key

from gputui.config import Config, EndpointConfig
from gputui.errors import GputuiError
from gputui.instances.status import InstanceStatus, State
from gputui.instances.switching.words import AnsweringError
from gputui.ui.chat.prompt import Prompt
from tests.ui.harness import (
    BOTH,
    CODER,
    DEEPSEEK,
    make_rig,
    rig,
    screen_text,
    snapshot,
    status,
    until,
    until_shown,
)


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


async def test_an_answer_that_is_in_the_way_can_be_broken_off() -> None:
    one = rig()
    words = "deepseek is answering (1 request)"
    one.supervisor.refusal = AnsweringError(f"qwen-coder is not started: {words}", "Wait.")
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("2")
        await until_shown(pilot, f"{words}: break it off?")
        await pilot.press("enter")
        await pilot.pause()
        assert one.supervisor.asked == [("start", "qwen-coder")], "enter alone breaks nothing off"
        await pilot.press("2")
        await until_shown(pilot, "Break it off and start")
        one.supervisor.refusal = None
        await pilot.press("y")
        await until(pilot, lambda: one.supervisor.asked[-1] == ("start by force", "qwen-coder"))


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
    one.supervisor.log_text = "\n".join(f"line {n} [red]not markup[/red]" for n in range(200))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("l")
        await until_shown(pilot, "line 199 [red]not markup[/red]")
        await pilot.press("escape")
        await until(pilot, lambda: "line 199" not in screen_text(one.app))


async def test_every_key_is_listed_with_its_id() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 100), notifications=True) as pilot:
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
