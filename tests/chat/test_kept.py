"""Kept conversations: listed, opened in pages, renamed, deleted, and gone on with after that."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.chat.keeping.store import MOST, GoneError, Store
from gputui.chat.model import Answer, Attachment, Turn
from gputui.errors import GputuiError
from tests.chat.raw_server import reply
from tests.chat.talking import settled, talking
from tests.support.hostile import assert_clean, completion


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store(tmp_path / "gputui.db")) as made:
        yield made


def keep(store: Store, conversation: int, prompt: str, at: float, *names: str) -> int:
    turn_id = store.new_turn(conversation, Turn(prompt, at, {}))
    for side, name in zip("ABCD", names, strict=False):
        store.save_answer(turn_id, Answer(side, name, f"model of {name}", f"{name} says {prompt}"))
    return turn_id


def test_conversations_are_listed_the_newest_prompt_first(store: Store) -> None:
    first, second, empty = (store.new_conversation(at) for at in (1, 2, 3))
    keep(store, first, "\n  How do I \x1b[31msort\x1b[0m?  \nmore", 10, "b", "a")
    keep(store, second, "two", 20, "a")
    keep(store, first, "later", 30, "a", "c")
    one, other = store.summaries()
    assert (one.id, one.title, one.given) == (first, "How do I sort?", False)
    assert (one.created_at, one.changed_at, one.turns) == (1, 30, 2)
    assert one.names == ("b", "a", "c")
    assert one.models == ("model of b", "model of a", "model of c")
    assert (other.id, other.turns) == (second, 1)
    assert store.summaries(1) == (one,)
    assert store.summaries(1, offset=1) == (other,)
    assert store.summaries(10**9, offset=2) == ()
    assert store.summary(first) == one
    assert store.conversations() == (first, second)
    with pytest.raises(GputuiError, match=f"no conversation {empty}"):
        store.summary(empty)


def test_a_title_is_given_cleaned_and_taken_back(store: Store) -> None:
    one = store.new_conversation(1)
    keep(store, one, "prompt", 1)
    store.rename(one, "  My\n\x1b]0;evil\x07 [@click=app.quit]title[/]  " + "x" * 1000)
    kept = store.summary(one)
    assert kept.given
    assert kept.title.startswith("My [@click=app.quit]title[/] x")
    assert len(kept.title) == 200
    assert_clean(kept.title)
    store.rename(one, " ")
    assert (store.summary(one).title, store.summary(one).given) == ("prompt", False)
    with pytest.raises(GputuiError, match="no conversation 77"):
        store.rename(77, "x")


@pytest.mark.parametrize(
    ("prompt", "title"), [("\n\n", "(no words)"), ("y" * 500, "y" * 119 + "…")]
)
def test_every_conversation_has_a_title(store: Store, prompt: str, title: str) -> None:
    keep(store, store.new_conversation(1), prompt, 1)
    assert store.summaries()[0].title == title


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(newest=st.none() | st.integers(-1, 12), before=st.integers(0, 30), since=st.integers(0, 30))
def test_a_page_is_a_piece_of_the_whole(
    tmp_path: Path, newest: int | None, before: int, since: int
) -> None:
    store = Store(tmp_path / "gputui.db")
    if not store.conversations():
        both = [store.new_conversation(0), store.new_conversation(0)]
        for number in range(20):
            keep(store, both[number % 2], f"prompt {number}", number, "a", "b")
    whole = store.turns(1)
    assert len(whole) == 10
    assert tuple(turn.id for turn in whole) == store.turn_ids(1)
    asked = [turn for turn in whole if since <= (turn.id or 0) < before]
    page = store.turns(1, newest=newest, before=before, since=since)
    assert list(page) == (asked if newest is None else asked[::-1][: max(0, newest)][::-1])
    assert [store.turn_number(1, turn.id or 0) for turn in whole] == list(range(1, 11))
    store.close()


def test_pages_from_the_end_make_the_whole(store: Store) -> None:
    one = store.new_conversation(0)
    for number in range(23):
        keep(store, one, f"prompt {number}", number, "a")
    page = store.turns(one, newest=10)
    pages = [page]
    while page:
        page = store.turns(one, newest=10, before=page[0].id)
        pages.insert(0, page)
    assert tuple(turn for piece in pages for turn in piece) == store.turns(one)


def test_attachments_are_read_where_they_are_needed(store: Store) -> None:
    files = (Attachment("a.png", "image/png", b"\x89PNG"), Attachment("b.txt", "text/plain", b"hi"))
    turn = store.new_turn(store.new_conversation(0), Turn("p", 0, {}, attachments=files))
    assert store.attachments(turn) == files
    light = store.turns(1)[0].attachments
    assert [(one.name, one.media_type, one.data) for one in light] == [
        ("a.png", "image/png", b""),
        ("b.txt", "text/plain", b"hi"),
    ]


async def test_pictures_of_an_opened_conversation_are_read_for_the_request(store: Store) -> None:
    files = (Attachment("a.png", "image/png", b"\x89PNG"),)
    turn = store.new_turn(store.new_conversation(0), Turn("p", 0, {}, attachments=files))
    store.save_answer(turn, Answer("A", "a", "m", "seen", finish_reason="stop"))
    said = reply(completion("said"))
    async with talking((said, said), (said,), store) as (conversation, a, _):
        await conversation.open(1)
        conversation.retry("A")
        await settled(conversation)
        conversation.send("and?", ("A",))
        await settled(conversation)
        for request in a.requests:
            parts = request.body["messages"][0]["content"]
            assert parts[1]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
        assert conversation.sides["A"].finished[0].attachments[0].data == b""
        assert store.attachments(turn) == files


def test_prompts_are_told_once_the_newest_first(store: Store) -> None:
    for at, prompt in enumerate(("one", "two", "one", "three", "three")):
        keep(store, store.new_conversation(at), prompt, at)
    assert store.prompts() == ("three", "one", "two")
    assert store.prompts(2) == ("three", "one")
    assert store.prompts(0) == ()


def test_deleting_takes_all_but_the_votes(store: Store, tmp_path: Path) -> None:
    doomed, spared = store.new_conversation(0), store.new_conversation(0)
    turn = store.new_turn(
        doomed, Turn("p", 0, {}, attachments=(Attachment("a", "image/png", b"x"),))
    )
    store.save_answer(turn, Answer("A", "n", "m", "secret"))
    keep(store, spared, "stays", 0, "a")
    with contextlib.closing(sqlite3.connect(tmp_path / "gputui.db")) as other:
        other.execute(
            "INSERT INTO votes (at, turn_id, name_a, model_a, name_b, model_b, choice, blind, named, tag)"
            " VALUES (0, ?, 'a', 'a', 'b', 'b', 'tie', 1, '', '')",
            (turn,),
        )
        other.commit()
        with pytest.raises(GputuiError, match="no conversation 77"):
            store.delete([doomed, 77])
        assert len(store.turns(doomed)) == 1, "all or none"
        store.delete([doomed])
        for table in ("attachments", "answers", "turns", "conversations"):
            rows = other.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            assert rows == (table != "attachments",)
        assert other.execute("SELECT turn_id, choice FROM votes").fetchall() == [(None, "tie")]
        assert other.execute("SELECT prompt FROM words").fetchall() == [("stays",)]


def test_an_id_is_never_given_again(store: Store) -> None:
    ids, turns = [], []
    for _ in range(3):
        ids.append(store.new_conversation(0))
        turns += [keep(store, ids[-1], "p", 0), keep(store, ids[-1], "q", 0)]
        store.delete(ids[-1:])
    assert ids == [1, 2, 3]
    assert turns == [1, 2, 3, 4, 5, 6]
    with pytest.raises(GoneError):
        store.new_turn(1, Turn("p", 0, {}))
    with pytest.raises(GoneError):
        store.save_answer(1, Answer("A", "n", "m", "t"))


async def test_a_conversation_that_another_session_deleted_goes_on_as_a_new_one(
    store: Store, tmp_path: Path
) -> None:
    other = Store(tmp_path / "gputui.db")
    said = reply(completion("said"))
    async with talking((said, said, said), (said, said, said), store) as (conversation, _, _):
        conversation.send("first")
        await settled(conversation)
        other.delete(other.conversations())
        conversation.send("second")
        await settled(conversation)
        assert conversation.store_problem is None
        (kept,) = other.conversations()
        assert conversation.id == kept
        other.delete([kept])
        conversation.retry("A")
        await settled(conversation)
        assert conversation.store_problem is None
    (kept,) = other.conversations()
    assert [(turn.prompt, list(turn.answers)) for turn in other.turns(kept)] == [("second", ["A"])]
    other.close()


def test_a_list_of_many_is_bounded(store: Store, tmp_path: Path) -> None:
    store.conversations()
    with contextlib.closing(sqlite3.connect(tmp_path / "gputui.db")) as other:
        numbers = [(number,) for number in range(1, MOST + 6)]
        other.executemany("INSERT INTO conversations (id, created_at) VALUES (?, 0)", numbers)
        other.executemany(
            "INSERT INTO turns (conversation_id, prompt, created_at) VALUES (?, 'word', 0)", numbers
        )
        other.commit()
    assert len(store.summaries(10**6)) == len(store.search("word", 10**6)) == MOST
    assert len(store.summaries(10**6, MOST)) == 5
