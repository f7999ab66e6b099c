"""Turns and answers as rows of the database, and back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from gputui.chat.model import FIGURES, Answer, Attachment, Figure, Measurement, Settings, Turn

_WORDS = ("side", "name", "model", "text", "reasoning", "finish_reason", "error", "hint")
_TIMES = ("ttft_seconds", "ttfo_seconds", "elapsed_seconds")


def by_turn(rows: Sequence[sqlite3.Row]) -> defaultdict[int, list[sqlite3.Row]]:
    """Rows that have a ``turn_id``, by that, in their order."""
    found: defaultdict[int, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        found[row["turn_id"]].append(row)
    return found


def turn_of(row: sqlite3.Row, answers: Sequence[sqlite3.Row], files: Sequence[sqlite3.Row]) -> Turn:
    """A turn of its row, those of its answers and those of its attachments."""
    return Turn(
        prompt=row["prompt"],
        created_at=row["created_at"],
        answers={answer["side"]: _answer(answer) for answer in answers},
        id=row["id"],
        attachments=tuple(attachment_of(one) for one in files),
        tag=row["tag"],
    )


def attachment_of(row: sqlite3.Row) -> Attachment:
    """An attachment of its row."""
    return Attachment(row["name"], row["media_type"], row["data"])


def answer_row(answer: Answer) -> dict[str, object]:
    """The columns of an answer, all but the turn's id."""
    row: dict[str, object] = {name: getattr(answer, name) for name in _WORDS}
    row |= {name: getattr(answer.measurement, name) for name in _TIMES}
    for name in FIGURES:
        figure: Figure | None = getattr(answer.measurement, name)
        row[name] = figure.value if figure else None
        row[f"{name}_origin"] = figure.origin if figure else None
    row["settings"] = msgspec.json.encode(answer.settings).decode() if answer.settings else None
    row["left_out"] = " ".join(answer.left_out)
    return row


def _answer(row: sqlite3.Row) -> Answer:
    measured: dict[str, Any] = {name: row[name] for name in _TIMES}
    for name in FIGURES:
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
