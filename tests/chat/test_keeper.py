"""Keeping what was said: one answer that cannot be kept costs no other, and what is deleted stays so."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from gputui.chat.answering.live import Exchange
from gputui.chat.keeping.keeper import Keeper, Place
from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Figure, Measurement, Turn
from tests.chat.saying import keep
from tests.chat.talking import kept

BAD = Answer("A", "n", "m", "\ud800")
"""A lone surrogate: SQLite takes no such text."""


@pytest.mark.parametrize(
    "bad",
    [
        BAD,
        Answer("A", "n", "m", "t", measurement=Measurement(prompt_tokens=Figure(10**19, "server"))),
    ],
    ids=["surrogate", "number"],
)
async def test_one_that_cannot_be_kept_keeps_no_other_from_it(tmp_path: Path, bad: Answer) -> None:
    store = Store(tmp_path / "gputui.db")
    keeper, place = Keeper(lambda: store), Place()
    keeper.take(place, Exchange("first"), bad)
    keeper.take(place, Exchange("second"), Answer("A", "n", "m", "good"))
    await keeper.save()
    assert keeper.problem is not None
    assert keeper.idle
    assert [turn.prompt for turn in kept(tmp_path / "gputui.db")] == ["second"]
    await keeper.save()
    assert [turn.prompt for turn in kept(tmp_path / "gputui.db")] == ["second"]


class Halting(Store):
    """Keeps when the test lets it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached, self.let = threading.Event(), threading.Event()

    def keep(
        self, conversation_id: int | None, turn_id: int | None, turn: Turn, answer: Answer
    ) -> tuple[int, int]:
        self.reached.set()
        self.let.wait(20)
        return super().keep(conversation_id, turn_id, turn, answer)


async def test_what_is_deleted_while_it_is_kept_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    keep(path, 2)[0].close()
    store = Halting(path)
    keeper, place = Keeper(lambda: store), Place(1)
    keeper.take(place, Exchange("late"), Answer("A", "n", "m", "late"))
    saving = asyncio.create_task(keeper.save())
    await asyncio.to_thread(store.reached.wait, 20)
    await keeper.delete(1, place)
    store.let.set()
    await saving
    assert keeper.problem is None
    assert not keeper.idle
    assert store.conversations() == ()
    store.close()
