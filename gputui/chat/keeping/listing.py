"""Conversations as a list, their turns in pages, and the prompts of all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gputui.chat.keeping.found import Summary
from gputui.chat.keeping.rows import typed
from gputui.text import clean, clean_line

_TITLE_LIMIT = 120
_TITLE_CHARACTERS = 2000  # of a prompt, read for its first line
_NO_LIMIT = -1
_FIRST_ID, _LAST_ID = 0, 2**63 - 1

# A conversation's turns are counted in the index of its turns alone: no turn is read for it.
_PAGE = f"""
WITH counted AS (
    SELECT conversation_id, min(id) AS first, max(id) AS last, count(*) AS turns
    FROM turns {{where}} GROUP BY conversation_id ORDER BY last DESC LIMIT ? OFFSET ?
)
SELECT conversations.id, conversations.title, conversations.created_at, counted.turns,
    substr(opening.prompt, 1, {_TITLE_CHARACTERS}) AS prompt, newest.created_at AS changed_at
FROM counted
JOIN conversations ON conversations.id = counted.conversation_id
JOIN turns AS opening ON opening.id = counted.first
JOIN turns AS newest ON newest.id = counted.last
ORDER BY counted.last DESC
"""  # noqa: S608  # a number of this module

_WHO = """
SELECT turns.conversation_id, answers.name, answers.model
FROM turns JOIN answers ON answers.turn_id = turns.id
WHERE turns.conversation_id IN ({marks})
GROUP BY turns.conversation_id, answers.name, answers.model
ORDER BY min(1000 * answers.turn_id + unicode(answers.side))
"""

_TURNS = "SELECT {what} FROM turns WHERE conversation_id = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?"


@dataclass(frozen=True)
class Rows:
    """The rows of turns, oldest first, and of what belongs to them."""

    turns: Sequence[sqlite3.Row]
    answers: Sequence[sqlite3.Row]
    attachments: Sequence[sqlite3.Row]


def page(connection: sqlite3.Connection, limit: int, offset: int) -> tuple[Summary, ...]:
    """See ``Store.summaries``."""
    rows = connection.execute(_PAGE.format(where=""), (limit, offset)).fetchall()
    return _summaries(connection, rows)


def one(connection: sqlite3.Connection, conversation_id: int) -> Summary | None:
    """See ``Store.summary``; None where there is none."""
    statement = _PAGE.format(where="WHERE conversation_id = ?")
    rows = connection.execute(statement, (conversation_id, 1, 0)).fetchall()
    return next(iter(_summaries(connection, rows)), None)


def title_of(given: str, prompt: str) -> str:
    """A conversation's title: the given one, else the first line of its first prompt that is not blank."""
    for line in (given, *clean(prompt[:_TITLE_CHARACTERS]).splitlines()):
        if title := clean_line(line, _TITLE_LIMIT if line is not given else len(given) or 1):
            return title
    return "(no words)"


def turns(
    connection: sqlite3.Connection,
    conversation_id: int,
    newest: int | None,
    before: int | None,
    since: int | None,
) -> Rows:
    """The rows that ``Store.turns`` is made of; those of pictures without their data."""
    chosen = (
        conversation_id,
        _FIRST_ID if since is None else since,
        _LAST_ID if before is None else before,
        _NO_LIMIT if newest is None else max(0, newest),
    )
    ids = _TURNS.format(what="id")
    bytes_ = "CASE WHEN media_type LIKE 'image/%' THEN x'' ELSE data END AS data"
    return Rows(
        connection.execute(_TURNS.format(what="*"), chosen).fetchall()[::-1],
        connection.execute(
            f"SELECT * FROM answers WHERE turn_id IN ({ids}) ORDER BY turn_id, side",  # noqa: S608
            chosen,
        ).fetchall(),
        connection.execute(
            f"SELECT turn_id, name, media_type, {bytes_} FROM attachments"  # noqa: S608
            f" WHERE turn_id IN ({ids}) ORDER BY turn_id, position",
            chosen,
        ).fetchall(),
    )


def titles(connection: sqlite3.Connection, ids: Collection[int]) -> dict[int, str]:
    """The titles of these conversations, by id."""
    marks = ", ".join("?" * len(ids))
    opening = (
        f"SELECT substr(prompt, 1, {_TITLE_CHARACTERS}) FROM turns"  # noqa: S608
        " WHERE conversation_id = conversations.id ORDER BY id LIMIT 1"
    )
    rows = connection.execute(
        f"SELECT id, title, ({opening}) AS prompt FROM conversations WHERE id IN ({marks})",  # noqa: S608
        tuple(ids),
    )
    return {row["id"]: title_of(row["title"], row["prompt"] or "") for row in rows}


def prompts(connection: sqlite3.Connection, limit: int) -> tuple[str, ...]:
    """See ``Store.prompts``."""
    found: dict[str, None] = {}
    for row in connection.execute("SELECT prompt FROM turns ORDER BY id DESC"):
        if len(found) >= limit:
            break
        found |= dict.fromkeys(typed(row, ("prompt",), str).values())
    return tuple(found)


def _summaries(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> tuple[Summary, ...]:
    marks = ", ".join("?" * len(rows))
    ids = [row["id"] for row in rows]
    who: dict[int, tuple[dict[str, None], dict[str, None]]] = {id_: ({}, {}) for id_ in ids}
    for row in connection.execute(_WHO.format(marks=marks), ids):
        names, models = who[row["conversation_id"]]
        one = typed(row, ("name", "model"), str)
        names[one["name"]] = None
        if one["model"]:
            models[one["model"]] = None
    return tuple(
        Summary(
            id=row["id"],
            title=title_of(row["title"], row["prompt"]),
            given=bool(row["title"]),
            **typed(row, ("created_at", "changed_at"), float),
            turns=row["turns"],
            names=tuple(who[row["id"]][0]),
            models=tuple(who[row["id"]][1]),
        )
        for row in rows
    )
