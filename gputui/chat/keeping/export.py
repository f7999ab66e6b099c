"""Kept conversations as documents: Markdown to read, JSON and JSON lines to compute with."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gputui.chat.keeping.found import Summary
from gputui.chat.keeping.markdown import markdown
from gputui.chat.keeping.store import Store
from gputui.chat.model import Attachment, Turn, answer_json
from gputui.errors import GputuiError

VERSION = 1
"""Of the JSON documents: another one where a key goes or means something else."""

_TURNS_AT_ONCE = 200


@dataclass(frozen=True)
class Kept:
    """A conversation, or some turns of it, as it is exported; they are read while they are written, once.

    ``first`` is the place of the first of them in the conversation, from 1. ``note`` says to people what is
    missing; "" for nothing.
    """

    summary: Summary
    turns: Iterable[Turn]
    first: int = 1
    note: str = ""


def read(store: Store, conversation_ids: Sequence[int]) -> Iterator[Kept]:
    """These conversations, whole. Raises GputuiError, also where there is none of an id."""
    for one in conversation_ids:
        yield Kept(store.summary(one), _turns(store, one, store.turn_ids(one)))


def read_turn(store: Store, conversation_id: int, number: int) -> Kept:
    """One turn of a conversation, the ``number``th from 1. Raises GputuiError, also where it has none."""
    summary, ids = store.summary(conversation_id), store.turn_ids(conversation_id)
    if not 1 <= number <= len(ids):
        raise GputuiError(f"conversation {conversation_id} has no turn {number}: it has {len(ids)}")
    return Kept(summary, _turns(store, conversation_id, ids[number - 1 : number]), number)


def markdown_document(kept: Iterable[Kept]) -> Iterator[str]:
    """One after the other, each under a heading of the first level."""
    for place, one in enumerate(kept):
        if place:
            yield "\n"
        yield from markdown(one.summary, one.turns, one.first, one.note)


def json_document(kept: Iterable[Kept]) -> Iterator[str]:
    """``{"version", "conversations": [{…, "turns": [{…, "answers": [answer_json]}]}]}``.

    Times are Unix times in seconds. Attachments are told by name, media type, size and SHA-256.
    """
    yield f'{{"version": {VERSION}, "conversations": ['
    for place, one in enumerate(kept):
        shape = conversation_json(one.summary) | {
            "turns": [
                turn_json(turn, number) | {"answers": _answers(turn)}
                for number, turn in enumerate(one.turns, one.first)
            ]
        }
        yield ("," if place else "") + "\n" + _dumps(shape, indent=1)
    yield "\n]}\n"


def json_lines(kept: Iterable[Kept]) -> Iterator[str]:
    """A line for each answer, with its prompt, its settings and its numbers.

    What was said before it to the same side are the lines above of the same conversation and side, without
    the first ``dropped`` of them, and without those that have an ``error`` or no ``text``. ``dropped`` null:
    how many were left out is not known.
    """
    for one in kept:
        about = conversation_json(one.summary)
        for number, turn in enumerate(one.turns, one.first):
            asked = turn_json(turn, number)
            head = {
                "version": VERSION,
                "conversation_id": about["id"],
                "conversation_title": about["title"],
                "turn_id": asked.pop("id"),
            }
            yield from (_dumps(head | asked | answer) + "\n" for answer in _answers(turn))


FORMATS: Mapping[str, Callable[[Iterable[Kept]], Iterator[str]]] = {
    "md": markdown_document,
    "json": json_document,
    "jsonl": json_lines,
}
"""What makes the document of each format, piece by piece; by the ending of its file."""


def conversation_json(summary: Summary) -> dict[str, object]:
    """A conversation without its turns."""
    return {
        "id": summary.id,
        "title": summary.title,
        "title_given": summary.given,
        "created_at": summary.created_at,
        "changed_at": summary.changed_at,
        "turn_count": summary.turns,
        "names": list(summary.names),
        "models": list(summary.models),
    }


def turn_json(turn: Turn, number: int) -> dict[str, object]:
    """A turn without its answers; ``number`` is its place in the conversation, from 1."""
    return {
        "id": turn.id,
        "turn": number,
        "created_at": turn.created_at,
        "tag": turn.tag,
        "prompt": turn.prompt,
        "attachments": [_attachment_json(one) for one in turn.attachments],
    }


def _answers(turn: Turn) -> list[dict[str, object]]:
    return [answer_json(answer) for _, answer in sorted(turn.answers.items())]


def _attachment_json(one: Attachment) -> dict[str, object]:
    there = bool(one.data)
    return {
        "name": one.name,
        "media_type": one.media_type,
        "size_bytes": len(one.data) if there else None,
        "sha256": hashlib.sha256(one.data).hexdigest() if there else None,
    }


def _turns(store: Store, conversation_id: int, ids: Sequence[int]) -> Iterator[Turn]:
    """Read in pieces, and pictures by the turn: those of a whole conversation may be more than memory has."""
    for start in range(0, len(ids), _TURNS_AT_ONCE):
        piece = ids[start : start + _TURNS_AT_ONCE]
        for turn in store.turns(conversation_id, since=piece[0], before=piece[-1] + 1):
            seen = turn.id is not None and any(one.is_image for one in turn.attachments)
            yield replace(turn, attachments=store.attachments(turn.id or 0)) if seen else turn


def _dumps(value: object, indent: int | None = None) -> str:
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    """``value`` with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
