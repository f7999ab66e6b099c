"""A new conversation in place of one that has turns: what is said in it is shown, live and finished."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gputui.chat.keeping.store import Store
from gputui.ui.chat.kept.turn_list import MOST, PAGE
from gputui.ui.chat.panel import ChatPanel
from tests.chat.saying import keep, turns
from tests.ui.harness import until_shown
from tests.ui.test_chat import END, Script, answers, chat_rig, chunk, server
from tests.ui.test_voting import begin, playing


def paused(go_on: asyncio.Event, first: str, rest: str) -> Script:
    """Says the rest once it may."""

    async def script(writer: asyncio.StreamWriter) -> None:
        await answers(chunk(content=first))(writer)
        await go_on.wait()
        await answers(chunk(content=rest), END)(writer)

    return script


@pytest.mark.parametrize("count", [1, PAGE + 2, MOST + PAGE])
async def test_after_new_both_sides_show_what_is_being_said_and_what_was_said(count: int) -> None:
    go_on = asyncio.Event()
    scripts = paused(go_on, "one ", "and two"), paused(go_on, "three ", "and four")
    async with server(scripts[0]) as a, server(scripts[1]) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45)) as pilot:
            await until_shown(pilot, "B  right")
            one.conversation.take_up(turns(count), None)
            one.app.screen.query_one(ChatPanel).refresh_sides()
            last = count - 1
            await until_shown(pilot, f"answer {last} of A", f"answer {last} of B")
            await pilot.press("c", *"/new", "enter", *"hi", "enter")
            await until_shown(pilot, "› hi", "one", "three")
            go_on.set()
            await until_shown(pilot, "one and two", "three and four")


async def test_after_an_opened_conversation_and_new_the_answers_are_shown(tmp_path: Path) -> None:
    store, id_ = keep(tmp_path / "kept.db", 2 * PAGE)
    store.close()
    left = answers(chunk(content="left says"), END)
    right = answers(chunk(content="right says"), END)
    async with server(left) as a, server(right) as b:
        one = chat_rig(a, b)
        one.conversation.store = Store(tmp_path / "kept.db")
        async with one.app.run_test(size=(160, 45)) as pilot:
            await until_shown(pilot, "B  right")
            await one.conversation.open(id_)
            one.app.screen.query_one(ChatPanel).refresh_sides()
            await until_shown(pilot, f"answer {2 * PAGE - 1} of B")
            await pilot.press("c", *"/new", "enter", *"hi", "enter")
            await until_shown(pilot, "left says", "right says")
        await one.conversation.close()


async def test_after_blind_in_a_conversation_with_turns_the_answers_are_shown(
    tmp_path: Path,
) -> None:
    left = answers(chunk(content="left says"), END)
    async with playing(tmp_path, left, answers(chunk(content="right says"), END)) as (one, pilot):
        one.conversation.take_up(turns(3), None)
        one.app.screen.query_one(ChatPanel).refresh_sides()
        await until_shown(pilot, "answer 2 of A")
        await begin(one, pilot)
        await pilot.press(*"hi", "enter")
        await until_shown(pilot, "left says", "right says")
