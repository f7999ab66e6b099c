"""The database: what goes in comes out, for several sessions, and faults are words."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Figure, Measurement, Turn
from gputui.database import _MIGRATIONS
from gputui.errors import GputuiError

FIGURE = st.none() | st.builds(Figure, st.floats(0, 1e9), st.sampled_from(["server", "client"]))
SECONDS = st.none() | st.floats(0, 1e6)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MEASUREMENTS = st.builds(
    Measurement,
    ttft_seconds=SECONDS,
    ttfo_seconds=SECONDS,
    elapsed_seconds=SECONDS,
    prompt_tokens=FIGURE,
    completion_tokens=FIGURE,
    prompt_tokens_per_second=FIGURE,
    generation_tokens_per_second=FIGURE,
)
ANSWERS = st.builds(
    Answer,
    side=st.sampled_from("AB"),
    name=TEXT,
    model=TEXT,
    text=TEXT,
    reasoning=TEXT,
    finish_reason=st.none() | st.sampled_from(["stop", "length", "stopped"]),
    measurement=MEASUREMENTS,
    error=st.none() | TEXT,
    hint=TEXT,
)


def answer(text: str, side: str = "A") -> Answer:
    return Answer(side, "name", "model", text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(answers=st.lists(ANSWERS, min_size=1, max_size=4), prompt=TEXT)
def test_what_is_kept_comes_back_as_it_was(
    tmp_path: Path, answers: list[Answer], prompt: str
) -> None:
    store = Store(tmp_path / "gputui.db")
    conversation = store.new_conversation(1.5)
    ids = [store.new_turn(conversation, Turn(prompt, 2.5, {})) for _ in answers]
    for turn_id, kept in zip(ids, answers, strict=True):
        store.save_answer(turn_id, kept)
    store.close()
    turns = store.turns(conversation)
    assert [turn.answers for turn in turns] == [{kept.side: kept} for kept in answers]
    assert {(turn.prompt, turn.created_at) for turn in turns} == {(prompt, 2.5)}
    store.close()


def test_a_retried_answer_replaces_the_last_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "gputui.db")
    conversation = store.new_conversation(0)
    turn = store.new_turn(conversation, Turn("p", 0, {}))
    for text in ("first", "second"):
        store.save_answer(turn, answer(text))
    store.save_answer(turn, answer("b", "B"))
    (kept,) = store.turns(conversation)
    assert {side: a.text for side, a in kept.answers.items()} == {"A": "second", "B": "b"}
    store.close()


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gputui.db"
    store = Store(path)
    store.new_conversation(0)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()


def test_nothing_is_written_before_it_is_used(tmp_path: Path) -> None:
    Store(tmp_path / "deep" / "gputui.db").close()
    assert list(tmp_path.glob("deep")) == []


ROUNDS = 15  # of four sessions that make the same new file at once


def _write_many(folder: Path, start: object, count: int) -> None:
    for number in range(ROUNDS):
        start.wait()  # type: ignore[attr-defined]
        store = Store(folder / f"{number}.db")
        conversation = store.new_conversation(0)
        for turn in range(count):
            store.save_answer(store.new_turn(conversation, Turn(str(turn), 0, {})), answer("x"))
        store.close()


def test_sessions_that_write_at_once_all_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4, timeout=60)
    writers = [context.Process(target=_write_many, args=(tmp_path, start, 5)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    for number in range(ROUNDS):
        store = Store(tmp_path / f"{number}.db")
        assert [len(store.turns(id_)) for id_ in store.conversations()] == [5] * 4
        store.close()


def test_a_locked_database_is_said_so_and_works_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gputui.db"
    store = Store(path)
    monkeypatch.setattr(store._database, "_patience", 0.05)
    store.new_conversation(0)
    other = sqlite3.connect(path, isolation_level=None)
    store.close()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(GputuiError, match="locked"):
        store.new_conversation(0)
    other.execute("ROLLBACK")
    other.close()
    assert store.new_conversation(0)
    store.close()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"no database " * 200, "not a database"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "not a database|damaged"),
    ],
)
def test_a_damaged_database_is_said_so(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(content)
    with pytest.raises(GputuiError, match=word) as caught:
        Store(path).new_conversation(0)
    assert str(path) in caught.value.message
    assert path.read_bytes() == content, "it is not touched"


def test_a_database_emptied_under_us_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    store = Store(path)
    store.new_conversation(0)
    other = sqlite3.connect(path)
    tables = other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in reversed(tables):
        other.execute(f"DROP TABLE IF EXISTS {table}")
    other.execute("PRAGMA user_version = 0")
    other.commit()
    other.close()
    with pytest.raises(GputuiError, match="no such table"):
        store.new_conversation(0)
    assert store.new_conversation(0) == 1, "a failed connection is given up, and opened anew"
    store.close()


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(_MIGRATIONS[0])
        old.execute("INSERT INTO conversations VALUES (1, 0)")
        old.execute("INSERT INTO turns VALUES (1, 1, 'kept', 0)")
        old.execute(
            "INSERT INTO answers (turn_id, side, name, model, text, reasoning, hint)"
            " VALUES (1, 'A', 'n', 'm', 'kept too', '', '')"
        )
        old.execute("PRAGMA user_version = 1")
        old.commit()
    store = Store(path)
    (kept,) = store.turns(1)
    assert (kept.prompt, kept.answers["A"].text) == ("kept", "kept too")
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as now:
        assert now.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GputuiError, match="file"):
        Store(tmp_path / "file" / "gputui.db").new_conversation(0)


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    store = Store(path)
    conversation = store.new_conversation(0)
    store._database._connection.execute("PRAGMA max_page_count = 1")  # type: ignore[union-attr]
    with pytest.raises(GputuiError, match="disk is full"):
        store.save_answer(store.new_turn(conversation, Turn("p", 0, {})), answer("x" * 500_000))
    store.close()


def test_the_database_of_a_newer_gputui_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(GputuiError, match="newer gputui"):
        Store(path).new_conversation(0)
