"""What a strict server will not take: read in its refusal, left out of the next request, remembered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from gputui.chat.answering.overflow import overflows
from gputui.chat.answering.wire import decode
from gputui.chat.model import Endpoint, Sampling

MOST_TRIES = 3
"""Requests for one answer: the first, and two that leave out what was refused."""

_OURS = frozenset({"timings_per_token", "return_progress", "cache_prompt"})
"""What only llama.cpp knows, and no answer needs."""
_LLAMA_SAMPLING = frozenset({"top_k", "min_p", "repeat_penalty"})
"""Sampling that is not of OpenAI's API, though many servers have it."""
_NEEDED = frozenset({"messages", "stream", "model"})
_CHOSEN = tuple(field.name for field in fields(Sampling))
_RENAMED = {"max_tokens": "max_completion_tokens"}
"""Newer models of OpenAI refuse the old name."""

_REFUSES = re.compile(
    r"unknown|unrecogni[sz]ed|unsupported|not supported|does not support|unexpected|extra.(?:fields|inputs)"
    r"|extra_forbidden|not permitted|not allowed|cannot find field|additional propert",
    re.IGNORECASE,
)
"""The words of a field that is not taken at all; a bad value of a known one is the user's to change."""
_PICTURES = re.compile(r"\b(?:image|picture|vision|mmproj|multi-?modal|audio)", re.IGNORECASE)
"""What is refused is what the prompt brings with it: no parameter to leave out."""
_LOCATED = re.compile(r"\bloc\W+body\W+(\w+)")
"""FastAPI's and vLLM's way, also where it is quoted once more: ``'loc': ('body', 'top_k')``."""
_QUOTED = re.compile(r"""['"`](\w+)\\?['"`]""")
_WORD = re.compile(r"\w+")


class Refusals:
    """What each server refused so far, so that the next prompt needs one request. For one session."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], frozenset[str]] = {}

    def of(self, endpoint: Endpoint) -> frozenset[str]:
        """The fields to leave out for this server and model."""
        return self._known.get((endpoint.url, endpoint.model), frozenset())

    def remember(self, endpoint: Endpoint, names: frozenset[str]) -> None:
        """It answers without these."""
        if names:
            self._known[endpoint.url, endpoint.model] = self.of(endpoint) | names


@dataclass(frozen=True, slots=True)
class Refusal:
    """Fields to leave out. ``named``: those of them that the server itself named."""

    names: frozenset[str]
    named: frozenset[str] = frozenset()


def without(payload: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The request without these; what has another name in newer servers goes under that."""
    fewer = {key: value for key, value in payload.items() if key not in names}
    for old, new in _RENAMED.items():
        if old in names and old in payload and new not in names:
            fewer[new] = payload[old]
    return fewer


def left_out(payload: Mapping[str, Any], names: frozenset[str]) -> tuple[str, ...]:
    """Which of the user's own parameters are not sent, in the order of ``Sampling``."""
    sent = without(payload, names)
    return tuple(
        name
        for name in _CHOSEN
        if name in payload and name not in sent and _RENAMED.get(name) not in sent
    )


def refused(
    sent: Mapping[str, Any], status: int, body: bytes, *, llama: bool = False
) -> Refusal | None:
    """What to leave out of a request that was answered so; None where that would not help.

    What the server names is left out, and with it what only llama.cpp knows: a server that refuses one
    such field refuses the others, often one a request. Where it names nothing, llama.cpp's own fields
    go first, then the sampling that OpenAI's API has not. ``llama``: a llama-server ignores what it does
    not know, so there is nothing to guess.
    """
    said = body.decode(errors="replace")
    if status not in (400, 422) or overflows(said):
        return None
    known = frozenset(sent) - _NEEDED
    ours = _OURS & known
    named = _named(said, body, known)
    if named and _REFUSES.search(said):
        return Refusal(named | ours, named)
    if named - ours or llama or _names_what_is_needed(body) or _PICTURES.search(said):
        return None
    guess = ours or (_LLAMA_SAMPLING & known)
    return Refusal(guess) if guess else None


def _named(said: str, body: bytes, known: frozenset[str]) -> frozenset[str]:
    """The fields of the request that a refusal names: in its ``param``, by their place, or in words."""
    if (parameter := _parameter(body)) in known:
        return frozenset({parameter})
    for pattern in (_LOCATED, _QUOTED, _WORD):
        if found := known.intersection(pattern.findall(said)):
            return found
    return frozenset()


def _names_what_is_needed(body: bytes) -> bool:
    """Whether ``param`` says that the messages or the model are wrong: nothing to leave out there."""
    return bool(_NEEDED.intersection(_WORD.findall(_parameter(body))))


def _parameter(body: bytes) -> str:
    try:
        parsed = decode(body)
    except ValueError:
        return ""
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    parameter = error.get("param") if isinstance(error, dict) else None
    return parameter if isinstance(parameter, str) else ""
