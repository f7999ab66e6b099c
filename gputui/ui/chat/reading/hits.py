"""Words in a conversation: where they stand, in the order in which they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gputui.chat.model import Answer
from gputui.instances.log.lines import Search
from gputui.ui.chat.answer import SHOWN_CHARACTERS

_FENCE = re.compile(r"^[ \t>]*(?:```|~~~).*$", re.MULTILINE)
"""The line above code names its language, and is not shown."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of a side, and the prompt that it answers."""

    side: str
    asked_at: float
    prompt: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Hit:
    """Words that were found: in which turn, and the how many-th there. ``folded`` is how many of those
    before it are not to be seen while the reasoning is folded; ``in_reasoning``: whether it is one itself."""

    side: str
    asked_at: float
    number: int
    folded: int = 0
    in_reasoning: bool = False


def hits_of(search: Search, said: Iterable[Said]) -> list[Hit]:
    """All of them, by turn, then by side, then from the top down."""
    found = [hit for one in said for hit in _hits(search, one)]
    return sorted(found, key=lambda hit: (hit.asked_at, hit.side, hit.number))


def _hits(search: Search, said: Said) -> Iterator[Hit]:
    prompt, thought = (_count(search, part) for part in (said.prompt, said.answer.reasoning))
    text = _count(search, said.answer.text, markdown=True)
    for number in range(prompt + thought + text):
        before = min(thought, max(0, number - prompt))
        yield Hit(said.side, said.asked_at, number, before, prompt <= number < prompt + thought)


def _count(search: Search, text: str, *, markdown: bool = False) -> int:
    """How often the words are in a text, as far as it is shown; that most have none takes no pattern."""
    text = text[:SHOWN_CHARACTERS]
    if text.isascii() and search.words.lower() not in text.lower():
        return 0
    return len(search.spans(_FENCE.sub("", text) if markdown else text))
