"""The details of an instance on the screen: what is said, at every size; copying; acting from there."""

from __future__ import annotations

import shlex

import pytest
from textual.pilot import Pilot

from gputui.errors import GputuiError
from gputui.instances.details import InstanceDetails, Setting
from gputui.instances.status import InstanceMetrics, State
from gputui.llama.inspection import Inspection, ServerFacts, SlotFacts
from gputui.text import clean_line
from gputui.ui.dialogs import ConfirmDialog
from gputui.ui.instances.details import InstanceDetailsScreen
from gputui.ui.log.screen import LogScreen
from tests.support.hostile import HOSTILE
from tests.ui.harness import (
    BOTH,
    GIB,
    Rig,
    rig,
    screen_text,
    snapshot,
    status,
    until,
    until_shown,
)
from tests.ui.test_hostile import assert_harmless

SIZES = [(160, 45), (120, 30), (80, 24)]
FULL = InstanceDetails(
    "deepseek",
    planned=False,
    scope="gputui-deepseek-1f.scope",
    argv=(
        "/opt/llama.cpp/llama-server",
        "--model",
        "/models/a file.gguf",
        "--hf-token",
        "***",
        "--port",
        "8080",
    ),
    variables=(("LLAMA_ARG_CTX_SIZE", None), ("CUDA_VISIBLE_DEVICES", "GPU-00000000")),
    settings=(
        Setting("name", '"deepseek"', '"deepseek"', differs=False),
        Setting("ctx_size", "16384", "8192", differs=True),
        Setting("threads", None, "4", differs=True),
    ),
    inspection=Inspection(
        ServerFacts(
            "/models/a file.gguf",
            "Q4_K_M",
            2,
            8192,
            "ChatML",
            "{%- if tools %}",
            ("vision",),
            "b11434",
        ),
        (
            SlotFacts(0, busy=True, context=8192, used=4096, decoded=52, tokens_per_second=14.2),
            SlotFacts(1, busy=True, context=8192, used=1000, decoded=0, prompt_progress=0.43),
        ),
    ),
)
READY = status(
    "deepseek", State.READY, 0, 8080, sees=True, context=16384, lowered="ctx_size 32768 → 16384",
    availability=0.9921, failures=2, cpus=(0, 1, 2, 3, 8), numa_node=1,
    metrics=InstanceMetrics(14.2, 310.0, 2, 2, 3, 2 * GIB, 120, 4, 2, 5555), started_at=1e9 - 60,
)  # fmt: skip


async def open_details(one: Rig, pilot: Pilot[str | None]) -> InstanceDetailsScreen:
    await until_shown(pilot, "Instances")
    await until_shown(pilot, "deepseek")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(one.app.screen, InstanceDetailsScreen))
    await pilot.pause()
    assert isinstance(one.app.screen, InstanceDetailsScreen)
    return one.app.screen


async def everything(one: Rig, pilot: Pilot[str | None], screen: InstanceDetailsScreen) -> str:
    """All that can be scrolled to."""
    await until(pilot, lambda: screen._details is not None)
    await pilot.pause()
    body = screen.query_one("#instance-body")
    text = screen_text(one.app)
    for _ in range(20):
        if body.is_vertical_scroll_end:
            break
        body.scroll_page_down(animate=False)
        await pilot.pause()
        text += "\n" + screen_text(one.app)
    return text


@pytest.mark.parametrize("size", SIZES)
async def test_all_is_said_at_every_size(size: tuple[int, int]) -> None:
    one = rig(statuses=(READY, BOTH[1]), clock=lambda: 1e9)
    one.supervisor.known = FULL
    one.supervisor.log_text = "0.0 I srv  the newest line\n"
    async with one.app.run_test(size=size, notifications=True) as pilot:
        screen = await open_details(one, pilot)
        text = await everything(one, pilot, screen)
        for words in (
            "deepseek  ready ■0",
            "■0 NVIDIA RTX PRO 6000 Blackwell",
            "http://127.0.0.1:8080",
            "chat, vision",
            "99.21 % of 30 days",
            "2 since its start",
            "16384 tokens",
            "ctx_size 32768 → 16384",
            "0-3,8",
            "ctx_size = 8192 → 16384 on restart",
            "in its own systemd scope",
            "gputui-deepseek-1f.scope",
            "threads = 4 → default on restart",
            "env -u LLAMA_ARG_CTX_SIZE",
            "CUDA_VISIBLE_DEVICES=GPU-00000000",
            "2 of 2 busy",
            "4096/8192",
            "14.2 tok/s",
            "prompt 43 %",
            "120, 4 failed",
            "busy 2, queue 3",
            "Q4_K_M",
            "text, vision",
            "ChatML",
            "b11434",
            "the newest line",
        ):
            assert words in text, words
        assert all(len(row) <= size[0] for row in text.splitlines())
        add = one.supervisor.log_folder / "deepseek.log"
        with add.open("a") as file:
            file.write("0.1 I srv  one more\n")
        await until_shown(pilot, "one more")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(one.app.screen, InstanceDetailsScreen))


async def test_the_command_is_copied_as_one_line_for_a_shell() -> None:
    one = rig(statuses=(READY, BOTH[1]))
    one.supervisor.known = FULL
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, "Command")
        await pilot.press("y")
        await until_shown(pilot, "The command is on the clipboard")
        assert shlex.split(one.app.clipboard)[-7:] == list(FULL.argv)
        assert "\n" not in one.app.clipboard


async def test_what_cannot_be_started_says_why_and_is_not_copied() -> None:
    one = rig(statuses=(BOTH[1],))
    one.supervisor.known = InstanceDetails("qwen-coder", trouble="/m.gguf: no such file.")
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "qwen-coder")
        await pilot.press("enter")
        await until_shown(pilot, "/m.gguf: no such file.")
        await pilot.press("y")
        await until_shown(pilot, "There is no command to copy")
        assert one.app.clipboard == ""


async def test_it_acts_and_shows_the_whole_log_from_here() -> None:
    one = rig()
    one.supervisor.log_text = "a line\n"
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_details(one, pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(one.app.screen, ConfirmDialog))
        await pilot.press("y")
        await until(pilot, lambda: one.supervisor.asked == [("stop", "deepseek")])
        await pilot.press("l")
        await until(pilot, lambda: isinstance(one.app.screen, LogScreen))
        await pilot.press("l")
        await until(pilot, lambda: isinstance(one.app.screen, InstanceDetailsScreen))
        await pilot.press("question_mark")
        await until_shown(pilot, "Any key can be changed")


async def test_it_follows_what_becomes_of_the_instance() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_details(one, pilot)
        failed = status(
            "deepseek",
            State.FAILED,
            0,
            8080,
            last_error="out of GPU memory",
            hint="Use less.",
            evidence=("cudaMalloc failed",),
        )
        one.supervisor.statuses = [failed]
        await until_shown(pilot, "out of GPU memory. Use less.")
        await until_shown(pilot, "cudaMalloc failed")
        one.supervisor.statuses = []
        await until_shown(pilot, "is gone")


async def test_a_failing_look_is_told_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = rig()
    looks = []

    async def fail(name: str, url: str = "") -> InstanceDetails:
        looks.append(name)
        if len(looks) < 3:
            raise GputuiError("cannot look")
        return FULL

    monkeypatch.setattr(one.supervisor, "details", fail)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, "cannot look")
        await until_shown(pilot, "2 of 2 busy")
        assert len([n for n in one.app._notifications if "cannot look" in n.title]) == 1


async def test_nothing_new_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = rig(statuses=(READY, BOTH[1]), clock=lambda: 1e9)
    one.supervisor.known = FULL
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, "2 of 2 busy")
        await pilot.pause(0.5)
        sent: list[object] = []
        display = one.app._display

        def spy(screen: object, renderable: object) -> None:
            if renderable is not None:
                sent.append(renderable)
            display(screen, renderable)  # type: ignore[arg-type]

        monkeypatch.setattr(one.app, "_display", spy)
        for tick in range(90, 93):
            one.sampler.take(snapshot(tick=tick))
            await pilot.pause(0.5)
        assert sent == []


async def test_hostile_words_are_harmless() -> None:
    text = " ".join(words[:200] for _, words in HOSTILE)
    told = clean_line(text, 5000)  # as the rooms below give it; the log comes as it is
    one = rig(statuses=(status("deepseek", State.FAILED, 0, 8080, last_error=told, note=told),))
    one.supervisor.log_text = text
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, "State")
        await pilot.pause(0.6)
        assert_harmless(one.app)
        assert one.app.is_running


async def test_ascii_terminals_get_ascii() -> None:
    one = rig(statuses=(READY, BOTH[1]), ascii_only=True)
    one.supervisor.known = FULL
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, "ctx_size 32768 > 16384")
        body = screen_text(one.app).splitlines()[:-1]
        assert all(row.isascii() for row in body), [row for row in body if not row.isascii()]
        assert_harmless(one.app)
