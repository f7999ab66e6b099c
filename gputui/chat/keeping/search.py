"""Words in all that is kept: through the index, or by reading everything where there is none."""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from gputui.chat.keeping.found import Match
from gputui.chat.keeping.listing import titles
from gputui.chat.keeping.query import SEPARATOR, Query, folded, parse, separated
from gputui.text import clean

_BEGIN, _END = "\x02", "\x03"  # around what matches; cleaned text has neither
_TOKENS = 24  # of a snippet
_AROUND = 80  # characters on both sides of a match, where there is no index
_SNIPPET_CHARACTERS = 400

_INDEXED = (
    f"SELECT rowid AS id, snippet(words, -1, '{_BEGIN}', '{_END}', '…', {_TOKENS}) AS snippet"  # noqa: S608
    " FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"
)
_EVERYTHING = """
SELECT turns.id, conversation_id, created_at, prompt, answers.text, answers.reasoning
FROM turns LEFT JOIN answers ON answers.turn_id = turns.id
ORDER BY turns.id DESC, answers.side
"""
_WITH_SIGNS = """
SELECT turns.id, conversation_id, created_at, prompt, answers.text, answers.reasoning
FROM turns LEFT JOIN answers ON answers.turn_id = turns.id
WHERE turns.id IN (
    SELECT id FROM turns WHERE instr(prompt, :signs) OR EXISTS (
        SELECT 1 FROM answers
        WHERE turn_id = turns.id AND (instr(text, :signs) OR instr(reasoning, :signs))
    )
    ORDER BY id DESC LIMIT :limit
)
ORDER BY turns.id DESC, answers.side
"""


@dataclass(frozen=True)
class _Hit:
    """A turn, or with ``turn_id`` None a conversation's title; ``text`` has signs around what matches."""

    conversation_id: int
    turn_id: int | None
    created_at: float
    text: str


def search(
    connection: sqlite3.Connection, typed: str, limit: int, *, indexed: bool
) -> tuple[Match, ...]:
    """See ``Store.search``. ``indexed``: the index is usable and up to date."""
    query = parse(typed)
    if limit < 1 or not (query.terms or query.literal):
        return ()
    hits = _title_hits(connection, query)[:limit]
    if left := limit - len(hits):
        through_index = indexed and query.terms
        hits += (
            _index_hits(connection, query, left)
            if through_index
            else _scan_hits(connection, query, left)
        )
    names = titles(connection, {hit.conversation_id for hit in hits})
    return tuple(
        _match(hit, names[hit.conversation_id]) for hit in hits if hit.conversation_id in names
    )


def _match(hit: _Hit, title: str) -> Match:
    if not isinstance(hit.created_at, float):
        raise TypeError("a damaged row")
    return Match(hit.conversation_id, title, hit.turn_id, hit.created_at, *marked(hit.text))


def marked(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A snippet on one line, and the places in it that stood between the signs."""
    plain, marks, begin = "", [], 0
    for part in re.split(f"([{_BEGIN}{_END}])", " ".join(text.replace(SEPARATOR, "").split())):
        if part == _BEGIN:
            begin = len(plain)
        elif part == _END:
            marks.append((begin, len(plain)))
        else:
            plain += part
    if len(plain) <= _SNIPPET_CHARACTERS:
        return plain, tuple(marks)
    start = max(0, (marks[0][0] if marks else 0) - _AROUND)
    cut = plain[start : start + _SNIPPET_CHARACTERS]
    moved = ((a - start, min(b - start, len(cut))) for a, b in marks)
    return cut, tuple((a, b) for a, b in moved if a < b)


def _title_hits(connection: sqlite3.Connection, query: Query) -> list[_Hit]:
    """Given titles are few and short: they are read."""
    rows = connection.execute(
        "SELECT id, title, created_at FROM conversations WHERE title <> '' ORDER BY id DESC"
    )
    return [
        _Hit(row["id"], None, row["created_at"], _with_signs(row["title"], query, whole=True))
        for row in rows
        if all(pattern.search(folded(row["title"])) for pattern in query.patterns)
    ]


def _index_hits(connection: sqlite3.Connection, query: Query, limit: int) -> list[_Hit]:
    expression = " ".join(term.expression for term in query.terms)
    found = connection.execute(_INDEXED, (expression, limit)).fetchall()
    places = _places(connection, [row["id"] for row in found])
    return [
        _Hit(
            places[row["id"]]["conversation_id"],
            row["id"],
            places[row["id"]]["created_at"],
            row["snippet"],
        )
        for row in found
        if row["id"] in places  # another session may have deleted it
    ]


def _places(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, sqlite3.Row]:
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(
        f"SELECT id, conversation_id, created_at FROM turns WHERE id IN ({marks})",  # noqa: S608
        ids,
    )
    return {row["id"]: row for row in rows}


def _scan_hits(connection: sqlite3.Connection, query: Query, limit: int) -> list[_Hit]:
    """Through every text, the newest first. Signs have no case, and stand as they were typed."""
    every = connection.execute(_EVERYTHING)
    if query.literal:  # SQLite finds signs a hundred times as fast
        every = connection.execute(_WITH_SIGNS, {"signs": query.literal, "limit": limit})
    turns = itertools.groupby(every, key=lambda row: row["id"])
    hits = (hit for _, rows in turns if (hit := _hit_in(list(rows), query)) is not None)
    return list(itertools.islice(hits, limit))


def _hit_in(rows: Sequence[sqlite3.Row], query: Query) -> _Hit | None:
    """In a turn, a row for each of its answers."""
    texts = [rows[0]["prompt"], *(row[c] or "" for c in ("text", "reasoning") for row in rows)]
    plain = [folded(text) for text in texts]
    found = [[pattern.search(text) is not None for text in plain] for pattern in query.patterns]
    if not all(map(any, found)):
        return None
    counts = [sum(column) for column in zip(*found, strict=True)]
    shown = texts[counts.index(max(counts))]
    turn = rows[0]
    return _Hit(turn["conversation_id"], turn["id"], turn["created_at"], _with_signs(shown, query))


def _with_signs(text: str, query: Query, *, whole: bool = False) -> str:
    """``text`` with signs around what matches; not ``whole``: what is around the first of it."""
    text = separated(clean(text))
    plain, places = _folded_places(text)
    spans = sorted(
        (places[found.start()], places[found.end() - 1] + 1)
        for pattern in query.patterns
        for found in pattern.finditer(plain)
        if found.end() > found.start()
    )
    start = 0 if whole or not spans else max(0, spans[0][0] - _AROUND)
    end = len(text) if whole else min(len(text), (spans[0][1] if spans else 0) + _AROUND)
    parts, at = ["…" if start else ""], start
    for begin, stop in spans:
        if at <= begin and stop <= end:
            parts += [text[at:begin], _BEGIN, text[begin:stop], _END]
            at = stop
    return "".join([*parts, text[at:end], "…" if end < len(text) else ""])


def _folded_places(text: str) -> tuple[str, Sequence[int]]:
    """``text`` folded, and of each of its characters the place in ``text``."""
    if text.isascii():
        return text.lower(), range(len(text))
    parts = [folded(one) for one in text]
    return "".join(parts), [place for place, part in enumerate(parts) for _ in part]
