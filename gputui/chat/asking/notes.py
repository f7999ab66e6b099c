"""What is to be said beside a finished turn: that it is not sent any more, that it was asked otherwise."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gputui.chat.asking.settings import asked_otherwise
from gputui.chat.model import Answer, Turn


@dataclass(frozen=True, slots=True)
class TurnNote:
    """``otherwise``: in what this side was asked otherwise than the others, () for nothing, or where only
    one was asked. ``sent``: whether the turn goes along with the next prompt, as far as the user left it in.
    ``voted``: the vote on it, in words, "" for none that is known.
    ``by``: who answered, where somebody else sits there now; "" otherwise.
    """

    otherwise: tuple[str, ...] = ()
    sent: bool = True
    voted: str = ""
    by: str = ""

    @property
    def words(self) -> str:
        """``asked with temperature 0.2, without top_k``; "" for nothing."""
        if not self.otherwise:
            return ""
        with_ = "" if self.otherwise[0].startswith("without") else "with "
        return f"asked {with_}{', '.join(self.otherwise)}"


def note_of(
    side: str, turn: Turn, own: Sequence[Turn], dropped: int, others: Mapping[str, Sequence[Turn]]
) -> TurnNote:
    """The note beside a side's ``turn``. ``own`` are all of its turns, of which the ``dropped`` oldest are
    left out; ``others`` are those of the other sides. Each is in the order of time."""
    place = _place(own, turn)
    answers = [
        found.answers[name]
        for name, turns in others.items()
        if (found := _same(turns, turn)) is not None and name in found.answers
    ]
    mine: Answer = turn.answers[side]
    return TurnNote(asked_otherwise(mine, answers), place >= dropped)


def _place(turns: Sequence[Turn], turn: Turn) -> int:
    return bisect_left(turns, turn.created_at, key=lambda one: one.created_at)


def _same(turns: Sequence[Turn], turn: Turn) -> Turn | None:
    """The turn of another side that answers the same prompt."""
    place = _place(turns, turn)
    if place < len(turns):
        found = turns[place]
        if (found.created_at, found.prompt) == (turn.created_at, turn.prompt):
            return found
    return None
