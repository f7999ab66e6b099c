"""The values of a chat: endpoints, messages, measurements, answers, turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

Origin = Literal["server", "client"]
"""Who measured a figure: the server's own ``timings``, or our clock where the bytes arrive."""


STOPPED = "stopped"
"""The ``finish_reason`` of an answer that the user stopped."""


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
    ``llama``: it is a llama-server for sure, which may be asked for its slots. ``context``: the tokens
    that one conversation may have there; ``sees``: whether it takes pictures. Both None: not known.
    """

    name: str
    url: str
    model: str | None = None
    api_key: Secret | None = None
    served_model: str | None = None
    expected_model: str | None = None
    llama: bool = False
    context: int | None = None
    sees: bool | None = None

    @property
    def root(self) -> str:
        """Where a llama-server has what is not of OpenAI's API: ``/slots``, ``/props``."""
        return self.url.removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a prompt: a picture, or a text of ``media_type`` "text/plain", in UTF-8.

    ``name`` is its file name, cleaned.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)

    @property
    def is_image(self) -> bool:
        """Whether it goes to the server as a picture; else its text is put into the prompt."""
        return self.media_type.startswith("image/")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation as the API takes it; ``images`` are attachments that are such."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters sent with a request, under llama-server's names; None leaves the server's default."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    cache_prompt: bool | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a side is asked. As the settings of both sides: ``system`` None is no system prompt. As one
    side's own: what is None is as for both, and a ``system`` of "" is none on this side."""

    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def over(self, common: Settings) -> Settings:
        """These, and for what is None those of ``common``."""
        sampling = Sampling(
            **{
                one.name: common_value if (own := getattr(self.sampling, one.name)) is None else own
                for one in fields(Sampling)
                for common_value in (getattr(common.sampling, one.name),)
            }
        )
        return Settings(common.system if self.system is None else self.system, sampling)


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
    ``reasoning_tokens``: those of ``completion_tokens`` that were reasoning; the server's count, else the
    pieces that came.
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
    reasoning_tokens: Figure | None = None


FIGURES = (
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_per_second",
    "generation_tokens_per_second",
    "reasoning_tokens",
)
"""Those of a measurement that the server or our clock may have measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side said to one prompt. ``text`` and ``reasoning`` are cleaned.

    ``finish_reason`` is the server's (``stop``, ``length``), ``stopped`` where the user stopped it,
    or None where it failed; then ``error`` says why and ``hint`` what to do. A partial text is kept.
    ``settings`` are those that were sent (None: not known, of answers kept by older versions);
    ``left_out`` names those of them that the server would not take, so that it answered without.
    ``dropped``: how many of the oldest turns of its side it was asked without; None where not known.
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
    settings: Settings | None = None
    left_out: tuple[str, ...] = ()
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt and its answers, by side. ``created_at`` is Unix time; ``id`` is the store's.

    ``tag`` is the kind of question ("code"), by which votes are counted; "" for none.
    """

    prompt: str
    created_at: float
    answers: Mapping[str, Answer]
    id: int | None = None
    attachments: tuple[Attachment, ...] = ()
    tag: str = ""


def answer_json(answer: Answer) -> dict[str, object]:
    """One element of ``answers`` in ``gputui chat --json``; ``measured_by`` says whose each figure is."""
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
        "reasoning_tokens": value(numbers.reasoning_tokens),
        "ttft_seconds": numbers.ttft_seconds,
        "ttfo_seconds": numbers.ttfo_seconds,
        "elapsed_seconds": numbers.elapsed_seconds,
        "prompt_tokens_per_second": value(numbers.prompt_tokens_per_second),
        "generation_tokens_per_second": value(numbers.generation_tokens_per_second),
        "measured_by": {
            name: figure.origin
            for name in FIGURES
            if (figure := getattr(numbers, name)) is not None
        },
        "error": answer.error,
        "hint": answer.hint,
        "settings": asdict(answer.settings) if answer.settings else None,
        "left_out": list(answer.left_out),
        "dropped": answer.dropped,
    }
