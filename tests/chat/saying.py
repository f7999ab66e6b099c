"""Turns as a store would give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Turn


def turns(count: int, start: int = 0, sides: str = "AB") -> tuple[Turn, ...]:
    """That many, each with an answer of each side: ``question 7``, ``answer 7 of A``."""
    return tuple(
        Turn(
            f"question {number}",
            1e9 + number,
            {
                side: Answer(
                    side,
                    f"model-{side}",
                    "m.gguf",
                    f"answer {number} of {side}",
                    finish_reason="stop",
                )
                for side in sides
            },
            id=number + 1,
        )
        for number in range(start, start + count)
    )


def numbers(said: Sequence[Turn]) -> list[int]:
    """Which of them these are."""
    return [int(turn.prompt.split()[-1]) for turn in said]


def keep(path: Path, count: int, title: str = "", start: int = 0) -> tuple[Store, int]:
    """A store with a conversation of that many turns, and its id."""
    store = Store(path)
    conversation = store.new_conversation(1e9)
    for turn in turns(count, start):
        id_ = store.new_turn(conversation, turn)
        for answer in turn.answers.values():
            store.save_answer(id_, answer)
    if title:
        store.rename(conversation, title)
    return store, conversation
