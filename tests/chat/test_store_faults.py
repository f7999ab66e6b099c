"""A database that is full, locked, read-only or damaged: every call says so in words, and ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gputui.chat.keeping.export import FORMATS, read
from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Attachment, Figure, Measurement, Sampling, Settings, Turn
from gputui.errors import GputuiError

Call = Callable[[Store], object]

READING: dict[str, Call] = {
    "conversations": lambda store: store.conversations(),
    "summaries": lambda store: store.summaries(),
    "summary": lambda store: store.summary(1),
    "turn_ids": lambda store: store.turn_ids(1),
    "turn_number": lambda store: store.turn_number(1, 1),
    "turns": lambda store: store.turns(1),
    "attachments": lambda store: store.attachments(1),
    "prompts": lambda store: store.prompts(),
    "search": lambda store: store.search("word"),
    "search signs": lambda store: store.search("->"),
    "export": lambda store: ["".join(make(read(store, [1]))) for make in FORMATS.values()],
}
WRITING: dict[str, Call] = {
    "new_conversation": lambda store: store.new_conversation(0),
    "new_turn": lambda store: store.new_turn(1, Turn("x" * 20_000, 0, {})),
    "save_answer": lambda store: store.save_answer(1, Answer("A", "n", "m", "x" * 20_000)),
    "rename": lambda store: store.rename(1, "t" * 200),
    "delete": lambda store: store.delete([1]),
}
ALL = READING | WRITING


def fill(path: Path, turns: int = 3) -> None:
    store = Store(path)
    conversation = store.new_conversation(0)
    store.rename(conversation, "a title")
    file = Attachment("a.png", "image/png", b"data" * 100)
    for number in range(turns):
        turn = store.new_turn(conversation, Turn(f"word {number}", 1.5, {}, attachments=(file,)))
        for side in "AB":
            store.save_answer(
                turn,
                Answer(
                    side,
                    "name",
                    "model",
                    "word " * 200,
                    "because",
                    measurement=Measurement(0.5, completion_tokens=Figure(3, "server")),
                    settings=Settings("system", Sampling(seed=1)),
                ),
            )
    store.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database as it lies on the disk."""
    path = tmp_path_factory.mktemp("kept") / "gputui.db"
    fill(path)
    return path.read_bytes()


def words_of(path: Path, call: Call) -> str:
    """What the user is told."""
    with contextlib.closing(Store(path)) as store, pytest.raises(GputuiError) as caught:
        call(store)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda _: b"no database " * 200, "not a database"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: data[:100] + random.Random(1).randbytes(len(data) - 100), "damaged"),  # noqa: S311
    ],
    ids=["foreign", "truncated", "overwritten"],
)
def test_a_damaged_file(
    tmp_path: Path, kept: bytes, call: Call, damage: Callable[[bytes], bytes], word: str
) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(damage(kept))
    assert word in words_of(path, call)


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
def test_a_database_that_another_program_locks(
    tmp_path: Path, kept: bytes, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(kept)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with contextlib.closing(Store(path)) as store:
            monkeypatch.setattr(store._database, "_patience", 0.02)
            monkeypatch.setattr(store._reader, "_patience", 0.02)
            with pytest.raises(GputuiError, match="locked by another program"):
                call(store)
        other.execute("ROLLBACK")
    with contextlib.closing(Store(path)) as store:
        call(store)  # and now it works


@pytest.mark.parametrize("call", WRITING.values(), ids=WRITING)
def test_a_writer_beside_us_keeps_writers_waiting_and_no_readers(
    tmp_path: Path, kept: bytes, call: Call
) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(kept)
    with (
        contextlib.closing(Store(path)) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        store.rename(1, "opened")
        assert store._database._connection is not None
        store._database._connection.execute("PRAGMA busy_timeout = 20")
        other.execute("BEGIN IMMEDIATE")
        for look in READING.values():
            look(store)
        with pytest.raises(GputuiError, match="locked by another program"):
            call(store)
        other.execute("ROLLBACK")


@pytest.mark.parametrize("call", ["new_turn", "save_answer"])
def test_a_full_disk(tmp_path: Path, kept: bytes, call: str) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(kept)
    with contextlib.closing(Store(path)) as store:
        before = store.turns(1)
        store.rename(1, "opened")
        assert store._database._connection is not None
        store._database._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(GputuiError, match="the disk is full: this chat is not being kept"):
            WRITING[call](store)
        assert store.turns(1) == before, "and nothing of it is there"
        WRITING[call](store)  # there is room again


def test_a_disk_that_is_full_for_the_index_alone_costs_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    fill(path)
    with contextlib.closing(Store(path)) as store:
        store.rename(1, "opened")
        connection = store._database._connection
        assert connection is not None
        connection.execute(
            "CREATE TRIGGER no_room BEFORE DELETE ON unindexed BEGIN SELECT RAISE(ABORT, 'x'); END"
        )
        store.save_answer(1, Answer("A", "n", "m", "kept all the same"))
        assert store.turns(1)[0].answers["A"].text == "kept all the same"


def _call_as_nobody(path: Path, sender: object) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    told = {}
    for name, call in ALL.items():
        try:
            call(Store(path))
        except GputuiError as error:
            told[name] = error.message
    sender.send(told)  # type: ignore[attr-defined]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach: pytest's own they do not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o755), (0o666, 0o555)])
def test_a_file_or_a_folder_that_is_read_only(
    open_folder: Path, kept: bytes, file_mode: int, folder_mode: int
) -> None:
    path = open_folder / "gputui.db"
    path.write_bytes(kept)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_call_as_nobody, args=(path, sender)
    )
    process.start()  # root may write anywhere: one who may not does it
    try:
        assert receiver.poll(30)
        told = receiver.recv()
    finally:
        process.join(30)
        open_folder.chmod(0o755)
    assert set(told) == set(ALL)
    for message in told.values():
        assert str(path) in message
        assert any(
            word in message for word in ("Permission denied", "cannot be opened", "read-only")
        )


def test_no_damage_at_all_is_more_than_words(tmp_path: Path, kept: bytes) -> None:
    """Bytes that changed anywhere: each call gives something or says what is wrong."""
    chance = random.Random(7)  # noqa: S311
    path = tmp_path / "gputui.db"
    told = 0
    for _ in range(40):
        data = bytearray(kept)
        for _ in range(chance.choice((1, 8, 200))):
            data[chance.randrange(100, len(data))] = chance.randrange(256)
        path.write_bytes(data)
        for call in ALL.values():
            with contextlib.closing(Store(path)) as store:
                try:
                    call(store)
                except GputuiError:
                    told += 1
        for left in tmp_path.glob("gputui.db-*"):
            left.unlink()
    assert told
