"""The table of instances: rows that are hidden are told, and nothing beneath it jumps."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from gputui.config import Config, InstanceConfig
from gputui.instances.status import InstanceStatus, State
from gputui.themes import read_theme, shipped_dir
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.instances.columns import InstanceRow, fitting_columns
from gputui.ui.instances.reasons import MORE, fitted, reason_lines
from gputui.ui.palette import Palette
from tests.ui.harness import Rig, make_rig, rig, screen_text, status, until, until_shown

PALETTE = Palette.of(read_theme(shipped_dir() / "midnight.toml"))
SIZES = [(160, 45), (120, 30), (80, 24)]


def many(count: int) -> Rig:
    names = [f"one-{number}" for number in range(1, count + 1)]
    config = Config(
        instances=tuple(
            InstanceConfig(name=name, model="m.gguf", port=8000 + place)
            for place, name in enumerate(names)
        )
    )
    states = [
        status(name, State.STOPPED, 0, 8000 + place, pid=None) for place, name in enumerate(names)
    ]
    return make_rig(config, statuses=states)


@pytest.mark.parametrize("size", SIZES)
async def test_how_many_rows_are_hidden_is_told(size: tuple[int, int]) -> None:
    one = many(12)
    async with one.app.run_test(size=size) as pilot:
        await until_shown(pilot, " of 12 ↓")
        await until_shown(pilot, "RTX 5090")
        assert one.app.screen.query_one(ChatPanel).outer_size.height >= 8
        for _ in range(12):
            await pilot.press("down")
        await until_shown(pilot, "–12 of 12 ↑")
        assert "one-12" in screen_text(one.app)


async def test_all_rows_that_fit_have_no_word_beside_them() -> None:
    one = many(6)
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "one-6")
        assert not re.search(r"of 6 [↑↓]", screen_text(one.app))


@pytest.mark.parametrize("size", SIZES)
async def test_the_chat_stays_where_it_is(size: tuple[int, int]) -> None:
    failed = status(
        "qwen-coder", State.FAILED, 1, 8081, last_error="out of memory, " * 30, hint="Less context."
    )
    one = rig()
    async with one.app.run_test(size=size) as pilot:
        await until_shown(pilot, "stopped", "RTX 5090")
        chat = one.app.screen.query_one(ChatPanel)
        before = chat.region
        one.supervisor.statuses[1] = failed
        await until_shown(pilot, "qwen-coder failed: out of memory")
        await pilot.press("down")
        await until_shown(pilot, MORE)
        loading = status("deepseek", State.LOADING, 0, 8080, note="not started by gputui")
        one.supervisor.statuses[0] = loading
        await until_shown(pilot, "loading")
        assert chat.region == before


async def test_until_somebody_looked_the_configured_ones_are_shown_as_not_known() -> None:
    one = rig()
    looked, observe = asyncio.Event(), one.supervisor.observe

    async def later() -> tuple[InstanceStatus, ...]:
        await looked.wait()
        return await observe()

    one.supervisor.observe = later  # type: ignore[method-assign]
    async with one.app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "qwen-coder")
        assert "No instance is configured" not in screen_text(one.app)
        assert "stopped" not in screen_text(one.app)
        height = one.app.screen.query_one("#instances").outer_size.height
        looked.set()
        await until_shown(pilot, "stopped")
        assert one.app.screen.query_one("#instances").outer_size.height == height


async def test_where_none_is_configured_the_key_for_one_is_named() -> None:
    one = make_rig(Config())
    async with one.app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "No instance is configured: n adds one")


async def test_a_hung_server_says_so_on_its_row() -> None:
    one = rig()
    one.supervisor.statuses[0] = replace(one.supervisor.statuses[0], stalled_seconds=300.0)
    async with one.app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "hung")
        await until(pilot, lambda: "no token for 5 min" in screen_text(one.app))


def row_of(one: InstanceStatus) -> InstanceRow:
    return InstanceRow(status=one, key="", gpu_indexes=(), gpu_memory=None, uptime=None)


def test_another_row_speaks_only_while_the_cursors_has_nothing_to_say() -> None:
    ready = row_of(status("deepseek", State.READY, 0, 8080))
    failed = row_of(status("split", State.FAILED, 1, 8081, last_error="boom", hint="Do this."))
    (line, blank) = reason_lines((ready, failed), ready, 80, 2, PALETTE)
    assert line.runs == [(" split failed: boom", PALETTE.dim)]
    assert blank.runs == []
    noted = row_of(status("deepseek", State.READY, 0, 8080, note="slow"))
    lines = reason_lines((noted, failed), noted, 80, 2, PALETTE)
    assert [text for line in lines for text, _ in line.runs] == [" deepseek: slow"]


def test_what_is_cut_says_where_the_rest_is() -> None:
    text = "error " * 60
    rows = fitted(text, 80, 2)
    assert len(rows) == 2
    assert rows[1].endswith(MORE)
    assert all(len(row) <= 78 for row in rows)
    assert fitted("short", 80, 1) == ["short"]


def test_the_name_of_a_server_of_others_keeps_its_port() -> None:
    found = status("llama-server-of-ann:8085", State.READY, None, 8085, external=True, owned=False)
    name = next(column for column in fitting_columns(80) if column.title == "name")
    assert name.text(row_of(found)).endswith("…:8085")
    assert len(name.text(row_of(found))) <= name.width
