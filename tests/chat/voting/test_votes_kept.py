"""Votes in the database, and what becomes of them where it does not take them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.chat.answering.live import Exchange
from gputui.chat.keeping.store import Store
from gputui.chat.model import Turn
from gputui.chat.voting.box import VoteBox
from gputui.chat.voting.store import VoteStore
from gputui.chat.voting.vote import Choice, Contestant, Vote
from gputui.errors import GputuiError
from tests.chat.voting.votes import DEEPSEEK, PHI, vote

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CONTESTANTS = st.builds(Contestant, TEXT, TEXT)
VOTES = st.builds(
    Vote,
    at=st.floats(0, 1e10),
    asked_at=st.floats(0, 1e10),
    a=CONTESTANTS,
    b=CONTESTANTS,
    choice=st.sampled_from(Choice),
    blind=st.booleans(),
    named=st.sampled_from(["", "a", "b", "ab"]),
    tag=TEXT,
    answers=TEXT,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None
)
@given(votes=st.lists(VOTES, max_size=4))
def test_what_is_kept_comes_back_as_it_was(tmp_path: Path, votes: list[Vote]) -> None:
    store = VoteStore(tmp_path / "gputui.db")
    before = list(store.votes())
    store.add(votes)
    store.close()
    assert store.votes() == [*before, *votes]
    store.close()


def test_a_vote_outlives_its_turn(tmp_path: Path) -> None:
    turns, store = Store(tmp_path / "gputui.db"), VoteStore(tmp_path / "gputui.db")
    turn = turns.new_turn(turns.new_conversation(0), Turn("p", 5.0, {}))
    store.add([vote(DEEPSEEK, PHI, Choice.A, 5.0, turn_id=turn)])
    assert [one.turn_id for one in store.votes()] == [turn]
    store.close()
    turns.close()
    with sqlite3.connect(tmp_path / "gputui.db") as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM turns")
    connection.close()
    store.add([vote(DEEPSEEK, PHI, Choice.B, 5.0, turn_id=turn)])  # of a turn that is gone by now
    kept = store.votes()
    assert [one.turn_id for one in kept] == [None, None]
    assert kept[0].turn == kept[1].turn, "still votes on the same answers"
    store.close()


async def test_a_vote_that_cannot_be_kept_is_told_counted_and_kept_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gputui.database._BUSY_SECONDS", 0.01)
    path = tmp_path / "gputui.db"
    VoteStore(path).add([])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    box = VoteBox(VoteStore(path))
    monkeypatch.setattr(box._store._database, "_patience", 0.01)
    exchange = Exchange("p")
    box.cast(vote(DEEPSEEK, PHI, Choice.A, 1), exchange)
    await box.keep()
    assert box.unkept == 1
    assert box.problem is not None
    assert "the vote is not kept" in box.problem.message
    assert box.lost is not None
    assert "1 vote could not be kept" in box.lost.message
    assert '"choice": "a"' in box.lost.hint
    assert len(await box.votes()) == 1, "it counts all the same"
    other.execute("ROLLBACK")
    other.close()
    await box.keep()
    assert box.unkept == 0
    assert [one.choice for one in await box.votes()] == [Choice.A]
    await box.close()


async def test_what_is_not_kept_at_the_end_is_tried_once_more(tmp_path: Path) -> None:
    box = VoteBox(VoteStore(tmp_path / "gputui.db"))
    box.cast(vote(DEEPSEEK, PHI, Choice.TIE, 1), Exchange("p"))
    await box.close()
    store = VoteStore(tmp_path / "gputui.db")
    assert len(store.votes()) == 1
    store.close()


async def test_a_vote_kept_before_its_turn_is_told_it_later(tmp_path: Path) -> None:
    turns, box = Store(tmp_path / "gputui.db"), VoteBox(VoteStore(tmp_path / "gputui.db"))
    exchange = Exchange("p")
    box.cast(vote(DEEPSEEK, PHI, Choice.A, exchange.created_at), exchange)
    await box.keep()
    assert not box.due
    exchange.turn_id = turns.new_turn(turns.new_conversation(0), exchange.turn({}))
    assert box.due
    await box.keep()
    assert [one.turn_id for one in await box.votes()] == [exchange.turn_id]
    assert not box.due
    await box.close()
    turns.close()


async def test_a_vote_is_kept_once_though_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    box = VoteBox(VoteStore(tmp_path / "gputui.db"))
    store, began, go_on = box._store, threading.Event(), threading.Event()
    add = store.add

    def slow(votes: Sequence[Vote]) -> None:
        began.set()
        go_on.wait(30)
        add(votes)

    store.add = slow  # type: ignore[method-assign]
    box.cast(vote(DEEPSEEK, PHI, Choice.A, 1), Exchange("p"))
    keeping = asyncio.create_task(box.keep())
    await asyncio.to_thread(began.wait, 30)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    go_on.set()
    await box.close()
    assert len(store.votes()) == 1
    store.close()


def test_votes_that_cannot_be_read_are_no_vote_that_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(GputuiError, match="not a database: votes cannot be read"):
        VoteStore(path).votes()
