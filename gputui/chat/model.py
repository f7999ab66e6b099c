"""The values of a chat: endpoints, messages, measurements, answers, turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Origin = Literal["server", "client"]
"""Who measured a figure: the server's own ``timings``, or our clock where the bytes arrive."""


class Secret:
    """An API key: shown nowhere by accident, ``reveal`` gives it for the request's header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server. ``url`` ends before ``/chat/completions``: ``http://h:8080/v1``.

    ``model`` is sent where the server needs one (None: whatever it serves). ``served_model`` is its
    name for people where it is known beforehand (a llama-server only repeats its alias).
    ``expected_model`` is the alias that a llama-server was started with: an answer that comes under
    another one is refused, since another server took over the address. None: any may answer.
    """

    name: str
    url: str
    model: str | None = None
    api_key: Secret | None = None
    served_model: str | None = None
    expected_model: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation as the API takes it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters sent with a request; None leaves the server's default. The same for both sides."""

    temperature: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    cache_prompt: bool | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured number and who measured it."""

    value: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Measurement:
    """The numbers of one answer, live or final; None is not known.

    ``ttft_seconds``: request sent to first non-empty token, reasoning included (client).
    ``ttfo_seconds``: to the first token that is not reasoning (client).
    ``generation_tokens_per_second`` and ``prompt_tokens_per_second``: the server's ``timings``
    where it sends them; else, for generation only, (tokens − 1) / (last − first token) by our clock.
    No prompt speed where more than half of the prompt came from the server's cache.
    ``prompt_progress``: 0 to 1 while the prompt is processed, of ``prompt_in_work`` tokens.
    ``elapsed_seconds``: request sent to now or to the end.
    """

    ttft_seconds: float | None = None
    ttfo_seconds: float | None = None
    elapsed_seconds: float | None = None
    prompt_tokens: Figure | None = None
    completion_tokens: Figure | None = None
    prompt_tokens_per_second: Figure | None = None
    generation_tokens_per_second: Figure | None = None
    prompt_progress: float | None = None
    prompt_in_work: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side said to one prompt. ``text`` and ``reasoning`` are cleaned.

    ``finish_reason`` is the server's (``stop``, ``length``), ``stopped`` where the user stopped it,
    or None where it failed; then ``error`` says why and ``hint`` what to do. A partial text is kept.
    """

    side: str
    name: str
    model: str
    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    measurement: Measurement = field(default_factory=Measurement)
    error: str | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt and its answers, by side. ``created_at`` is Unix time; ``id`` is the store's."""

    prompt: str
    created_at: float
    answers: Mapping[str, Answer]
    id: int | None = None


def answer_json(answer: Answer) -> dict[str, object]:
    """One element of ``answers`` in ``gputui chat --json``."""
    numbers = answer.measurement

    def value(figure: Figure | None) -> float | None:
        return figure.value if figure else None

    return {
        "side": answer.side,
        "name": answer.name,
        "model": answer.model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": value(numbers.prompt_tokens),
        "completion_tokens": value(numbers.completion_tokens),
        "ttft_seconds": numbers.ttft_seconds,
        "prompt_tokens_per_second": value(numbers.prompt_tokens_per_second),
        "generation_tokens_per_second": value(numbers.generation_tokens_per_second),
        "error": answer.error,
    }
