"""What is told where a conversation is longer than the context."""

from __future__ import annotations

import pytest

from gputui.chat.answering.endings import UNCOUNTED_HINT, in_words
from gputui.chat.answering.live import Exchange, LiveAnswer
from gputui.chat.answering.overflow import OVERFLOW_HINT, ContextExceededError
from gputui.chat.model import Answer, Endpoint, Settings, Turn
from gputui.errors import GputuiError

TURN = Turn("hi", 1.0, {"A": Answer("A", "coder", "m", "hello")})
LIVE = LiveAnswer(Exchange("next"), Endpoint("coder", "http://127.0.0.1:1/v1"), Settings())


@pytest.mark.parametrize(
    "error", [ContextExceededError(None, None), GputuiError("too long", OVERFLOW_HINT)]
)
def test_where_nobody_counted_the_commands_are_named_all_the_same(error: GputuiError) -> None:
    assert in_words(error, LIVE, "A", [TURN], 0).hint == UNCOUNTED_HINT
    for before, dropped in (([], 0), ([TURN], 1)):
        assert in_words(error, LIVE, "A", before, dropped).hint == OVERFLOW_HINT
