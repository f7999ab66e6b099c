"""Two sides over servers that send whatever a test says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gputui.chat.keeping.store import Store
from gputui.chat.model import STOPPED, Settings
from gputui.errors import GputuiError
from tests.chat.raw_server import Responder, break_off, reply, reply_json, reply_then
from tests.chat.talking import PATIENCE, PIECE, kept, last, roles, settled, talking, until
from tests.support.hostile import completion


async def test_both_sides_answer_one_prompt() -> None:
    async with talking((reply(completion("yes")),), (reply(completion("no")),)) as (chat, a, b):
        chat.send("really?")
        assert all(side.busy for side in chat.sides.values())
        await settled(chat)
        assert not any(side.busy for side in chat.sides.values())
        assert last(chat, "A").text == "yes"
        assert last(chat, "B").text == "no"
        assert last(chat, "A").finish_reason == "stop"
        assert roles(a.requests[0]) == roles(b.requests[0]) == [("user", "really?")]


async def test_the_conversation_goes_on_per_side() -> None:
    answers = (reply(completion("one")), reply(completion("two")))
    async with talking(answers, answers) as (chat, a, b):
        chat.send("1?", ("A",))
        await settled(chat)
        chat.settings = Settings(system="be brief")
        chat.send("2?")
        await settled(chat)
        assert roles(a.requests[1]) == [
            ("system", "be brief"),
            ("user", "1?"),
            ("assistant", "one"),
            ("user", "2?"),
        ]
        assert roles(b.requests[0]) == [("system", "be brief"), ("user", "2?")]


async def test_the_answer_is_seen_while_it_comes() -> None:
    go_on = asyncio.Event()
    slow = reply_then(PIECE, wait=go_on, rest=completion(" and the rest"))
    async with talking((slow,), (reply(completion("done")),)) as (chat, _, _b):
        side = chat.sides["A"]
        before = side.version
        chat.send("hi")
        await until(lambda: side.live and side.live.text)
        assert side.live is not None
        assert side.live.text == "first piece"
        assert side.live.model == "m"
        assert side.live.measurement.ttft_seconds is not None
        assert side.version > before
        await until(lambda: not chat.sides["B"].busy)
        assert side.busy, "the slow side goes on when the other is done"
        go_on.set()
        await settled(chat)
        assert last(chat, "A").text == "first piece and the rest"


@pytest.mark.parametrize(
    "failing", [break_off, reply_json({"error": "kaputt"}, 500), reply(b"data: {\n\n")]
)
async def test_one_sides_failure_never_touches_the_other(failing: Responder) -> None:
    go_on = asyncio.Event()
    slow = reply_then(PIECE, wait=go_on, rest=completion("!"))
    async with talking((failing,), (slow,)) as (chat, _, _b):
        chat.send("hi")
        await until(lambda: not chat.sides["A"].busy)
        assert last(chat, "A").error
        assert last(chat, "A").finish_reason is None
        assert chat.sides["B"].busy
        go_on.set()
        await settled(chat)
        assert last(chat, "B").error is None
        assert last(chat, "B").text == "first piece!"


async def test_a_failed_turn_is_not_part_of_what_is_sent_next() -> None:
    a = (break_off, reply(completion("fine")))
    async with talking(a, (reply(completion("b")),)) as (chat, server_a, _):
        chat.send("1?", ("A",))
        await settled(chat)
        chat.send("2?", ("A",))
        await settled(chat)
        assert roles(server_a.requests[1]) == [("user", "2?")]
        assert [turn.prompt for turn in chat.sides["A"].finished] == ["1?", "2?"]


async def test_stopping_closes_the_stream_and_keeps_what_came() -> None:
    never = asyncio.Event()
    a = (reply_then(PIECE, wait=never), reply(completion("next")))
    async with talking(a, (reply_then(PIECE, wait=never),)) as (chat, server_a, server_b):
        chat.send("hi")
        await until(lambda: all(s.live and s.live.text for s in chat.sides.values()))
        chat.sides["A"].stop()
        chat.sides["A"].stop()
        await asyncio.wait_for(server_a.hung_up.wait(), PATIENCE)
        await until(lambda: not chat.sides["A"].busy)
        assert last(chat, "A").finish_reason == STOPPED
        assert last(chat, "A").text == "first piece"
        assert last(chat, "A").error is None
        assert chat.sides["B"].busy
        chat.send("and?", ("A",))
        await until(lambda: not chat.sides["A"].busy)
        assert ("assistant", "first piece") in roles(server_a.requests[1])
        chat.stop()
        await settled(chat)
        await asyncio.wait_for(server_b.hung_up.wait(), PATIENCE)


async def test_stopping_before_anything_was_sent_frees_the_side() -> None:
    async with talking((reply(completion("x")),), (reply(completion("y")),)) as (chat, a, _):
        chat.send("hi")
        chat.stop()
        await settled(chat)
        assert last(chat, "A").finish_reason == STOPPED
        chat.send("again")
        await settled(chat)
        assert last(chat, "A").text == "x"
        assert roles(a.requests[-1]) == [("user", "again")], "an empty answer is not sent along"


async def test_stopping_an_endpoint_stops_who_talks_to_it() -> None:
    never = asyncio.Event()
    hanging = (reply_then(PIECE, wait=never),)
    async with talking(hanging, hanging) as (chat, a, _):
        chat.send("hi")
        await until(lambda: all(s.live and s.live.text for s in chat.sides.values()))
        chat.stop_endpoint(f"{a.url}/v1")
        await until(lambda: not chat.sides["A"].busy)
        assert chat.sides["B"].busy


async def test_choosing_another_model_takes_the_history_along() -> None:
    never = asyncio.Event()
    a = (reply(completion("from a")), reply_then(PIECE, wait=never))
    async with talking(a, (reply(completion("from b")),)) as (chat, _, server_b):
        side = chat.sides["A"]
        chat.send("1?", ("A",))
        await settled(chat)
        chat.send("2?", ("A",))
        await until(lambda: side.live and side.live.text)
        side.choose(server_b.endpoint("b"))
        await settled(chat)
        assert last(chat, "A").name == "a", "the stopped answer was the first model's"
        chat.send("3?", ("A",))
        await settled(chat)
        assert [content for _, content in roles(server_b.requests[0])] == [
            *("1?", "from a", "2?", "first piece", "3?")
        ]


async def test_what_cannot_be_sent_is_refused_whole() -> None:
    never = asyncio.Event()
    async with talking((reply_then(PIECE, wait=never),), (reply(completion("x")),)) as (chat, _, b):
        with pytest.raises(GputuiError, match="empty"):
            chat.send(" \n")
        with pytest.raises(GputuiError, match="nothing to retry"):
            chat.retry("A")
        chat.send("hi", ("A",))
        with pytest.raises(GputuiError, match="A is still answering"):
            chat.send("hi", ("B", "A"))
        assert not chat.sides["B"].busy
        with pytest.raises(GputuiError, match="still answering"):
            chat.retry("A")
        chat.sides["B"].choose(None)
        with pytest.raises(GputuiError, match="B has no model"):
            chat.send("hi", ("B",))
        assert b.requests == []


async def test_finished_answers_stay_the_same_objects() -> None:
    async with talking((reply(completion("x")),), (reply(completion("y")),)) as (chat, _, _b):
        chat.send("1?")
        await settled(chat)
        first = last(chat, "A")
        chat.send("2?")
        await settled(chat)
        assert chat.sides["A"].finished[0].answers["A"] is first


async def test_turns_are_kept_as_their_sides_finish(tmp_path: Path) -> None:
    path, never = tmp_path / "state" / "gputui.db", asyncio.Event()
    a, b = (reply(completion("done")),), (reply_then(PIECE, wait=never), reply(completion("b2")))
    async with talking(a, b, Store(path)) as (chat, _, _b):
        chat.send("hi")
        await until(lambda: path.exists() and any(turn.answers for turn in kept(path)))
        assert [turn.answers.keys() for turn in kept(path)] == [{"A"}]
        chat.stop()
        await settled(chat)
        chat.retry("B")
        await settled(chat)
        assert chat.store_problem is None
    (turn,) = kept(path)
    assert turn.prompt == "hi"
    assert turn.answers["A"].text == "done"
    assert turn.answers["B"].text == "b2"


async def test_leaving_keeps_what_came(tmp_path: Path) -> None:
    path, never = tmp_path / "gputui.db", asyncio.Event()
    hanging = (reply_then(PIECE, wait=never),)
    async with talking(hanging, hanging, Store(path)) as (chat, _, _b):
        chat.send("hi")
        await until(lambda: all(s.live and s.live.text for s in chat.sides.values()))
    (turn,) = kept(path)
    assert {answer.finish_reason for answer in turn.answers.values()} == {STOPPED}
    assert {answer.text for answer in turn.answers.values()} == {"first piece"}


async def test_a_database_that_cannot_be_written_never_stops_the_chat(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(b"this is no database, " * 100)
    async with talking((reply(completion("x")),), (reply(completion("y")),), Store(path)) as (
        c,
        _,
        _b,
    ):
        c.send("1?")
        await settled(c)
        assert last(c, "A").text == "x"
        assert c.store_problem is not None
        assert str(path) in c.store_problem
        path.unlink()
        c.send("2?")
        await settled(c)
        assert c.store_problem is None
    assert [turn.prompt for turn in kept(path)] == ["1?", "2?"], "nothing is lost"
