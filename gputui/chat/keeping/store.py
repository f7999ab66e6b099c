"""What was said, kept: conversations, turns and answers with their numbers, in SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gputui.chat.model import Answer, Attachment, Figure, Measurement, Settings, Turn
from gputui.database import Database

_WORDS = ("side", "name", "model", "text", "reasoning", "finish_reason", "error", "hint")
_TIMES = ("ttft_seconds", "ttfo_seconds", "elapsed_seconds")
_FIGURES = (
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_per_second",
    "generation_tokens_per_second",
    "reasoning_tokens",
)


class Store:
    """The user's database. Opened at first use; every call may block, from any thread.

    Each call raises GputuiError where the database is locked, read-only, full or damaged; the next
    call tries again from the start.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, "this chat is not being kept")

    def new_conversation(self, created_at: float) -> int:
        """A new conversation's id."""
        return self._insert("INSERT INTO conversations (created_at) VALUES (?)", created_at)

    def new_turn(self, conversation_id: int, turn: Turn) -> int:
        """A new turn's id; its answers are kept as they come."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO turns (conversation_id, prompt, created_at, tag) VALUES (?, ?, ?, ?)",
                (conversation_id, turn.prompt, turn.created_at, turn.tag),
            )
            connection.executemany(
                "INSERT INTO attachments (turn_id, position, name, media_type, data)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (cursor.lastrowid, position, one.name, one.media_type, one.data)
                    for position, one in enumerate(turn.attachments)
                ],
            )
        return int(cursor.lastrowid or 0)

    def save_answer(self, turn_id: int, answer: Answer) -> None:
        """Keep an answer; one of the same turn and side is replaced."""
        row = {"turn_id": turn_id} | _row(answer)
        columns = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self._insert(f"INSERT OR REPLACE INTO answers ({columns}) VALUES ({marks})", *row.values())  # noqa: S608  # names of this module

    def conversations(self) -> tuple[int, ...]:
        """The ids of all conversations, oldest first."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT id FROM conversations ORDER BY id").fetchall()
        return tuple(row["id"] for row in rows)

    def turns(self, conversation_id: int) -> tuple[Turn, ...]:
        """The turns of a conversation with their answers, oldest first."""
        with self._database.transaction() as connection:
            turns = connection.execute(
                "SELECT * FROM turns WHERE conversation_id = ? ORDER BY id", (conversation_id,)
            ).fetchall()
            attached = connection.execute(
                "SELECT attachments.* FROM attachments JOIN turns ON turns.id = turn_id"
                " WHERE conversation_id = ? ORDER BY turn_id, position",
                (conversation_id,),
            ).fetchall()
            answers = connection.execute(
                "SELECT answers.* FROM answers JOIN turns ON turns.id = turn_id"
                " WHERE conversation_id = ? ORDER BY turn_id, side",
                (conversation_id,),
            ).fetchall()
        said, files = _by_turn(answers), _by_turn(attached)
        return tuple(_turn(row, said[row["id"]], files[row["id"]]) for row in turns)

    def close(self) -> None:
        """Close the database. Idempotent; a later call opens it again."""
        self._database.close()

    def _insert(self, statement: str, *values: object) -> int:
        with self._database.transaction() as connection:
            cursor = connection.execute(statement, values)
            return int(cursor.lastrowid or 0)


def _by_turn(rows: Sequence[sqlite3.Row]) -> defaultdict[int, list[sqlite3.Row]]:
    found: defaultdict[int, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        found[row["turn_id"]].append(row)
    return found


def _turn(row: sqlite3.Row, answers: Sequence[sqlite3.Row], files: Sequence[sqlite3.Row]) -> Turn:
    return Turn(
        prompt=row["prompt"],
        created_at=row["created_at"],
        answers={answer["side"]: _answer(answer) for answer in answers},
        id=row["id"],
        attachments=tuple(Attachment(one["name"], one["media_type"], one["data"]) for one in files),
        tag=row["tag"],
    )


def _row(answer: Answer) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(answer, name) for name in _WORDS}
    row |= {name: getattr(answer.measurement, name) for name in _TIMES}
    for name in _FIGURES:
        figure: Figure | None = getattr(answer.measurement, name)
        row[name] = figure.value if figure else None
        row[f"{name}_origin"] = figure.origin if figure else None
    row["settings"] = msgspec.json.encode(answer.settings).decode() if answer.settings else None
    row["left_out"] = " ".join(answer.left_out)
    return row


def _answer(row: sqlite3.Row) -> Answer:
    measured: dict[str, Any] = {name: row[name] for name in _TIMES}
    for name in _FIGURES:
        if row[name] is not None:
            measured[name] = Figure(row[name], row[f"{name}_origin"])
    return Answer(
        **{name: row[name] for name in _WORDS},
        measurement=Measurement(**measured),
        settings=_settings(row["settings"]),
        left_out=tuple(row["left_out"].split()),
    )


def _settings(text: str | None) -> Settings | None:
    """None where they are not kept, or in a way that this version does not read."""
    if text is None:
        return None
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(text, type=Settings)
    return None
