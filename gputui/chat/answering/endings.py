"""Why an answer failed, in words: where the conversation is too long, with what to leave out of it."""

from __future__ import annotations

from collections.abc import Sequence

from gputui.chat.answering.live import LiveAnswer
from gputui.chat.answering.overflow import ContextExceededError
from gputui.chat.asking.context import drop_words, reserve
from gputui.chat.model import Turn
from gputui.errors import GputuiError
from gputui.text import error_words


def in_words(
    error: BaseException, live: LiveAnswer, side: str, turns: Sequence[Turn], dropped: int
) -> GputuiError:
    """What ended ``live`` on ``side``, which had said ``turns``, ``dropped`` of them not sent any more."""
    if isinstance(error, ContextExceededError):
        size = error.context or live.endpoint.context
        if size is None or error.tokens is None:
            return error
        room = reserve(size, live.settings.sampling.max_tokens)
        before = turns[:-1] if live.replaces else turns
        words = drop_words(before, side, dropped, error.tokens - size + room)
        return GputuiError(error.message, words or error.hint)
    if isinstance(error, GputuiError):
        return error
    what = error_words(error, 300)
    return GputuiError(f"gputui failed on this answer: {what}", "Please report it.")
