"""Samples on their way to the screen: one message at a time, and what it carries is the newest."""

from __future__ import annotations

from typing import cast

import pytest
from textual.message import Message
from textual.message_pump import MessagePump

from gputui.ui.messages import Newest, SamplesTaken
from tests.support.traces import snapshot


class Target:
    """Keeps what is posted; refuses or fails while told to."""

    def __init__(self) -> None:
        self.posted: list[SamplesTaken] = []
        self.answer: bool | Exception = True

    def post_message(self, message: Message) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer:
            assert isinstance(message, SamplesTaken)
            self.posted.append(message)
        return self.answer


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def newest(target: Target) -> Newest:
    return Newest(cast(MessagePump, target))


def test_a_flood_is_one_message_with_the_newest(target: Target, newest: Newest) -> None:
    for number in range(1000):
        newest.put(snapshot(float(number)))
    (message,) = target.posted
    assert message.snapshot.taken_at == 999
    newest.put(snapshot(1000.0))
    assert [m.snapshot.taken_at for m in target.posted] == [999, 1000], "each keeps what it said"


@pytest.mark.parametrize("answer", [False, RuntimeError("the loop is gone")])
def test_a_message_that_could_not_be_sent_does_not_stop_the_next(
    target: Target, newest: Newest, answer: bool | Exception
) -> None:
    target.answer = answer
    try:
        newest.put(snapshot(1.0))
    except RuntimeError:
        assert answer
    target.answer = True
    newest.put(snapshot(2.0))
    assert [message.snapshot.taken_at for message in target.posted] == [2]
