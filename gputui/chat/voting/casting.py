"""A vote on what a conversation shows: whether one can be cast, and what is known of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gputui.chat.answering.live import Exchange
from gputui.chat.conversation import PAIR, Conversation
from gputui.chat.model import Answer
from gputui.chat.side import Side
from gputui.chat.voting.naming import names_itself
from gputui.chat.voting.vote import Choice, Contestant, Vote, answers_key
from gputui.errors import GputuiError


@dataclass(frozen=True, slots=True)
class Ballot:
    """Two finished answers to one prompt. ``blind``: nothing has told yet whose they are. ``told``: what
    has, in words, where that was not the vote itself; "" otherwise."""

    exchange: Exchange
    a: Answer
    b: Answer
    blind: bool
    told: str

    def named(self) -> str:
        """Which of the answers say who made them, as a vote has it. Long ones take a moment."""
        return "".join(side for side, one in (("a", self.a), ("b", self.b)) if _names(one))

    def of_same(self, other: Ballot) -> bool:
        """Whether it is on the same two answers."""
        return self.a is other.a and self.b is other.b

    def vote(self, choice: Choice, named: str, clock: Callable[[], float] = time.time) -> Vote:
        """That choice, now. ``named`` is what ``named()`` gives."""
        return Vote(
            at=clock(),
            asked_at=self.exchange.created_at,
            a=_contestant(self.a),
            b=_contestant(self.b),
            choice=choice,
            blind=self.blind,
            named=named,
            tag=self.exchange.tag,
            turn_id=self.exchange.turn_id,
            answers=answers_key(self.a.text, self.b.text),
        )


def ballot_of(conversation: Conversation) -> Ballot:
    """The ballot on the newest prompt. Raises GputuiError where there is none to vote on."""
    sides = [conversation.sides[name] for name in PAIR if name in conversation.sides]
    if conversation.busy:
        raise GputuiError("The answers are not finished", "Vote once both are.")
    exchanges = [side.exchange for side in sides]
    if len(sides) != 2 or exchanges[0] is None or exchanges[1] is None:
        raise GputuiError(
            "There are no two answers to vote on", "Send a prompt to both sides first."
        )
    if exchanges[0].created_at != exchanges[1].created_at:
        raise GputuiError(
            "The newest prompt went to one side alone", "Send one to both (ctrl+t) to vote on it."
        )
    a, b = (_answer(side) for side in sides)
    hidden, told = conversation.blind.hidden, conversation.blind.told
    return Ballot(exchanges[0], a, b, hidden and not told, told if hidden else "")


def can_vote(conversation: Conversation) -> bool:
    """Whether there are two finished answers to vote on."""
    try:
        ballot_of(conversation)
    except GputuiError:
        return False
    return True


def _answer(side: Side) -> Answer:
    turn = side.newest
    answer = turn.answers[side.name] if turn is not None else None
    if answer is None or answer.error is not None or not answer.text.strip():
        raise GputuiError(
            f"Side {side.name} gave no answer to vote on", "Retry it, or send another prompt."
        )
    return answer


def _contestant(answer: Answer) -> Contestant:
    return Contestant(answer.name, answer.model)


def _names(answer: Answer) -> bool:
    return names_itself(answer.text, {answer.name, answer.model})
