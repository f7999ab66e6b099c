"""Asking again: nothing that was said is lost to a retry that brings nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gputui.chat.keeping.store import Store
from tests.chat.raw_server import Responder, break_off, hang_up, reply, reply_json, reply_then
from tests.chat.talking import PIECE, kept, last, roles, settled, talking, until
from tests.support.hostile import completion


async def test_a_failed_turn_is_retried_alone_and_replaced() -> None:
    a = (break_off, reply(completion("whole")))
    async with talking(a, (reply(completion("b")),)) as (chat, server_a, server_b):
        chat.send("hi")
        await settled(chat)
        assert last(chat, "A").text == "half an "
        chat.retry("A")
        await settled(chat)
        assert last(chat, "A").text == "whole"
        assert chat.sides["A"].problem is None
        assert len(chat.sides["A"].finished) == 1
        assert roles(server_a.requests[1]) == [("user", "hi")]
        assert len(server_b.requests) == 1


@pytest.mark.parametrize(
    "failing", [hang_up, break_off, reply_json({"error": "kaputt"}, 500), reply(b"data: {\n\n")]
)
async def test_a_retry_that_fails_leaves_the_answer(failing: Responder, tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    a = (reply(completion("good")), failing, reply(completion("next")))
    async with talking(a, (reply(completion("b")),), Store(path)) as (chat, server, _):
        side = chat.sides["A"]
        chat.send("1?", ("A",))
        await settled(chat)
        good, version = last(chat, "A"), side.version
        chat.retry("A")
        assert last(chat, "A") is good, "it stays while nothing has come"
        await settled(chat)
        assert [turn.answers["A"] for turn in side.finished] == [good]
        assert side.version > version
        assert side.problem is not None
        assert side.problem.message.startswith("Retry failed: a: ")
        chat.send("2?", ("A",))
        assert side.problem is None
        await settled(chat)
        assert roles(server.requests[1]) == [("user", "1?")]
        assert ("assistant", "good") in roles(server.requests[2])
    assert [turn.answers["A"].text for turn in kept(path)] == ["good", "next"]


async def test_a_retry_stopped_before_it_said_anything_leaves_the_answer(tmp_path: Path) -> None:
    path, never = tmp_path / "gputui.db", asyncio.Event()
    a = (reply(completion("good")), reply_then(b": ping\n\n", wait=never))
    async with talking(a, (reply(completion("b")),), Store(path)) as (chat, server, _):
        chat.send("1?", ("A",))
        await settled(chat)
        chat.retry("A")
        await until(lambda: len(server.requests) == 2)
        chat.stop()
        await settled(chat)
        assert last(chat, "A").text == "good"
        assert chat.sides["A"].problem is None, "the user knows"
    assert [turn.answers["A"].text for turn in kept(path)] == ["good"]


async def test_a_retry_takes_the_place_of_the_answer_from_its_first_text_on() -> None:
    go_on = asyncio.Event()
    a = (reply(completion("good")), reply_then(PIECE, wait=go_on, rest=completion("!")))
    async with talking(a, (reply(completion("b")),)) as (chat, _, _b):
        side = chat.sides["A"]
        chat.send("1?", ("A",))
        await settled(chat)
        chat.retry("A")
        await until(lambda: side.live and side.live.text)
        assert side.finished == []
        go_on.set()
        await settled(chat)
        assert [turn.answers["A"].text for turn in side.finished] == ["first piece!"]


async def test_a_retry_that_fails_says_so_where_there_was_no_answer() -> None:
    a = (hang_up, reply_json({"error": "kaputt"}, 500))
    async with talking(a, (reply(completion("b")),)) as (chat, _, _b):
        side = chat.sides["A"]
        chat.send("1?", ("A",))
        await settled(chat)
        chat.retry("A")
        assert side.finished == []
        await settled(chat)
        assert [turn.answers["A"].error for turn in side.finished] == ["a: kaputt"]
        assert side.problem is None
