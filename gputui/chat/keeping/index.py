"""The index of words: an FTS5 table with a row for each turn, brought up to date in small steps.

Triggers write down, in ``unindexed``, each turn that the index has not as it is. So nothing is lost
where a SQLite without FTS5 has the file for a while, and a fault of the index costs no answer.
"""

from __future__ import annotations

import sqlite3

from gputui.chat.keeping.query import separated
from gputui.chat.keeping.rows import by_turn
from gputui.text import clean

MODULE = "fts5"
"""SQLite's module of full-text search."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR)


def usable(connection: sqlite3.Connection) -> bool:
    """Whether there is an index: one is made where there is none. False where SQLite has no FTS5."""
    try:
        connection.execute("SELECT rowid FROM words LIMIT 0")
    except sqlite3.OperationalError as error:
        return _is_missing(error, "table") and _create(connection)
    return True


def catch_up(connection: sqlite3.Connection, limit: int) -> bool:
    """Index up to ``limit`` turns that are not; whether that was all it takes. Needs ``usable``."""
    if connection.execute("SELECT 1 FROM unindexed LIMIT 1").fetchone() is None:
        return True
    connection.execute("BEGIN IMMEDIATE")  # what is read now is what is indexed
    rows = connection.execute(
        "SELECT turn_id FROM unindexed ORDER BY turn_id DESC LIMIT ?", (limit,)
    ).fetchall()
    if not rows:  # another session was quicker
        return True
    ids = sorted((row["turn_id"],) for row in rows)  # FTS5 writes growing ids at one go
    connection.executemany("DELETE FROM words WHERE rowid = ?", ids)
    connection.executemany(
        "INSERT INTO words (rowid, prompt, answers, reasoning) VALUES (?, ?, ?, ?)",
        _documents(connection, ids[0][0], ids[-1][0]),
    )
    connection.executemany("DELETE FROM unindexed WHERE turn_id = ?", ids)
    return len(ids) < limit


def is_damaged(error: BaseException | None) -> bool:
    """Whether it may be the index that is: a fault of the content, not of the disk or of another session."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _DAMAGED


def drop(connection: sqlite3.Connection) -> None:
    """Have no index: the next use makes it anew."""
    connection.execute("DROP TABLE IF EXISTS words")


def _create(connection: sqlite3.Connection) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS words USING {MODULE}"
            " (prompt, answers, reasoning, tokenize = 'unicode61 remove_diacritics 2', prefix = '1')"
        )
        connection.execute("INSERT OR IGNORE INTO unindexed SELECT id FROM turns")
    except sqlite3.OperationalError as error:
        connection.rollback()
        if _is_missing(error, "module"):
            return False
        raise
    connection.commit()
    return True


def _is_missing(error: sqlite3.OperationalError, what: str) -> bool:
    """Whether it is for want of a table or of a module; SQLite has one code for both, and for more."""
    return str(error).startswith(f"no such {what}: ")


def _documents(connection: sqlite3.Connection, first: int, last: int) -> list[tuple[object, ...]]:
    """The rows of the index for the turns of ``unindexed`` from ``first`` to ``last`` that are there."""
    among = "IN (SELECT turn_id FROM unindexed WHERE turn_id BETWEEN ? AND ?)"
    turns = connection.execute(
        f"SELECT id, prompt FROM turns WHERE id {among} ORDER BY id",  # noqa: S608
        (first, last),
    ).fetchall()
    answers = by_turn(
        connection.execute(
            "SELECT turn_id, text, reasoning FROM answers"  # noqa: S608
            f" WHERE turn_id {among} ORDER BY turn_id, side",
            (first, last),
        ).fetchall()
    )
    return [
        (
            row["id"],
            _words(row["prompt"]),
            _words(*(one["text"] for one in answers[row["id"]])),
            _words(*(one["reasoning"] for one in answers[row["id"]])),
        )
        for row in turns
    ]


def _words(*texts: str) -> str:
    return "\n".join(separated(clean(text)) for text in texts if text)
