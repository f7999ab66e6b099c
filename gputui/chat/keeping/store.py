"""What was said, kept: conversations, turns and answers with their numbers, in SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from gputui.chat.model import Answer, Figure, Measurement, Turn
from gputui.database import Database

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
        self._database = Database(path, "this chat is not being kept")

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
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT id FROM conversations ORDER BY id").fetchall()
        return tuple(row["id"] for row in rows)

    def turns(self, conversation_id: int) -> tuple[Turn, ...]:
        """The turns of a conversation with their answers, oldest first."""
        with self._database.transaction() as connection:
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
        self._database.close()

    def _insert(self, statement: str, *values: object) -> int:
        with self._database.transaction() as connection:
            cursor = connection.execute(statement, values)
            return int(cursor.lastrowid or 0)


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
