"""The answers of llama-server as typed values; a missing or odd field is "not known"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct


class Props(Struct, frozen=True):
    """The part of /props that is used. Fields have no fixed type: versions differ."""

    total_slots: Any = None
    model_alias: Any = None
    model_path: Any = None
    model_ftype: Any = None
    is_sleeping: Any = None
    default_generation_settings: Any = None
    modalities: Any = None

    @property
    def context(self) -> int | None:
        """The context of one slot in tokens."""
        settings = self.default_generation_settings
        return count(settings.get("n_ctx")) if isinstance(settings, dict) else None

    @property
    def sees(self) -> bool | None:
        """Whether it takes pictures; None where it does not say."""
        vision = self.modalities.get("vision") if isinstance(self.modalities, dict) else None
        return vision if isinstance(vision, bool) else None

    @property
    def slots(self) -> int | None:
        """How many requests it serves at once."""
        return count(self.total_slots)

    @property
    def is_llama_server(self) -> bool:
        """Whether this is a llama-server's answer at all."""
        return self.slots is not None or isinstance(self.default_generation_settings, dict)


class ModelMeta(Struct, frozen=True):
    """``meta`` of a model in /v1/models: what a llama-server says of the file it loaded."""

    n_ctx_train: Any = None
    size: Any = None
    n_vocab: Any = None
    n_embd: Any = None

    @property
    def trained_context(self) -> int | None:
        """The context that the model was trained for, in tokens."""
        return count(self.n_ctx_train) or None

    @property
    def weights(self) -> int | None:
        """The bytes of all its tensors."""
        return count(self.size) or None

    @property
    def embeddings(self) -> int | None:
        """The elements of its table of token embeddings."""
        vocabulary, width = count(self.n_vocab), count(self.n_embd)
        return None if vocabulary is None or width is None else vocabulary * width


class _Model(Struct, frozen=True):
    meta: ModelMeta | None = None


class Models(Struct, frozen=True):
    """The part of /v1/models that is used; a server that is no llama-server has no ``meta``."""

    data: list[_Model] = []

    @property
    def meta(self) -> ModelMeta | None:
        """Of the model that it serves."""
        return self.data[0].meta if self.data else None


class Slot(Struct, frozen=True):
    """One element of /slots. ``next_token`` is a list of one object, or in old builds the object."""

    id: Any = None
    id_task: Any = None
    is_processing: Any = None
    next_token: Any = None
    n_ctx: Any = None
    n_prompt_tokens: Any = None
    n_prompt_tokens_processed: Any = None
    n_prompt_tokens_cache: Any = None

    @property
    def reads_prompt(self) -> bool:
        """Whether it is at the prompt of its task, before the first token."""
        return self.is_processing is True and self.decoded == 0

    @property
    def prompt_share(self) -> float | None:
        """The share, 0 to 1, of the prompt that is read; None where the slot does not tell.

        What was in its cache counts as read. In build 10068 ``n_prompt_tokens`` is not the whole prompt: it
        grows with what is read [measured].
        """
        total, read = count(self.n_prompt_tokens), count(self.n_prompt_tokens_processed)
        if not total or read is None:
            return None
        read += count(self.n_prompt_tokens_cache) or 0
        return read / total if read < total else None

    @property
    def processed(self) -> int:
        """Tokens of the task's prompt that are read so far; 0 where the server does not say."""
        return count(self.n_prompt_tokens_processed) or 0

    @property
    def key(self) -> tuple[int, int]:
        """Which task on which slot."""
        return count(self.id) or 0, count(self.id_task) or 0

    @property
    def decoded(self) -> int:
        """Tokens generated so far for the task; 0 where the server does not say."""
        token = self.next_token
        if isinstance(token, list):
            token = token[0] if token else None
        return (count(token.get("n_decoded")) or 0) if isinstance(token, dict) else 0


@dataclass(frozen=True, slots=True)
class Counters:
    """/metrics at one moment: counters since the start, in tokens and seconds, and two gauges.

    ``decodes`` counts calls of llama_decode, of which every request needs one at least.
    """

    prompt_tokens: float | None = None
    prompt_seconds: float | None = None
    generated_tokens: float | None = None
    generated_seconds: float | None = None
    requests_processing: int | None = None
    requests_deferred: int | None = None
    decodes: float | None = None

    def generation_rate(self, before: Counters | None) -> float | None:
        """Generated tokens per second of generating since ``before``; None where nothing was."""
        if before is None:
            return None
        return _rate(
            (before.generated_tokens, self.generated_tokens),
            (before.generated_seconds, self.generated_seconds),
        )

    def prompt_rate(self, before: Counters | None) -> float | None:
        """Prompt tokens per second of processing since ``before``; None where nothing was."""
        if before is None:
            return None
        return _rate(
            (before.prompt_tokens, self.prompt_tokens), (before.prompt_seconds, self.prompt_seconds)
        )


def read_metrics(text: str) -> Counters:
    """Prometheus text of llama-server; the prefix and unknown lines do not matter."""
    values: dict[str, float] = {}
    pattern = r"^(?:\w+:)?([a-z_]+)(?:\{[^}\n]*\})? ([-+.\w]{1,40})"
    for name, number in re.findall(pattern, text, re.M):
        try:
            value = float(number)
        except ValueError:
            continue
        if math.isfinite(value):
            values[name] = value
    return Counters(
        prompt_tokens=values.get("prompt_tokens_total"),
        prompt_seconds=values.get("prompt_seconds_total"),
        generated_tokens=values.get("tokens_predicted_total"),
        generated_seconds=values.get("tokens_predicted_seconds_total"),
        requests_processing=_gauge(values, "requests_processing"),
        requests_deferred=_gauge(values, "requests_deferred"),
        decodes=values.get("n_decode_total"),
    )


def _rate(
    amounts: tuple[float | None, float | None], times: tuple[float | None, float | None]
) -> float | None:
    """Growth over growth. A counter that went back was reset: it has grown from 0."""
    grown: list[float] = []
    for before, now in (amounts, times):
        if before is None or now is None:
            return None
        grown.append(now - before if now >= before else now)
    if grown[0] <= 0 or grown[1] <= 0:
        return None
    return grown[0] / grown[1] or None  # too small for a float is nothing


def _gauge(values: Mapping[str, float], name: str) -> int | None:
    value = values.get(name)
    return int(value) if value is not None and value >= 0 else None


def count(value: object) -> int | None:
    """A number of things, None for everything else that JSON may hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
