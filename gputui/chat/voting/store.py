"""Votes as they were cast, in the user's database: rows are added, and only told their turn later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.database import Database

if TYPE_CHECKING:
    import sqlite3

    from gputui.chat.voting.vote import Vote


_INSERT = """
INSERT INTO votes (
    at, asked_at, turn_id, name_a, model_a, name_b, model_b, choice, blind, named, tag, answers
) VALUES (?, ?, (SELECT id FROM turns WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""The turn of a vote may be gone by now; the vote stays."""
_SELECT = """
SELECT at, asked_at, turn_id, name_a, model_a, name_b, model_b, choice, blind, named, tag, answers
FROM votes ORDER BY id
"""
_SET_TURN = """
UPDATE votes SET turn_id = (SELECT id FROM turns WHERE id = ?) WHERE asked_at = ? AND turn_id IS NULL
"""


class VoteStore:
    """The votes of a database. Opened at first use; every call may block, from any thread, and raises
    GputuiError where the database is locked, read-only, full or damaged."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, "the vote is not kept")

    def add(self, votes: Sequence[Vote]) -> None:
        """Keep them all, or none."""
        with self._database.transaction() as connection:
            connection.executemany(_INSERT, [_row(vote) for vote in votes])

    def set_turns(self, turns: Mapping[float, int]) -> None:
        """Votes that were kept before their turn was: its id, by the ``asked_at`` of its prompt."""
        with self._database.transaction() as connection:
            connection.executemany(
                _SET_TURN, [(turn, asked_at) for asked_at, turn in turns.items()]
            )

    def votes(self) -> Sequence[Vote]:
        """All of them, in the order in which they were kept."""
        with self._database.transaction("votes cannot be read") as connection:
            rows = connection.execute(_SELECT).fetchall()
        return list(_votes(rows))

    def close(self) -> None:
        """Close the database. Idempotent; a later call opens it again."""
        self._database.close()


def _row(vote: Vote) -> tuple[object, ...]:
    return (
        vote.at,
        vote.asked_at,
        vote.turn_id,
        vote.a.name,
        vote.a.model,
        vote.b.name,
        vote.b.model,
        str(vote.choice),
        int(vote.blind),
        vote.named,
        vote.tag,
        vote.answers,
    )


def _votes(rows: Sequence[sqlite3.Row]) -> Iterator[Vote]:
    """A row whose choice this version does not know is of a newer one, and left out."""
    from gputui.chat.voting.vote import Choice, Contestant, Vote

    for row in rows:
        with contextlib.suppress(ValueError):
            yield Vote(
                at=row["at"],
                asked_at=row["asked_at"],
                a=Contestant(row["name_a"], row["model_a"]),
                b=Contestant(row["name_b"], row["model_b"]),
                choice=Choice(row["choice"]),
                blind=bool(row["blind"]),
                named=row["named"],
                tag=row["tag"],
                turn_id=row["turn_id"],
                answers=row["answers"],
            )
