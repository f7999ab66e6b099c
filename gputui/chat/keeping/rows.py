"""Turns and answers as rows of the database, and back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec

from gputui.chat.model import (
    FIGURES,
    Answer,
    Attachment,
    Figure,
    Measurement,
    Origin,
    Settings,
    Turn,
)

_WORDS = ("side", "name", "model", "text", "reasoning", "hint")
_OUTCOME = ("finish_reason", "error")
_ORIGINS: Mapping[str, Origin] = {"server": "server", "client": "client"}
_TIMES = ("ttft_seconds", "ttfo_seconds", "elapsed_seconds")


def by_turn(rows: Sequence[sqlite3.Row]) -> defaultdict[int, list[sqlite3.Row]]:
    """Rows that have a ``turn_id``, by that, in their order."""
    found: defaultdict[int, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        found[row["turn_id"]].append(row)
    return found


def turn_of(row: sqlite3.Row, answers: Sequence[sqlite3.Row], files: Sequence[sqlite3.Row]) -> Turn:
    """A turn of its row, those of its answers and those of its attachments. Raises TypeError."""
    return Turn(
        **typed(row, ("prompt", "tag"), str),
        **typed(row, ("created_at",), float),
        answers={answer["side"]: _answer(answer) for answer in answers},
        id=row["id"],
        attachments=tuple(attachment_of(one) for one in files),
    )


def attachment_of(row: sqlite3.Row) -> Attachment:
    """An attachment of its row. Raises TypeError."""
    return Attachment(**typed(row, ("name", "media_type"), str), **typed(row, ("data",), bytes))


def typed(row: sqlite3.Row, names: Sequence[str], *kinds: type) -> dict[str, Any]:
    """Those columns of a row, by name. Raises TypeError where one is of another kind: SQLite keeps
    anything in any column, and a damaged file has that."""
    values = {name: row[name] for name in names}
    if not all(isinstance(value, kinds) for value in values.values()):
        raise TypeError(f"a column of {names} is none of {kinds}")
    return values


def answer_row(answer: Answer) -> dict[str, object]:
    """The columns of an answer, all but the turn's id."""
    row: dict[str, object] = {name: getattr(answer, name) for name in (*_WORDS, *_OUTCOME)}
    row |= {name: getattr(answer.measurement, name) for name in _TIMES}
    for name in FIGURES:
        figure: Figure | None = getattr(answer.measurement, name)
        row[name] = figure.value if figure else None
        row[f"{name}_origin"] = figure.origin if figure else None
    row["settings"] = msgspec.json.encode(answer.settings).decode() if answer.settings else None
    row["left_out"] = " ".join(answer.left_out)
    row["dropped"] = answer.dropped
    return row


def _answer(row: sqlite3.Row) -> Answer:
    measured = typed(row, _TIMES, float, NoneType)
    values = typed(row, FIGURES, float, NoneType)
    measured |= {
        name: Figure(value, _ORIGINS[row[f"{name}_origin"]])
        for name, value in values.items()
        if value is not None
    }
    return Answer(
        **typed(row, _WORDS, str),
        **typed(row, _OUTCOME, str, NoneType),
        measurement=Measurement(**measured),
        settings=_settings(row["settings"]),
        left_out=tuple(row["left_out"].split()),
        **typed(row, ("dropped",), int, NoneType),
    )


def _settings(text: str | None) -> Settings | None:
    """None where they are not kept, or in a way that this version does not read."""
    if text is None:
        return None
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(text, type=Settings)
    return None
