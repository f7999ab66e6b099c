"""Walking through the prompts that were sent before."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gputui.chat.asking.history import InputHistory


def test_the_newest_comes_first_each_once_and_the_draft_comes_back() -> None:
    history = InputHistory()
    history.set_older(["b", "old"])
    for prompt in ("a", "b", "a"):
        history.add(prompt)
    assert [history.earlier("draft"), history.earlier("a"), history.earlier("b")] == [
        "a",
        "b",
        "old",
    ]
    assert history.earlier("old") is None
    assert [history.later(), history.later(), history.later()] == ["b", "a", "draft"]
    assert history.later() is None


def test_what_is_shown_already_is_passed_over() -> None:
    history = InputHistory()
    history.add("a")
    history.add("b")
    assert history.earlier("b") == "a"


class Walking(RuleBasedStateMachine):
    """However one walks, the prompts come in one order, and the draft waits at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.history = InputHistory()
        self.sent: list[str] = []
        self.shown = "draft"
        self.trail: list[str] = []

    @rule(prompt=st.sampled_from("abcde"))
    def send(self, prompt: str) -> None:
        self.history.add(prompt)
        self.sent.append(prompt)
        self.shown, self.trail = "draft", []

    @rule()
    def up(self) -> None:
        found = self.history.earlier(self.shown)
        distinct = list(dict.fromkeys(reversed(self.sent)))
        if len(self.trail) < len(distinct):
            assert found == distinct[len(self.trail)]
            self.trail.append(self.shown)
            self.shown = found
        else:
            assert found is None

    @rule()
    def down(self) -> None:
        found = self.history.later()
        assert found == (self.trail.pop() if self.trail else None)
        self.shown = found if found is not None else self.shown

    @invariant()
    def walks_only_where_something_earlier_is_shown(self) -> None:
        assert self.history.walking == bool(self.trail)


TestWalking = Walking.TestCase
