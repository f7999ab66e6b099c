"""How much of a server's context a conversation uses, and what to leave out of it where it is too long.

Counts are the server's: of its newest answer. What a single turn holds no server says, so it is estimated:
from how the prompt grew from one turn to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from gputui.chat.model import Answer, Endpoint, Figure, Turn

WARN_SHARE = 0.8
"""From here on the context counts as nearly full."""
_CHARACTERS_PER_TOKEN = 4.0
_MOST_PER_CHARACTER = 3.0
"""A prompt cannot have grown by more tokens than that for each character: something else was changed."""


@dataclass(frozen=True, slots=True)
class ContextUse:
    """``used`` of ``size`` tokens; ``estimated``: what is sent has changed since the server counted, or the
    model that counts it."""

    used: int
    size: int
    estimated: bool = False

    @property
    def share(self) -> float:
        """0 to 1, and more where it is too long."""
        return self.used / self.size


def is_sent(turn: Turn, side: str) -> bool:
    """Whether a turn goes along with the next prompt: one that failed or said nothing does not."""
    answer = turn.answers[side]
    return answer.error is None and bool(answer.text)


def turn_tokens(turns: Sequence[Turn], side: str) -> list[int]:
    """An estimate of the tokens that each turn adds to a prompt; 0 for one that is not sent."""
    costs: list[int] = []
    before: Answer | None = None
    for turn in turns:
        answer = turn.answers[side]
        asked = len(turn.prompt) + sum(
            len(one.data) for one in turn.attachments if not one.is_image
        )
        prompt = _grown(before, answer, asked)
        costs.append(prompt + _answer_tokens(answer) if is_sent(turn, side) else 0)
        before = answer if is_sent(turn, side) else before
    return costs


def use(
    turns: Sequence[Turn], side: str, live: Answer | None, endpoint: Endpoint | None, dropped: int
) -> ContextUse | None:
    """How much of the context of ``endpoint`` is used; None where its size or the count is not known.

    While an answer is written its reasoning is in the context, too; it does not go along with the next
    prompt. That one goes without the ``dropped`` oldest turns.
    """
    if endpoint is None or not endpoint.context:
        return None
    newest_first = chain([live] if live else [], (turn.answers[side] for turn in reversed(turns)))
    for answer in newest_first:  # drawn again and again: never all that was said
        prompt = _server(answer.measurement.prompt_tokens)
        if prompt is None:
            continue
        count = prompt + (_written(answer) if answer is live else _answer_tokens(answer))
        before = answer.dropped or 0
        estimated = before != dropped or not _counted_by(endpoint, answer)
        if before != dropped:
            costs = turn_tokens(turns, side)
            count -= sum(costs[before:dropped]) - sum(costs[dropped:before])
        return ContextUse(max(0, count), endpoint.context, estimated=estimated)
    return None


def reserve(size: int, max_tokens: int | None) -> int:
    """The tokens that are to be left for an answer."""
    return min(max_tokens or 512, size // 8)


def drop_words(
    turns: Sequence[Turn], side: str, dropped: int, too_many: int, command: str = "/drop"
) -> str:
    """What to leave out so that there is room for ``too_many`` tokens more; "" where nothing helps.

    ``/drop 3 leaves out the 3 oldest turns (about 1400 tokens).`` ``dropped`` are left out already.
    """
    costs = turn_tokens(turns, side)
    saved = list(accumulate(costs[dropped:]))
    for more, tokens in enumerate(saved, start=1):
        if tokens >= too_many:
            count = dropped + more
            which = "the oldest turn" if count == 1 else f"the {count} oldest turns"
            return (
                f"{command} {count} leaves out {which} (about {_round(sum(costs[:count]))} tokens)."
            )
    return ""


def full_words(
    turns: Sequence[Turn], side: str, dropped: int, use: ContextUse, max_tokens: int | None
) -> str:
    """What to tell before the next prompt: that there is hardly room for it; "" where there is."""
    room = reserve(use.size, max_tokens)
    if use.size - use.used >= room:
        return ""
    remedy = drop_words(turns, side, dropped, use.used - use.size + room)
    words = f"{side}: about {use.used} of {use.size} tokens of context are used"
    return f"{words}: {remedy or 'begin a new conversation, /new'}".removesuffix(".")


def _counted_by(endpoint: Endpoint, answer: Answer) -> bool:
    """Whether the tokens of an answer are those of the model that is asked now."""
    served = endpoint.served_model
    return answer.name == endpoint.name and (served is None or served == answer.model)


def _written(answer: Answer) -> int:
    return _server(answer.measurement.completion_tokens) or 0


def _grown(before: Answer | None, answer: Answer, characters: int) -> int:
    """The tokens of a turn's prompt: by how much the server's count grew since the turn before."""
    guess = round(characters / _CHARACTERS_PER_TOKEN)
    now = _server(answer.measurement.prompt_tokens)
    if now is None:
        return guess
    if before is None:
        system = answer.settings.system if answer.settings else None
        return max(1, now - round(len(system or "") / _CHARACTERS_PER_TOKEN))
    then = _server(before.measurement.prompt_tokens)
    if then is None:
        return guess
    grown = now - then - _answer_tokens(before)
    return grown if 0 < grown <= 64 + characters * _MOST_PER_CHARACTER else guess


def _answer_tokens(answer: Answer) -> int:
    """What an answer adds to later prompts: without its reasoning, which is not sent again."""
    numbers = answer.measurement
    tokens = _server(numbers.completion_tokens)
    if tokens is None:
        return round(len(answer.text) / _CHARACTERS_PER_TOKEN)
    if numbers.reasoning_tokens is not None:
        return max(0, tokens - round(numbers.reasoning_tokens.value))
    whole = len(answer.text) + len(answer.reasoning)
    return round(tokens * len(answer.text) / whole) if whole else tokens


def _server(figure: Figure | None) -> int | None:
    return round(figure.value) if figure is not None and figure.origin == "server" else None


def _round(tokens: int) -> int:
    """To two digits: it is an estimate."""
    step = int(10 ** max(0, len(str(tokens)) - 2))
    return max(step, round(tokens / step) * step)
