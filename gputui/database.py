"""The user's SQLite database: one file, one schema, and in words what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.files import make_private

if TYPE_CHECKING:
    import sqlite3

_BUSY_SECONDS = 5.0
_MAKING = threading.Lock()

_CHAT = """
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

_EVENTS = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,                           -- Unix time
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,                        -- "firing" or "resolved"
    message TEXT NOT NULL,
    value REAL                                  -- in the metric's base unit
);
CREATE INDEX events_by_time ON events (at);
"""

_EVENT_KEYS = """
ALTER TABLE events ADD COLUMN
    subject_key TEXT NOT NULL DEFAULT '';
UPDATE events SET subject_key = subject;
CREATE INDEX events_by_subject ON events (rule, subject_key);
"""
"""What tells a subject from all others: the number in a GPU's name can change, its UUID cannot."""

_RUNS = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    started_at REAL NOT NULL,                   -- Unix time, as all others here
    ready_at REAL,
    ended_at REAL,
    wanted_until REAL,                          -- NULL: it is wanted still
    again INTEGER NOT NULL,                     -- 1: started after a crash
    ending TEXT NOT NULL DEFAULT '',            -- as the journal's Ending has it
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (name, pid, start_ticks, boot_id)
);
CREATE INDEX runs_by_start ON runs (started_at);
"""

_COMPARISON = """
ALTER TABLE conversations ADD COLUMN
    title TEXT NOT NULL DEFAULT '';             -- '': that of its first prompt
ALTER TABLE turns ADD COLUMN
    tag TEXT NOT NULL DEFAULT '';
ALTER TABLE answers ADD COLUMN reasoning_tokens REAL;
ALTER TABLE answers ADD COLUMN reasoning_tokens_origin TEXT;
ALTER TABLE answers ADD COLUMN
    settings TEXT;                              -- JSON as sent; NULL: not known
ALTER TABLE answers ADD COLUMN
    left_out TEXT NOT NULL DEFAULT '';          -- what of them the server would not take
CREATE TABLE attachments (
    turn_id INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (turn_id, position)
);
CREATE TABLE votes (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    turn_id INTEGER REFERENCES turns (id) ON DELETE SET NULL,
    name_a TEXT NOT NULL,
    model_a TEXT NOT NULL,
    name_b TEXT NOT NULL,
    model_b TEXT NOT NULL,
    choice TEXT NOT NULL,                       -- "a", "b", "tie" or "both_bad"
    blind INTEGER NOT NULL,
    named TEXT NOT NULL,                        -- which answers named themselves: "", "a", "b", "ab"
    tag TEXT NOT NULL
);
CREATE INDEX votes_of_turn ON votes (turn_id);
"""

_SEARCH = """
CREATE INDEX answers_by_model ON answers (turn_id, side, name, model);
CREATE TABLE unindexed (
    turn_id INTEGER PRIMARY KEY                 -- the index of words has it not, or not as it is now
);
INSERT INTO unindexed SELECT id FROM turns;
CREATE TRIGGER turn_written AFTER INSERT ON turns BEGIN
    INSERT OR IGNORE INTO unindexed VALUES (new.id);
END;
CREATE TRIGGER turn_changed AFTER UPDATE OF prompt ON turns BEGIN
    INSERT OR IGNORE INTO unindexed VALUES (new.id);
END;
CREATE TRIGGER turn_deleted AFTER DELETE ON turns BEGIN
    INSERT OR IGNORE INTO unindexed VALUES (old.id);
END;
CREATE TRIGGER answer_written AFTER INSERT ON answers BEGIN
    INSERT OR IGNORE INTO unindexed VALUES (new.turn_id);
END;
CREATE TRIGGER answer_changed AFTER UPDATE OF text, reasoning ON answers BEGIN
    INSERT OR IGNORE INTO unindexed VALUES (new.turn_id);
END;
CREATE TRIGGER answer_deleted AFTER DELETE ON answers BEGIN
    INSERT OR IGNORE INTO unindexed VALUES (old.turn_id);
END;
"""
"""The index itself needs FTS5, which not every SQLite has: it is made where it is used, and what it
lacks is written down by every SQLite."""

_VOTES = """
ALTER TABLE votes ADD COLUMN
    asked_at REAL NOT NULL DEFAULT 0;           -- its prompt's: tells the turn also once that is deleted
UPDATE votes SET asked_at = at;
"""

_GONE = """
CREATE TABLE gone (
    what TEXT PRIMARY KEY,                      -- "conversation" or "turn"
    last_id INTEGER NOT NULL                    -- the greatest that was deleted
);
CREATE TRIGGER conversation_gone AFTER DELETE ON conversations BEGIN
    INSERT OR REPLACE INTO gone VALUES ('conversation', max(old.id,
        coalesce((SELECT last_id FROM gone WHERE what = 'conversation'), 0)));
END;
CREATE TRIGGER turn_gone AFTER DELETE ON turns BEGIN
    INSERT OR REPLACE INTO gone VALUES ('turn', max(old.id,
        coalesce((SELECT last_id FROM gone WHERE what = 'turn'), 0)));
END;
"""
"""No id is given twice: another session may still write to what had it."""

_DROPPED = """
ALTER TABLE answers ADD COLUMN
    dropped INTEGER;                            -- turns of its side left out, the oldest; NULL: not known
"""

_VOTED_ANSWERS = """
ALTER TABLE votes ADD COLUMN
    answers TEXT NOT NULL DEFAULT '';           -- tells them from those of a retry; '': not known
CREATE INDEX votes_by_prompt ON votes (asked_at);
"""

_MIGRATIONS = (
    *(_CHAT, _EVENTS, _EVENT_KEYS, _RUNS, _COMPARISON, _SEARCH, _VOTES, _GONE),
    *(_DROPPED, _VOTED_ANSWERS),
)
"""What each version of the schema adds to the one before; the file's version is their number."""


class Database:
    """The file at ``path``, for one user of it. Opened at first use; every call may block, from any thread.

    ``loss`` says what a failure means ("this chat is not being kept"). Each transaction raises
    GputuiError where the database is locked, read-only, full or damaged; the next one tries again from
    the start. ``patience``: seconds to wait where others write.
    """

    def __init__(self, path: Path, loss: str, patience: float = _BUSY_SECONDS) -> None:
        self._path = path
        self._loss = loss
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file. Idempotent; a later transaction opens it again."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def transaction(self, loss: str | None = None) -> Iterator[sqlite3.Connection]:
        """The connection, for one transaction; dropped when that fails. Raises GputuiError.

        ``loss`` says what a failure of this one means, where that is another than the usual.
        """
        import sqlite3  # loaded by the first transaction, not by who may want one

        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                with self._connection:
                    yield self._connection
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._drop()
                raise self._problem(error, loss or self._loss) from error
            except GputuiError:
                self._drop()
                raise

    def _connect(self) -> sqlite3.Connection:
        """SQLite does not wait where two sessions switch a new file to WAL at once: wait here."""
        import sqlite3

        give_up = time.monotonic() + self._patience
        while True:
            try:
                return self._try_connect()
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                    raise
            time.sleep(0.02)

    def _try_connect(self) -> sqlite3.Connection:
        import sqlite3

        make_private(self._path.parent)
        self._make()
        connection = sqlite3.connect(self._path, timeout=self._patience, check_same_thread=False)
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

    def _make(self) -> None:
        """A new file, for its owner alone. One that is there is not even opened: to close it again would
        take from this process all locks that its other connections hold on it (POSIX; SQLite's "How To
        Corrupt", 2.2), and the next program to close the file would delete the log they write to."""
        with _MAKING, contextlib.suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self._path, flags, 0o600))

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) == len(_MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")  # of two sessions that open it first, one makes it
        with connection:
            version = self._version(connection)
            if version > len(_MIGRATIONS):
                raise GputuiError(
                    f"{self._path} was written by a newer gputui (schema {version})",
                    "Update gputui, or move the file away.",
                )
            for migration in _MIGRATIONS[version:]:
                for statement in _statements(migration):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _drop(self) -> None:
        if self._connection is not None:
            import sqlite3

            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _problem(
        self, error: sqlite3.Error | OSError | UnicodeDecodeError, loss: str
    ) -> GputuiError:
        if isinstance(error, UnicodeDecodeError):  # SQLite's own words may quote what is damaged
            what, hint = _damaged()
        elif isinstance(error, OSError):
            what, hint = error.strerror or str(error), "gputui's state directory must be writable."
        else:
            what, hint = _reasons().get(_primary_code(error), (str(error), ""))
        return GputuiError(f"{self._path}: {what}: {loss}", hint)


def _statements(script: str) -> Iterator[str]:
    """Each statement of a script, triggers whole; sqlite3's own executescript would commit before it."""
    import sqlite3

    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; the sqlite3 module's own errors have none."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _damaged() -> tuple[str, str]:
    return "damaged", "Move the file away; a new one is made."


@cache
def _reasons() -> dict[int | None, tuple[str, str]]:
    """What is wrong and what to do, by SQLite's primary result code."""
    import sqlite3

    locked = "locked by another program", "It is tried again."
    writable = "Make the file and its directory writable."
    return {
        sqlite3.SQLITE_BUSY: locked,
        sqlite3.SQLITE_LOCKED: locked,
        sqlite3.SQLITE_READONLY: ("read-only", writable),
        sqlite3.SQLITE_CANTOPEN: ("cannot be opened", writable),
        sqlite3.SQLITE_FULL: ("the disk is full", "Make room; it is tried again."),
        sqlite3.SQLITE_CORRUPT: _damaged(),
        sqlite3.SQLITE_NOTADB: ("not a database", "Move the file away; a new one is made."),
    }
