"""What the store tells of conversations: a summary of each, and where words were found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """A kept conversation, without its turns.

    ``title`` is the one that was given, else the first line of its first prompt; cleaned, on one line,
    never "". ``given``: it was given. Times are Unix times; ``changed_at`` is that of its newest prompt.
    ``names`` are the instances and endpoints that answered, ``models`` their models, each once, those
    that answered first coming first.
    """

    id: int
    title: str
    given: bool
    created_at: float
    changed_at: float
    turns: int
    names: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A place where the words of a search were found.

    ``turn_id`` is None where it is the conversation's given title. ``created_at``: the turn's, or the
    conversation's; Unix time. ``snippet`` is cleaned and on one line; "…" stands where more text is.
    ``marks`` are the places in it that matched, as (start, end) of characters, in order, never
    overlapping.
    """

    conversation_id: int
    title: str
    turn_id: int | None
    created_at: float
    snippet: str
    marks: tuple[tuple[int, int], ...]
