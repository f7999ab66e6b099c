"""Going on with a kept conversation: its newest turns at once, all of them on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gputui.chat.conversation import Conversation
from gputui.chat.keeping.opened import OPENED
from gputui.chat.keeping.store import Store
from gputui.chat.model import Turn
from gputui.errors import GputuiError
from tests.chat.raw_server import reply, reply_then
from tests.chat.saying import keep, numbers, turns
from tests.chat.talking import PIECE, kept, last, roles, settled, talking, until
from tests.support.hostile import completion

COUNT = OPENED + 25
OK = (reply(completion("yes")),)


class Slow(Store):
    """Older turns come when the test lets them, or not at all."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.let = threading.Event()
        self.problem: GputuiError | None = None

    def turns(self, conversation_id: int, **which: Any) -> tuple[Turn, ...]:
        if which.get("before") is not None:
            self.let.wait(20)
            if self.problem is not None:
                raise self.problem
        return super().turns(conversation_id, **which)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    keep(tmp_path / "gputui.db", COUNT)[0].close()
    store = Slow(tmp_path / "gputui.db")
    yield store
    store.let.set()
    store.close()


async def test_the_newest_turns_are_there_at_once_and_the_others_follow(slow: Slow) -> None:
    chat = Conversation(slow)
    await chat.open(1)
    assert chat.id == 1
    newest = list(range(COUNT - OPENED, COUNT))
    assert [numbers(side.finished) for side in chat.sides.values()] == [newest, newest]
    before = chat.sides["A"].finished[0].answers["A"]
    slow.let.set()
    await chat.whole()
    assert numbers(chat.sides["B"].finished) == list(range(COUNT))
    assert chat.sides["A"].finished[COUNT - OPENED].answers["A"] is before
    assert numbers(chat.turns) == list(range(COUNT))
    assert set(chat.turns[0].answers) == {"A", "B"}
    await chat.close()


async def test_a_prompt_goes_out_with_all_that_was_said(slow: Slow) -> None:
    async with talking(OK, OK, slow) as (chat, a, _):
        await chat.open(1)
        chat.send("and now?")
        await asyncio.sleep(0)
        assert not a.requests
        slow.let.set()
        await settled(chat)
        sent = roles(a.requests[0])
        assert sent[0] == ("user", "question 0")
        assert sent[-1] == ("user", "and now?")
        assert len(sent) == 2 * COUNT + 1
    assert [turn.prompt for turn in kept(slow._path)][-1] == "and now?"


async def test_where_older_turns_cannot_be_read_it_goes_on_without_them(slow: Slow) -> None:
    slow.problem = GputuiError("gputui.db: damaged", "Move it away.")
    slow.let.set()
    async with talking(OK * 2, OK * 2, slow) as (chat, a, _):
        await chat.open(1)
        chat.send("and now?")
        await settled(chat)
        assert last(chat, "A").text == "yes"
        assert len(roles(a.requests[0])) == 2 * OPENED + 1
        assert not await chat.whole()
        assert chat.older_problem is slow.problem
        slow.problem = None
        chat.send("and then?")
        await settled(chat)
        assert chat.is_whole
        assert chat.older_problem is None
        assert len(roles(a.requests[1])) == 2 * COUNT + 3


async def test_a_read_that_failed_once_is_tried_again(slow: Slow) -> None:
    failing, slow.problem = slow.problem, GputuiError("gputui.db: locked")
    slow.let.set()
    chat = Conversation(slow)
    await chat.open(1)
    await chat.wait()
    assert chat.older_problem is not None
    slow.problem = failing
    assert await chat.whole()
    assert numbers(chat.turns) == list(range(COUNT))
    await chat.close()


async def test_more_sides_than_two_come_back_with_what_they_said(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    store = Store(path)
    one = store.new_conversation(0)
    for turn in turns(3, sides="ABC"):
        turn_id = store.new_turn(one, turn)
        for answer in turn.answers.values():
            store.save_answer(turn_id, answer)
    chat = Conversation(store)
    await chat.open(one)
    assert list(chat.sides) == ["A", "B", "C"]
    assert numbers(chat.sides["C"].finished) == [0, 1, 2]
    chat.seat(("A", "B"))
    assert set(chat.turns[0].answers) == {"A", "B", "C"}, "what a side said is not lost with it"
    chat.seat(("A", "B", "C"))
    assert numbers(chat.sides["C"].finished) == [0, 1, 2]
    await chat.close()


async def test_turns_that_were_handed_out_stay_as_they_were(slow: Slow) -> None:
    chat = Conversation(slow)
    await chat.open(1)
    drawn = chat.sides["A"].finished
    slow.let.set()
    await chat.whole()
    assert len(drawn) == OPENED
    assert len(chat.sides["A"].finished) == COUNT
    await chat.close()


async def test_another_conversation_takes_its_place_while_it_is_read(slow: Slow) -> None:
    chat = Conversation(slow)
    await chat.open(1)
    chat.begin_anew()
    slow.let.set()
    await chat.wait()
    assert not chat.turns
    assert chat.id is None
    await chat.close()


async def test_it_is_not_opened_while_an_answer_is_being_written(slow: Slow) -> None:
    never = asyncio.Event()
    writing = (reply_then(PIECE, wait=never),)
    async with talking(writing, OK, slow) as (chat, *_):
        chat.send("hi", ("A",))
        await until(lambda: (live := chat.sides["A"].live) and live.text)
        with pytest.raises(GputuiError, match="being written"):
            await chat.open(1)
        assert chat.sides["A"].busy


async def test_no_store_is_said_in_words() -> None:
    with pytest.raises(GputuiError, match="not kept"):
        await Conversation(None).open(1)


async def test_what_could_not_be_kept_is_kept_once_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(b"this is no database" * 100)
    with contextlib.closing(Store(path)) as store:
        async with talking(OK, OK, store) as (chat, *_):
            chat.send("one")
            await settled(chat)
            assert chat.store_problem is not None
            assert "not a database" in chat.store_problem
            chat.keep_again()
            await settled(chat)
            assert chat.store_problem is not None
            path.unlink()
            chat.keep_again()
            await settled(chat)
            assert chat.store_problem is None
            chat.keep_again()
            await settled(chat)
        (turn,) = kept(path)
        assert turn.prompt == "one"
        assert set(turn.answers) == {"A", "B"}


async def test_of_a_deleted_conversation_nothing_more_is_kept(tmp_path: Path) -> None:
    store, conversation = keep(tmp_path / "gputui.db", 2)
    async with talking(OK, OK, store) as (chat, *_):
        await chat.open(conversation)
        await chat.delete(conversation)
        assert not chat.turns
        assert chat.id is None
        with pytest.raises(GputuiError, match="no conversation 99"):
            await chat.delete(99)
        chat.send("new")
        await settled(chat)
        assert [turn.prompt for turn in store.turns(chat.id or 0)] == ["new"]
