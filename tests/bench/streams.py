"""Answers whose every token is a word of its own, so that a screen tells which token it shows.

Words have the lengths of English ones. All begin with j, q, x or z and have no o, s or u, which hardly
any word of a program does; no two tokens of both sides are alike.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SIDES = ("a", "b")
WORD = re.compile(r"[jqxz][aeikmnrt]+")
LENGTHS = (2, 3, 3, 4, 4, 5, 5, 6, 7, 8)
BLOCK = 300
"""Tokens of a list, a table or a fence, before a new one begins: long ones of an answer."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The tokens of one side, and the word of each."""

    tokens: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def places(self) -> dict[str, int]:
        """Which token a word is, from 0."""
        return {word: at for at, word in enumerate(self.words)}


def streams(kind: str, count: int) -> dict[str, Stream]:
    """``count`` tokens a side. ``kind`` is one of ``KINDS``."""
    new = _words()
    made = {}
    for side in SIDES:
        words = tuple(next(new) for _ in range(count))
        made[side] = Stream(tuple(KINDS[kind](at, word) for at, word in enumerate(words)), words)
    return made


def _words() -> Iterator[str]:
    """Each once. Long ones where the short ones are used up."""
    chance = random.Random(1)  # noqa: S311
    seen: set[str] = set()
    while True:
        length = chance.choice(LENGTHS) + len(seen) // 4000
        word = chance.choice("jqxz") + "".join(chance.choices("aeikmnrt", k=length))
        if word not in seen:
            seen.add(word)
            yield word


def _prose(at: int, word: str) -> str:
    """Sentences of twelve words, paragraphs of seven sentences."""
    if at % 84 == 83:
        return f"{word}.\n\n"
    return f"{word}. " if at % 12 == 11 else f"{word} "


def _block(at: int, word: str, inside: Callable[[int, str], str], first: str, last: str) -> str:
    """A line of prose, ``first``, what is inside, ``last``, and so on."""
    place = at % BLOCK
    if place < 12:
        return f"{word}:\n\n{first}" if place == 11 else f"{word} "
    return inside(place - 12, word) + (last if place == BLOCK - 1 else "")


def _code(at: int, word: str) -> str:
    """One fence, lines of eight words."""

    def inside(place: int, word: str) -> str:
        ends = (" = ", "(", ", ", "=", ")\n", " = ", " + ", "\n")
        return f"{'    ' if place % 8 in (0, 5) else ''}{word}{ends[place % 8]}"

    return _block(at, word, inside, "```python\n", "```\n\n")


def _list(at: int, word: str) -> str:
    """Points of twelve words."""

    def inside(place: int, word: str) -> str:
        return f"{'- ' if place % 12 == 0 else ''}{word}{chr(10) if place % 12 == 11 else ' '}"

    return _block(at, word, inside, "", "\n")


def _table(at: int, word: str) -> str:
    """Four columns of two words."""

    def inside(place: int, word: str) -> str:
        begin = "| " if place % 8 == 0 else ""
        return f"{begin}{word}{(' ', ' | ')[place % 2]}{chr(10) if place % 8 == 7 else ''}"

    return _block(at, word, inside, "| 1 | 2 | 3 | 4 |\n|---|---|---|---|\n", "\n")


KINDS: dict[str, Callable[[int, str], str]] = {
    "prose": _prose,
    "code": _code,
    "list": _list,
    "table": _table,
}
