"""The chat's settings by keys and commands; what of them is seen on the sides."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from gputui.chat.asking import choosing
from gputui.chat.asking.context import ContextUse
from gputui.chat.conversation import Conversation
from gputui.chat.model import Answer, Endpoint, Figure, Measurement, Turn
from gputui.config import Config, PresetConfig
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.themes import load_themes, shipped_dir
from gputui.ui.cells import Line
from gputui.ui.chat.settings.context_bar import add_context, context_width
from gputui.ui.chat.settings.notice import notice, sharing
from gputui.ui.dashboard import Dashboard
from gputui.ui.palette import Look, Palette
from tests.ui.harness import (
    CODER,
    DEEPSEEK,
    Rig,
    identity,
    make_rig,
    screen_text,
    status,
    until,
    until_shown,
)

PRESET = PresetConfig(name="coder", temperature=0.3, top_k=10)
CONFIG = Config(instances=(DEEPSEEK, CODER), presets=(PRESET,))
READY = (
    status("deepseek", State.READY, 0, 8080, slot_context=1000),
    status("qwen-coder", State.READY, 1, 8081, slot_context=8192),
)
GPUS = (identity(0), identity(1))


def said(number: int, conversation: Conversation) -> Turn:
    """A turn of both sides, as they would be asked now."""
    figures = Measurement(
        prompt_tokens=Figure(100 + 400 * number, "server"),
        completion_tokens=Figure(380, "server"),
    )
    answers = {
        name: Answer(
            name,
            name,
            "m",
            "an answer",
            finish_reason="stop",
            measurement=figures,
            settings=side.resolved(1),
        )
        for name, side in conversation.sides.items()
    }
    return Turn(f"question {number}", 1e9 + number, answers)


def typed(one: Rig, text: str) -> None:
    screen = one.app.screen_stack[1]
    assert isinstance(screen, Dashboard)
    name, _, argument = text[1:].partition(" ")
    screen.chatting.run(name, argument)


async def test_settings_are_edited_by_keys_and_commands_and_differences_are_seen(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("# Mine.\n")
    one = make_rig(CONFIG, statuses=READY, config_file=file)
    chat = one.conversation
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "B  qwen-coder")
        await pilot.press("t")
        await until_shown(pilot, "repeat_penalty")
        await pilot.press("right", "enter")
        await until_shown(pilot, "temperature, side A")
        await pilot.press(*"9", "enter")
        await until_shown(pilot, "It takes 0 to 5, or default.")
        await pilot.press("backspace", *"0.2", "enter")
        await until(pilot, lambda: chat.sides["A"].settings.sampling.temperature == 0.2)
        await until_shown(pilot, "0.2 *")
        await pilot.press("left", "p")
        await until_shown(pilot, "Preset for both")
        await pilot.press("down", "enter")
        await until(pilot, lambda: chat.settings.sampling.top_k == 10)
        assert chat.sides["A"].settings.sampling.temperature is None
        await pilot.press("o", "up", "enter")
        await until_shown(pilot, "system prompt, both")
        await pilot.press(*"Be brief", "ctrl+j", *"Now", "enter")
        await until(pilot, lambda: chat.settings.system == "Be brief\nNow")
        assert chat.at_once == 1
        await pilot.press("delete", "S")
        await until_shown(pilot, "Save the settings of both")
        await pilot.press(*"mine", "enter")
        await until(pilot, lambda: b"mine" in file.read_bytes())
        saved = {"name": "mine", "temperature": 0.3, "top_k": 10, "order": "one"}
        assert tomllib.loads(file.read_text())["presets"] == [saved]
        assert file.read_text().startswith("# Mine.\n")
        await until(pilot, lambda: len(one.app.screen_stack) == 3)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(one.app.screen, Dashboard))

        typed(one, "/preset default")
        assert choosing.order_words(chat) == "together"
        typed(one, "/set B top-k 7")
        await until_shown(pilot, "B  qwen-coder  ·  top_k 7")
        typed(one, "/set temprature 1")
        await until_shown(pilot, "Did you mean temperature?")
        typed(one, "/system A Be kind")
        await until_shown(pilot, "A  deepseek  ·  own system prompt")
        chat.take_up([said(0, chat), said(1, chat)], None)
        typed(one, "/order together")
        await until_shown(pilot, "asked with another system prompt, without top_k")
        await until_shown(pilot, "asked with no system prompt")
        await until_shown(pilot, "88 %")
        await until_shown(pilot, "about 880 of 1000 tokens of context are used: /drop 1")
        typed(one, "/drop A 1")
        await until_shown(pilot, "not sent any more, /drop 0 takes it back in")
        await until(pilot, lambda: "about 880 of 1000" not in screen_text(one.app))


async def test_a_narrow_screen_has_all_of_the_settings() -> None:
    one = make_rig(CONFIG, statuses=READY)
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "A  deepseek")
        await pilot.press("t", *["down"] * 20)
        await until_shown(pilot, "cache_prompt: on or off; whether the server may")
        await pilot.press("space")
        await until(pilot, lambda: one.conversation.settings.sampling.cache_prompt is False)
        await pilot.press("space")
        await until(pilot, lambda: one.conversation.settings.sampling.cache_prompt is True)
        await pilot.press("space")
        await until(pilot, lambda: one.conversation.settings.sampling.cache_prompt is None)


async def test_readonly_saves_no_preset(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    one = make_rig(CONFIG, statuses=READY, config_file=file, readonly=True)
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "B  qwen-coder")
        typed(one, "/preset save mine")
        await until_shown(pilot, "Preset mine was not saved")
        assert not file.exists()


# ── what is said over the prompt ─────────────────────────────────────────────────────────────────


def seated(*urls: str) -> Conversation:
    chat = Conversation()
    for name, number, url in zip("AB", (1, 2), urls, strict=True):
        chat.sides[name].choose(Endpoint(f"m{number}", url))
    return chat


def words(chat: Conversation, a: InstanceStatus | None, b: InstanceStatus | None) -> str:
    statuses = {"m1": a, "m2": b}
    return sharing(chat, statuses.get, GPUS)


def test_what_two_sides_share_is_told_unless_they_wait_for_each_other() -> None:
    chat = seated("http://h:1/v1", "http://h:2/v1")
    on_0, on_1 = (status("m", State.READY, gpu, 1) for gpu in (0, 1))
    on_cpu = status("m", State.READY, None, 1, pinned=False)
    split = replace(on_1, gpus=(identity(0).uuid, identity(1).uuid))
    assert words(chat, on_0, on_1) == ""
    assert words(chat, on_0, on_0).startswith("A and B share GPU 0: /order one")
    assert words(chat, split, on_1).startswith("A and B share GPU 1:")
    assert words(chat, split, split).startswith("A and B share GPU 0 and 1:")
    assert words(chat, on_cpu, on_cpu).startswith("A and B both run on the CPU:")
    assert words(chat, on_cpu, on_0) == ""
    chat.seat("ABC")
    chat.sides["C"].choose(Endpoint("m3", "http://h:3/v1"))
    statuses = {"m1": on_cpu, "m2": on_cpu, "m3": on_cpu}
    assert sharing(chat, statuses.get, GPUS).startswith("A, B and C all run on the CPU:")
    chat.seat("AB")
    assert words(chat, replace(on_0, offloads=False), replace(on_0, offloads=False)) != ""
    assert words(chat, replace(on_0, offloads=False), on_0) == ""
    assert words(chat, on_0, replace(on_0, state=State.STOPPED)) == ""
    assert words(chat, None, on_0) == ""
    chat.at_once = 1
    assert words(chat, on_0, on_0) == ""


def test_one_server_on_both_sides_is_told() -> None:
    chat = seated("http://h:1/v1", "http://h:1/v1")
    one_slot = status("m", State.READY, 0, 1, metrics=InstanceMetrics(slots_total=1))
    assert words(chat, one_slot, one_slot).startswith("A and B ask one server with one slot:")
    assert words(chat, None, None).startswith("A and B ask the same server:")


def test_a_side_that_is_hidden_is_not_told_by_what_it_shares() -> None:
    chat = seated("http://h:1/v1", "http://h:2/v1")
    on_0 = status("m", State.READY, 0, 1)
    chat.blind.begin()
    chat.begin_anew()
    assert chat.blind.hidden
    assert notice(chat, lambda name: on_0, GPUS) == ""


# ── the bar ──────────────────────────────────────────────────────────────────────────────────────


def test_the_context_is_a_bar_at_the_end_or_nothing() -> None:
    look = Look(Palette.of(load_themes([shipped_dir()]).by_name["midnight"]))
    dim = look.palette.dim

    def shown(use: ContextUse | None, width: int, text: str = "http://h") -> str:
        line = add_context(Line().add(text, dim), use, width, look)
        return "".join(part for part, _ in line.runs)

    assert shown(ContextUse(4096, 8192), 70).endswith("ctx ███─── 50 %")
    assert len(shown(ContextUse(4096, 8192), 70)) == 70
    assert shown(ContextUse(9000, 8192, estimated=True), 70).endswith("ctx ██████ ~110 %")
    assert shown(ContextUse(1, 8192), 40).endswith("  ctx 0 %")
    assert shown(None, 70) == "http://h"
    assert shown(ContextUse(1, 8192), 40, "x" * 36) == "x" * 36, "what is there is not cut"
    assert context_width(None, 70) == 0
    full = add_context(Line(), ContextUse(80, 100), 70, look)
    assert full.runs[-1] == ("80 %", look.palette.warning)
