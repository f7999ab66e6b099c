"""How an answer ended: why it failed, in words, and whether one that was asked for again is better."""

from __future__ import annotations

from collections.abc import Sequence

from gputui.chat.answering.live import LiveAnswer
from gputui.chat.answering.overflow import OVERFLOW_HINT, ContextExceededError
from gputui.chat.asking.context import drop_words, reserve
from gputui.chat.model import STOPPED, Answer, Turn
from gputui.errors import GputuiError
from gputui.text import error_words

UNCOUNTED_HINT = (
    "/new begins anew, /drop N leaves the N oldest turns out; or give the server a larger ctx_size."
)
"""Where it is not known by how much the conversation is too long."""


def in_words(
    error: BaseException, live: LiveAnswer, side: str, turns: Sequence[Turn], dropped: int
) -> GputuiError:
    """What ended ``live`` on ``side``, which had said ``turns``, ``dropped`` of them not sent any more."""
    if isinstance(error, GputuiError):
        before = turns[:-1] if live.replaces else turns
        size = error.context if isinstance(error, ContextExceededError) else None
        size = size or live.endpoint.context
        if isinstance(error, ContextExceededError) and size and error.tokens is not None:
            room = reserve(size, live.settings.sampling.max_tokens)
            words = drop_words(before, side, dropped, error.tokens - size + room)
            return GputuiError(error.message, words or error.hint)
        if error.hint == OVERFLOW_HINT and before[dropped:]:
            return GputuiError(error.message, UNCOUNTED_HINT)
        return error
    what = error_words(error, 300)
    return GputuiError(f"gputui failed on this answer: {what}", "Please report it.")


def is_worse(new: Answer, old: Answer) -> bool:
    """Whether the second answer to a prompt would lose what the first one said."""
    if not old.text:
        return False
    if new.error is not None:
        return old.error is None or not new.text
    return new.finish_reason == STOPPED and not new.text


def retry_problem(answer: Answer) -> GputuiError | None:
    """Why the retry failed; None where the user stopped it."""
    if answer.error is None:
        return None
    hint = f"{answer.hint} The answer before stays.".strip()
    return GputuiError(f"Retry failed: {answer.error}", hint)
