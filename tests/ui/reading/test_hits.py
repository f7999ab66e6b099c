"""Words in a conversation: in the order in which they are read."""

from __future__ import annotations

from gputui.chat.model import Answer
from gputui.instances.log.lines import Search
from gputui.ui.chat.reading.hits import Said, hits_of


def said(side: str, at: float, prompt: str, text: str, reasoning: str = "") -> Said:
    return Said(side, at, prompt, Answer(side, "n", "m", text, reasoning))


CONVERSATION = [
    said("B", 1, "a fox?", "No Fox."),
    said("A", 2, "again", "```fox\nfox()\n```", "fox or fox"),
    said("A", 1, "a fox?", "none"),
]


def test_by_turn_then_by_side_then_from_the_top() -> None:
    hits = hits_of(Search("fox"), CONVERSATION)
    places = [(hit.asked_at, hit.side, hit.number) for hit in hits]
    assert places == [(1, "A", 0), (1, "B", 0), (1, "B", 1), (2, "A", 0), (2, "A", 1), (2, "A", 2)]


def test_capitals_count_where_there_is_one() -> None:
    assert len(hits_of(Search("Fox"), CONVERSATION)) == 1


def test_what_is_folded_is_told_from_what_is_seen() -> None:
    hits = [hit for hit in hits_of(Search("fox"), CONVERSATION) if hit.asked_at == 2]
    assert [(hit.in_reasoning, hit.number - hit.folded) for hit in hits] == [
        (True, 0),
        (True, 0),
        (False, 0),
    ]
