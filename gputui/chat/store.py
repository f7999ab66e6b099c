"""What was said, kept: conversations, turns and answers with their numbers, in SQLite."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gputui.chat.model import Answer, Figure, Measurement, Turn
from gputui.errors import GputuiError
from gputui.files import make_private

_VERSION = 1
_BUSY_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    created_at REAL NOT NULL                    -- Unix time
);
CREATE TABLE turns (
    id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX turns_of_conversation ON turns (conversation_id);
CREATE TABLE answers (
    turn_id INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    side TEXT NOT NULL,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    finish_reason TEXT,
    error TEXT,
    hint TEXT NOT NULL,
    ttft_seconds REAL,                          -- client
    ttfo_seconds REAL,                          -- client
    elapsed_seconds REAL,                       -- client
    prompt_tokens REAL,
    prompt_tokens_origin TEXT,                  -- "server" or "client", as for the next three
    completion_tokens REAL,
    completion_tokens_origin TEXT,
    prompt_tokens_per_second REAL,
    prompt_tokens_per_second_origin TEXT,
    generation_tokens_per_second REAL,
    generation_tokens_per_second_origin TEXT,
    PRIMARY KEY (turn_id, side)
);
"""

_WORDS = ("side", "name", "model", "text", "reasoning", "finish_reason", "error", "hint")
_TIMES = ("ttft_seconds", "ttfo_seconds", "elapsed_seconds")
_FIGURES = (
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_per_second",
    "generation_tokens_per_second",
)


class Store:
    """The user's database. Opened at first use; every call may block, from any thread.

    Each call raises GputuiError where the database is locked, read-only, full or damaged; the next
    call tries again from the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def new_conversation(self, created_at: float) -> int:
        """A new conversation's id."""
        return self._insert("INSERT INTO conversations (created_at) VALUES (?)", created_at)

    def new_turn(self, conversation_id: int, prompt: str, created_at: float) -> int:
        """A new turn's id."""
        return self._insert(
            "INSERT INTO turns (conversation_id, prompt, created_at) VALUES (?, ?, ?)",
            conversation_id,
            prompt,
            created_at,
        )

    def save_answer(self, turn_id: int, answer: Answer) -> None:
        """Keep an answer; one of the same turn and side is replaced."""
        row = {"turn_id": turn_id} | _row(answer)
        columns = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self._insert(f"INSERT OR REPLACE INTO answers ({columns}) VALUES ({marks})", *row.values())  # noqa: S608  # names of this module

    def conversations(self) -> tuple[int, ...]:
        """The ids of all conversations, oldest first."""
        with self._open() as connection:
            rows = connection.execute("SELECT id FROM conversations ORDER BY id").fetchall()
        return tuple(row["id"] for row in rows)

    def turns(self, conversation_id: int) -> tuple[Turn, ...]:
        """The turns of a conversation with their answers, oldest first."""
        with self._open() as connection:
            turns = connection.execute(
                "SELECT * FROM turns WHERE conversation_id = ? ORDER BY id", (conversation_id,)
            ).fetchall()
            answers = connection.execute(
                "SELECT answers.* FROM answers JOIN turns ON turns.id = turn_id"
                " WHERE conversation_id = ? ORDER BY turn_id, side",
                (conversation_id,),
            ).fetchall()
        return tuple(
            Turn(
                prompt=turn["prompt"],
                created_at=turn["created_at"],
                answers={
                    row["side"]: _answer(row) for row in answers if row["turn_id"] == turn["id"]
                },
                id=turn["id"],
            )
            for turn in turns
        )

    def close(self) -> None:
        """Close the database. Idempotent; a later call opens it again."""
        with self._lock:
            self._drop()

    def _insert(self, statement: str, *values: object) -> int:
        with self._open() as connection:
            cursor = connection.execute(statement, values)
            return int(cursor.lastrowid or 0)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one transaction; dropped when that fails."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                with self._connection:
                    yield self._connection
            except (sqlite3.Error, OSError) as error:
                self._drop()
                raise self._problem(error) from error
            except GputuiError:
                self._drop()
                raise

    def _connect(self) -> sqlite3.Connection:
        """SQLite does not wait where two sessions switch a new file to WAL at once: wait here."""
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return self._try_connect()
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                    raise
            time.sleep(0.02)

    def _try_connect(self) -> sqlite3.Connection:
        make_private(self._path.parent)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) == _VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")  # of two sessions that open it first, one makes it
        with connection:
            version = self._version(connection)
            if version > _VERSION:
                raise GputuiError(
                    f"{self._path} was written by a newer gputui (schema {version})",
                    "Update gputui, or move the file away.",
                )
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _problem(self, error: sqlite3.Error | OSError) -> GputuiError:
        if isinstance(error, OSError):
            what, hint = error.strerror or str(error), "gputui's state directory must be writable."
        else:
            what, hint = _REASONS.get(_primary_code(error), (str(error), ""))
        return GputuiError(f"{self._path}: {what}: this chat is not being kept", hint)


def _primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; the sqlite3 module's own errors have none."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


_REASONS: dict[int | None, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: ("locked by another program", "It is tried again after the next answer."),
    sqlite3.SQLITE_LOCKED: (
        "locked by another program",
        "It is tried again after the next answer.",
    ),
    sqlite3.SQLITE_READONLY: ("read-only", "Make the file and its directory writable."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Make the file and its directory writable."),
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "Make room; it is tried again after the next answer.",
    ),
    sqlite3.SQLITE_CORRUPT: ("damaged", "Move the file away; a new one is made."),
    sqlite3.SQLITE_NOTADB: ("not a database", "Move the file away; a new one is made."),
}


def _row(answer: Answer) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(answer, name) for name in _WORDS}
    row |= {name: getattr(answer.measurement, name) for name in _TIMES}
    for name in _FIGURES:
        figure: Figure | None = getattr(answer.measurement, name)
        row[name] = figure.value if figure else None
        row[f"{name}_origin"] = figure.origin if figure else None
    return row


def _answer(row: sqlite3.Row) -> Answer:
    measured: dict[str, Any] = {name: row[name] for name in _TIMES}
    for name in _FIGURES:
        if row[name] is not None:
            measured[name] = Figure(row[name], row[f"{name}_origin"])
    return Answer(**{name: row[name] for name in _WORDS}, measurement=Measurement(**measured))
