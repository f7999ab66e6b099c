"""The sampling parameters: their ranges, what is typed into values, and which of them a server gets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import msgspec

from gputui.chat.model import Endpoint, Sampling
from gputui.config import SamplingTable
from gputui.errors import GputuiError
from gputui.text import clean_line, nearest

Value = float | int | bool | None
Kind = Literal["number", "whole", "switch"]

LLAMA_DEFAULTS = Sampling(
    temperature=0.8,
    top_k=40,
    top_p=0.95,
    min_p=0.05,
    repeat_penalty=1.0,
    presence_penalty=0.0,
    frequency_penalty=0.0,
)
"""llama.cpp's own (common/common.h, common_params_sampling), said all the same: a model's file may hold
others, and a server may have been started with others."""

_OF_OPENAI = ("temperature", "top_p")
"""Of those, what OpenAI's API has and does something: any other server may refuse the rest."""

WITHOUT_EFFECT = {"repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""Penalties that are none: a server that is not sent them is asked no otherwise."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter by the name that the request and the file have for it.

    ``range`` says in words what it may be; ``words`` what it does.
    """

    name: str
    kind: Kind
    range: str
    words: str


_WORDS = {
    "temperature": "how freely tokens are drawn; 0: always the likeliest",
    "top_k": "only the likeliest so many; 0: all",
    "top_p": "only the likeliest that make up this share; 1: all",
    "min_p": "only those with this share of the likeliest's probability; 0: all",
    "repeat_penalty": "against tokens that were there lately; 1: none",
    "presence_penalty": "against tokens that were there at all; 0: none",
    "frequency_penalty": "against tokens by how often they were there; 0: none",
    "seed": "of the random numbers; default: a new one for each prompt, the same on all sides",
    "max_tokens": "the longest answer, in tokens",
    "cache_prompt": "whether the server may keep what it has read; off for fair prompt speeds",
}


def _parameters() -> Mapping[str, Parameter]:
    """From the file's own table, so that what is typed and what is configured have one range."""
    info = msgspec.inspect.type_info(SamplingTable)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101
    types = {field.name: field.type for field in info.fields}
    found = {}
    for name in (one.name for one in fields(Sampling)):
        union = types[name]
        assert isinstance(union, msgspec.inspect.UnionType)  # noqa: S101
        found[name] = Parameter(name, *_kind_and_range(union.types[0]), _WORDS[name])
    return found


def _kind_and_range(kind: msgspec.inspect.Type) -> tuple[Kind, str]:
    if isinstance(kind, msgspec.inspect.BoolType):
        return "switch", "on or off"
    assert isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType)  # noqa: S101
    low = f"{kind.ge}" if kind.ge is not None else f"more than {kind.gt}"
    words = f"{low} to {kind.le}" if kind.ge is not None else f"{low}, at most {kind.le}"
    return ("whole" if isinstance(kind, msgspec.inspect.IntType) else "number"), words


PARAMETERS = _parameters()
"""By name, in the order in which they are shown."""

_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def parameter_of(name: str) -> Parameter:
    """The parameter of that name, of which - and capitals are forgiven. Raises GputuiError."""
    known = name.strip().lower().replace("-", "_")
    if known in PARAMETERS:
        return PARAMETERS[known]
    near = nearest(known, PARAMETERS)
    raise GputuiError(
        f"{clean_line(name, 40)} is no parameter",
        f"Did you mean {near}?" if near else f"Known: {', '.join(PARAMETERS)}.",
    )


def value_of(parameter: Parameter, text: str) -> Value:
    """What was typed as a value, None for "default". Raises GputuiError, with the range."""
    text = text.strip()
    if text.lower() == "default":
        return None
    value = _SWITCH.get(text.lower()) if parameter.kind == "switch" else _number(parameter, text)
    try:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError
        msgspec.convert({parameter.name: value}, SamplingTable)
    except (msgspec.ValidationError, ValueError):
        said = _why_not(parameter, value, clean_line(text, 40))
        whole = "a whole number, " if parameter.kind == "whole" else ""
        raise GputuiError(
            f"{parameter.name}: {said}", f"It takes {whole}{parameter.range}, or default."
        ) from None
    return value


def _why_not(parameter: Parameter, value: Value, text: str) -> str:
    """What is wrong with what was typed."""
    if not text:
        return "a value is missing"
    if parameter.kind == "switch":
        return f"{text} is neither on nor off"
    if value is None or value != value:  # not a number
        whole = "whole " if parameter.kind == "whole" else ""
        return f"{text} is no {whole}number"
    return f"{text} is out of range"


def _number(parameter: Parameter, text: str) -> float | int | None:
    try:
        return int(text) if parameter.kind == "whole" else float(text)
    except ValueError:
        return None


def shown(value: Value) -> str:
    """A value as people read and type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else f"{value}"


def with_value(sampling: Sampling, parameter: Parameter, value: Value) -> Sampling:
    """The parameters with another value for one of them."""
    changed: dict[str, Any] = {parameter.name: value}
    return replace(sampling, **changed)


def defaults_for(endpoint: Endpoint | None) -> Sampling:
    """What an endpoint is sent where nobody chose anything."""
    if endpoint is not None and endpoint.llama:
        return LLAMA_DEFAULTS
    return Sampling(**{name: getattr(LLAMA_DEFAULTS, name) for name in _OF_OPENAI})
