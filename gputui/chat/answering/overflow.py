"""A prompt that is longer than the server's context: what servers say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gputui.errors import GputuiError

_OVERFLOW = re.compile(
    r"exceed_context_size_error|context_length_exceeded|maximum context length"
    r"|context length of only|exceeds? the (?:available )?context|context the overflows",
    re.IGNORECASE,
)
OVERFLOW_HINT = (
    "Send a shorter prompt, begin a new conversation, or give the server a larger ctx_size."
)
_CONTEXT = re.compile(
    r"context (?:length|window|size) (?:(?:is|of) (?:only )?|\()(\d{1,9})", re.IGNORECASE
)
_TOKENS = re.compile(
    r"(?:requested|resulted in|has|contains?|request \() ?(\d{1,9})(?: \w+)? tokens", re.IGNORECASE
)


class ContextExceededError(GputuiError):
    """The conversation is longer than the context. ``tokens`` of it and ``context``: None where not said."""

    def __init__(self, tokens: int | None, context: int | None, name: str = "") -> None:
        self.tokens = tokens
        self.context = context
        count = f"{tokens} tokens" if tokens is not None else "too many tokens"
        room = f"{context}" if context is not None else "fewer"
        super().__init__(
            f"The conversation has {count}, the context of {name or 'this server'} holds {room}",
            OVERFLOW_HINT,
        )

    def of(self, name: str) -> ContextExceededError:
        """The same with the endpoint's name in it."""
        return ContextExceededError(self.tokens, self.context, name)


def overflows(said: str) -> bool:
    """Whether a server's words say that the conversation is longer than its context."""
    return _OVERFLOW.search(said) is not None


def context_exceeded(error: Mapping[str, Any], said: str) -> ContextExceededError | None:
    """The overflow that an error object tells of, in its words ``said``; None where it is about something
    else.

    llama-server has a type of its own with both numbers; OpenAI and vLLM say it in words.
    """
    if error.get("type") == "exceed_context_size_error":
        return ContextExceededError(
            _count(error.get("n_prompt_tokens")), _count(error.get("n_ctx"))
        )
    room = _CONTEXT.search(said)
    if error.get("code") != "context_length_exceeded" and room is None and not overflows(said):
        return None
    found = _TOKENS.search(said)
    tokens, context = int(found[1]) if found else None, int(room[1]) if room else None
    if tokens is not None and context is not None and tokens <= context:
        return (
            None  # the prompt fits: what was asked for behind it does not, and the server says so
        )
    return ContextExceededError(tokens, context)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
