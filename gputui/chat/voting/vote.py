"""A vote: which of two answers was better, as it is kept and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Choice(StrEnum):
    """What can be voted; the value is what is kept."""

    A = "a"
    B = "b"
    TIE = "tie"
    BOTH_BAD = "both_bad"


WORDS = {
    Choice.A: "A is better",
    Choice.B: "B is better",
    Choice.TIE: "a tie",
    Choice.BOTH_BAD: "both are bad",
}


@dataclass(frozen=True, slots=True, order=True)
class Contestant:
    """Who is voted on: an instance or endpoint, and the model that it served.

    Both, since a name keeps its votes only as long as the same model answers under it, and one model is
    another contestant with another quantization, context or set of flags, which is what instances of the
    same model differ in.
    """

    name: str
    model: str


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote on the two answers to a prompt.

    ``at``, ``asked_at``: Unix times of the vote and of its prompt. ``turn_id`` is the store's, None where
    the turn is not kept. ``named``: which of the answers said who made them, "", "a", "b" or "ab".
    ``answers`` tells the two answers from those of a retry, see ``answers_key``; "" where it is not known.
    """

    at: float
    asked_at: float
    a: Contestant
    b: Contestant
    choice: Choice
    blind: bool
    named: str = ""
    tag: str = ""
    turn_id: int | None = None
    answers: str = ""

    @property
    def turn(self) -> tuple[float, Contestant, Contestant, str]:
        """What two votes on the same two answers have in common."""
        return self.asked_at, self.a, self.b, self.answers


def answers_key(a: str, b: str) -> str:
    """The same for the same two answers, another after a retry of one: 16 hexadecimal digits."""
    texts = (hashlib.sha256(text.encode(errors="replace")).digest() for text in (a, b))
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def standing_votes(votes: Iterable[Vote]) -> Sequence[Vote]:
    """Of several votes on the same two answers the last that was cast, in the order of ``votes``."""
    newest: dict[tuple[float, Contestant, Contestant, str], Vote] = {}
    for vote in votes:
        newest.pop(vote.turn, None)
        newest[vote.turn] = vote
    return list(newest.values())


def vote_json(vote: Vote) -> dict[str, object]:
    """One line of ``gputui votes --raw``."""
    return {
        "at": vote.at,
        "asked_at": vote.asked_at,
        "turn_id": vote.turn_id,
        "name_a": vote.a.name,
        "model_a": vote.a.model,
        "name_b": vote.b.name,
        "model_b": vote.b.model,
        "choice": str(vote.choice),
        "blind": vote.blind,
        "named": vote.named,
        "tag": vote.tag,
        "answers": vote.answers,
    }
