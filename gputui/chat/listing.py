"""What a server's list of models says: their names, whether it is a llama-server, and its context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gputui.chat.answering.wire import decode
from gputui.llama.wire import count
from gputui.text import clean_line

_MOST_MODELS = 50
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window")
"""As vLLM and others, OpenRouter, and Groq name it. What a model was trained for is no context."""


@dataclass(frozen=True, slots=True)
class Listing:
    """``models`` are cleaned, at most fifty. ``context`` is that of one conversation, in tokens; None where
    it is not said. ``llama``: it is a llama-server, which says more at /props."""

    models: tuple[str, ...] = ()
    context: int | None = None
    llama: bool = False


def listing_of(body: bytes, model: str | None) -> Listing | None:
    """What GET …/models answered; None where that is no list of models. ``model``: the one that is meant."""
    try:
        parsed: Any = decode(body)
    except (ValueError, RecursionError):
        return None
    listed = parsed.get("data") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        return None
    items = [item for item in listed[:_MOST_MODELS] if isinstance(item, dict)]
    named = [item for item in items if isinstance(item.get("id"), str)]
    meant = [item for item in named if item["id"] == model] if model else items
    return Listing(
        models=tuple(clean_line(item["id"], 120) for item in named),
        context=_context(meant[0]) if len(meant) == 1 else None,
        llama=bool(items) and all(item.get("owned_by") == "llamacpp" for item in items),
    )


def _context(item: dict[str, Any]) -> int | None:
    meta = item.get("meta")
    said = [item.get(key) for key in _CONTEXT_KEYS]
    said.append(meta.get("n_ctx") if isinstance(meta, dict) else None)
    return next((size for one in said if (size := count(one))), None)
