"""What was said, kept: conversations, turns and answers with their numbers, in SQLite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.chat.model import Answer, Attachment, Turn
from gputui.database import Database
from gputui.errors import GputuiError
from gputui.text import clean_line

if TYPE_CHECKING:
    import sqlite3

    from gputui.chat.keeping.found import Match, Summary


_NOT_READ = "kept conversations cannot be read"
_NOT_CHANGED = "nothing was changed"
_NEXT_ID = (
    "1 + max(coalesce((SELECT max(id) FROM {table}), 0),"
    " coalesce((SELECT last_id FROM gone WHERE what = '{what}'), 0))"
)
_NEXT_CONVERSATION = _NEXT_ID.format(table="conversations", what="conversation")
_NEXT_TURN = _NEXT_ID.format(table="turns", what="turn")
_FEW, _MANY = 20, 500  # turns that are indexed in one transaction
MOST = 1000
"""Conversations or matches that one call tells at most."""
TITLE_LIMIT = 200
"""Characters of a title at most."""


class GoneError(GputuiError):
    """What is to be written to was deleted, by this session or by another."""


class Store:
    """The user's database. Opened at first use; every call may block, from any thread.

    Each call raises GputuiError where the database is locked, read-only, full or damaged; the next
    call tries again from the start. Ids grow: of two turns the newer has the greater one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(path, "this chat is not being kept")
        self._reader = Database(path, _NOT_READ)  # what is read keeps nothing from being kept

    def new_conversation(self, created_at: float) -> int:
        """A new conversation's id."""
        with self._database.transaction() as connection:
            return _add_conversation(connection, created_at)

    def new_turn(self, conversation_id: int, turn: Turn) -> int:
        """A new turn's id; its answers are kept as they come.

        Raises GoneError where the conversation was deleted.
        """
        with self._database.transaction() as connection:
            return _add_turn(connection, conversation_id, turn)

    def save_answer(self, turn_id: int, answer: Answer) -> None:
        """Keep an answer; one of the same turn and side is replaced.

        Raises GoneError where the turn was deleted.
        """
        with self._database.transaction() as connection:
            _put_answer(connection, turn_id, answer)
        with contextlib.suppress(GputuiError):  # it is kept; what is not indexed is written down
            self._index(_FEW)

    def keep(
        self, conversation_id: int | None, turn_id: int | None, turn: Turn, answer: Answer
    ) -> tuple[int, int]:
        """Keep an answer and all that it needs, or nothing: its conversation and its turn, where they have
        no ids yet. Their ids.

        Raises GoneError where one that has an id was deleted.
        """
        with self._database.transaction() as connection:
            if conversation_id is None:
                conversation_id = _add_conversation(connection, turn.created_at)
            if turn_id is None:
                turn_id = _add_turn(connection, conversation_id, turn)
            _put_answer(connection, turn_id, answer)
        with contextlib.suppress(GputuiError):
            self._index(_FEW)
        return conversation_id, turn_id

    def conversations(self) -> tuple[int, ...]:
        """The ids of all conversations that have a turn, oldest first."""
        with self._reading() as connection:
            statement = "SELECT DISTINCT conversation_id FROM turns ORDER BY conversation_id"
            return tuple(row[0] for row in connection.execute(statement))

    def summaries(self, limit: int = 50, offset: int = 0) -> tuple[Summary, ...]:
        """A page of the conversations that have a turn, the one with the newest prompt first.

        Of ``MOST`` at most.
        """
        from gputui.chat.keeping import listing

        with self._reading() as connection:
            return listing.page(connection, min(limit, MOST), offset)

    def summary(self, conversation_id: int) -> Summary:
        """Of one conversation. Raises GputuiError also where there is none of that id."""
        from gputui.chat.keeping import listing

        with self._reading() as connection:
            found = listing.one(connection, conversation_id)
        if found is None:
            raise _no_such(conversation_id)
        return found

    def turn_ids(self, conversation_id: int) -> tuple[int, ...]:
        """The ids of all turns of a conversation, oldest first; no text is read."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT id FROM turns WHERE conversation_id = ? ORDER BY id", (conversation_id,)
            ).fetchall()
        return tuple(row["id"] for row in rows)

    def turn_number(self, conversation_id: int, turn_id: int) -> int:
        """How many turns the conversation has up to that one, and with it: its place, from 1."""
        with self._reading() as connection:
            statement = "SELECT count(*) FROM turns WHERE conversation_id = ? AND id <= ?"
            return int(connection.execute(statement, (conversation_id, turn_id)).fetchone()[0])

    def turns(
        self,
        conversation_id: int,
        *,
        newest: int | None = None,
        before: int | None = None,
        since: int | None = None,
    ) -> tuple[Turn, ...]:
        """The turns of a conversation with their answers, oldest first; none where there is none.

        ``newest``: at most so many, the newest of those asked for. ``before`` and ``since`` are ids of
        turns: only those before that one, and those from that one on. So a page is ``newest=40``, the
        page above it ``newest=40, before=page[0].id``, and around a match ``newest=20, before=match``
        and ``since=match``. Pictures come without their data: to show a turn needs none, and
        ``attachments`` has them.
        """
        from gputui.chat.keeping import listing
        from gputui.chat.keeping.rows import by_turn, turn_of

        with self._reading() as connection:
            rows = listing.turns(connection, conversation_id, newest, before, since)
            said, files = by_turn(rows.answers), by_turn(rows.attachments)
            return tuple(turn_of(row, said[row["id"]], files[row["id"]]) for row in rows.turns)

    def attachments(self, turn_id: int) -> tuple[Attachment, ...]:
        """The attachments of one turn, with their data."""
        from gputui.chat.keeping.rows import attachment_of

        with self._reading() as connection:
            rows = connection.execute(
                "SELECT name, media_type, data FROM attachments WHERE turn_id = ? ORDER BY position",
                (turn_id,),
            ).fetchall()
            return tuple(map(attachment_of, rows))

    def prompts(self, limit: int = 500) -> tuple[str, ...]:
        """The prompts of all conversations for an input history: each once, the newest first."""
        from gputui.chat.keeping import listing

        with self._reading() as connection:
            return listing.prompts(connection, limit)

    def search(self, query: str, limit: int = 50) -> tuple[Match, ...]:
        """Where all words of ``query`` are: in a given title, or in a turn's prompt, answers, reasoning.

        Any text is a query. Words of any case, with or without accents; "words in quotes" are a phrase;
        the last word may be the beginning of one. Titles come first, then turns, the newest
        first; at most ``limit`` (and ``MOST``) in all. None for a query that is blank.
        """
        from gputui.chat.keeping import index

        try:
            return self._search(query, min(limit, MOST))
        except GputuiError as error:
            if not index.is_damaged(error.__cause__):
                raise
        with self._database.transaction(_NOT_READ) as connection:
            index.drop(connection)
        return self._search(query, min(limit, MOST))

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a conversation a title, one line of it, cleaned; "" gives it that of its first prompt again.

        Raises GputuiError also where there is no such conversation.
        """
        with self._database.transaction(_NOT_CHANGED) as connection:
            changed = connection.execute(
                "UPDATE conversations SET title = ? WHERE id = ?",
                (clean_line(title, TITLE_LIMIT), conversation_id),
            )
            if not changed.rowcount:
                raise _no_such(conversation_id)

    def delete(self, conversation_ids: Sequence[int]) -> None:
        """Delete conversations with all that is in them, all or none; votes on their turns stay.

        Raises GputuiError also where there is none of one of these ids.
        """
        with self._database.transaction(_NOT_CHANGED) as connection:
            for one in conversation_ids:
                done = connection.execute("DELETE FROM conversations WHERE id = ?", (one,))
                if not done.rowcount:
                    raise _no_such(one)
        with contextlib.suppress(GputuiError):
            self._index()

    def close(self) -> None:
        """Close the database. Idempotent; a later call opens it again."""
        self._reader.close()
        self._database.close()

    def _search(self, query: str, limit: int) -> tuple[Match, ...]:
        from gputui.chat.keeping.search import search

        indexed = self._index()
        with self._reading() as connection:
            return search(connection, query, limit, indexed=indexed)

    def _index(self, turns: int | None = None) -> bool:
        """Bring the index up to date, or by so many turns; whether there is one. Raises GputuiError.

        In steps, so that nobody else who writes waits for long.
        """
        from gputui.chat.keeping import index

        with self._database.transaction(_NOT_READ) as connection:
            if not index.usable(connection):
                return False
        done = False
        while not done:
            with self._indexing() as connection:
                done = index.catch_up(connection, turns or _MANY) or turns is not None
        return True

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """For what is read as it was at one moment, whoever writes or deletes meanwhile. Raises GputuiError,
        also where a row is none that was written."""
        with self._telling_damage(), self._reader.transaction() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextlib.contextmanager
    def _indexing(self) -> Iterator[sqlite3.Connection]:
        """For a transaction that reads what was said and writes the index. Raises GputuiError."""
        with self._telling_damage(), self._database.transaction(_NOT_READ) as connection:
            yield connection

    @contextlib.contextmanager
    def _telling_damage(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise GputuiError(
                f"{self._path}: damaged: {_NOT_READ}", "Move the file away; a new one is made."
            ) from error


def _add_conversation(connection: sqlite3.Connection, created_at: float) -> int:
    statement = f"INSERT INTO conversations (id, created_at) VALUES ({_NEXT_CONVERSATION}, ?)"  # noqa: S608
    return int(connection.execute(statement, (created_at,)).lastrowid or 0)


def _add_turn(connection: sqlite3.Connection, conversation_id: int, turn: Turn) -> int:
    _still_there(connection, "conversations", conversation_id)
    cursor = connection.execute(
        "INSERT INTO turns (id, conversation_id, prompt, created_at, tag)"  # noqa: S608
        f" VALUES ({_NEXT_TURN}, ?, ?, ?, ?)",
        (conversation_id, turn.prompt, turn.created_at, turn.tag),
    )
    connection.executemany(
        "INSERT INTO attachments (turn_id, position, name, media_type, data) VALUES (?, ?, ?, ?, ?)",
        [
            (cursor.lastrowid, position, one.name, one.media_type, one.data)
            for position, one in enumerate(turn.attachments)
        ],
    )
    return int(cursor.lastrowid or 0)


def _put_answer(connection: sqlite3.Connection, turn_id: int, answer: Answer) -> None:
    from gputui.chat.keeping.rows import answer_row

    _still_there(connection, "turns", turn_id)
    row = {"turn_id": turn_id} | answer_row(answer)
    columns = ", ".join(row)
    marks = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT OR REPLACE INTO answers ({columns}) VALUES ({marks})",  # noqa: S608  # names of this module
        tuple(row.values()),
    )


def _no_such(conversation_id: int) -> GputuiError:
    return GputuiError(
        f"no conversation {conversation_id} is kept", "gputui conversations lists them."
    )


def _still_there(connection: sqlite3.Connection, table: str, id_: int) -> None:
    """Raises GoneError where the row is not."""
    if connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (id_,)).fetchone() is None:  # noqa: S608
        raise GoneError("This conversation was deleted", "It goes on as a new one.")
