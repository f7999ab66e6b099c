"""Hostile text in every field that reaches a screen, at full length and in every cut."""

from __future__ import annotations

import asyncio

import pytest

from tests.chat.raw_server import reply
from tests.chat.talking import last, roles, settled, talking
from tests.support.hostile import HOSTILE, IDS, assert_clean, completion


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
async def test_hostile_answers_are_clean_at_every_moment(name: str, text: str) -> None:
    stream = completion(text[: len(text) // 2], text[len(text) // 2 :])
    pieces = [
        stream[i : i + max(7, len(stream) // 50)]
        for i in range(0, len(stream), max(7, len(stream) // 50))
    ]
    async with talking((reply(*pieces),), (reply(stream),)) as (chat, _, _b):
        chat.send("hi")
        while chat.sides["A"].busy:
            if (live := chat.sides["A"].live) is not None:
                assert_clean(live.text)
            await asyncio.sleep(0)
        await settled(chat)
        assert_clean(last(chat, "A").text)
        assert last(chat, "A").text == last(chat, "B").text


async def test_what_the_end_of_a_piece_held_back_is_there_at_the_end() -> None:
    async with talking((reply(completion("end\r")),), (reply(completion("x\x1b[")),)) as (c, _, _b):
        c.send("hi")
        await settled(c)
        assert last(c, "A").text == "end\n"
        assert last(c, "B").text == "x"


async def test_a_hostile_prompt_is_sent_clean() -> None:
    async with talking((reply(completion("x")),), (reply(completion("y")),)) as (chat, a, _):
        chat.send("\x1b[31mred\ud800?", ("A",))
        await settled(chat)
        assert roles(a.requests[0]) == [("user", "red?")]
