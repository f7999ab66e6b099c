"""Votes for tests."""

from __future__ import annotations

from gputui.chat.voting.vote import Choice, Contestant, Vote

DEEPSEEK = Contestant("deepseek", "R1-Distill-Qwen-32B")
CODER = Contestant("qwen-coder", "Qwen2.5-Coder-32B")
PHI = Contestant("phi", "Phi-4")
OTHER = Contestant("other", "Other-7B")
LONELY = Contestant("lonely", "lonely")


def vote(a: Contestant, b: Contestant, choice: Choice, at: float = 0.0, **more: object) -> Vote:
    """A blind vote; ``at`` tells its turn."""
    given: dict[str, object] = {"at": at, "asked_at": at, "blind": True} | more
    return Vote(a=a, b=b, choice=choice, **given)  # type: ignore[arg-type]


def many() -> list[Vote]:
    """Two groups, all four choices, tags, one changed vote, one not blind, one that named itself."""
    return [
        vote(DEEPSEEK, CODER, Choice.A, 1, tag="code"),
        vote(CODER, DEEPSEEK, Choice.A, 2, tag="code"),
        vote(DEEPSEEK, CODER, Choice.A, 3),
        vote(DEEPSEEK, PHI, Choice.TIE, 4),
        vote(PHI, CODER, Choice.BOTH_BAD, 5),
        vote(DEEPSEEK, PHI, Choice.B, 6),
        vote(DEEPSEEK, PHI, Choice.A, 6),
        vote(OTHER, Contestant("another", "Another-7B"), Choice.A, 8),
        vote(LONELY, LONELY, Choice.TIE, 9),
        vote(DEEPSEEK, CODER, Choice.B, 10, blind=False),
        vote(DEEPSEEK, CODER, Choice.B, 11, named="b"),
    ]
