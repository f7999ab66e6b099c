"""The fields of an instance's form: what is typed into values of the file, and back; what is wrong with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from gputui.config import InstanceConfig
from gputui.config.checks import expectation
from gputui.config.tables import CacheType, Role
from gputui.errors import GputuiError
from gputui.text import clean

Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an instance. ``choices``: the values it takes, the first in force where it is left out;
    () for what is typed. ``help`` says what it means where it is empty."""

    key: str
    label: str
    help: str
    parse: Parse = str
    choices: tuple[str, ...] = ()


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise GputuiError("a whole number is wanted")
    return int(text)


def _layers(text: str) -> int | str:
    if text in ("auto", "all"):
        return text
    try:
        return _integer(text)
    except GputuiError:
        raise GputuiError("a number, auto or all is wanted") from None


def _duration(text: str) -> float | str:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise GputuiError("numbers are wanted, one for each GPU: 96, 32") from None
    return [int(one) if one.is_integer() else one for one in found]


def _arguments(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        words = str(error).lower()
        raise GputuiError(f"quotes do not match: {words}", 'A value with blanks: "a b"') from None


_CACHE = ("", *get_args(CacheType))

FIELDS: tuple[Field, ...] = (
    Field("name", "name", "letters, digits, dot, dash, underscore"),
    Field("model", "model", "enter opens the list of models"),
    Field("gpus", "gpus", "digits or space choose; none is CPU only"),
    Field("port", "port", "instances may share one: then they are alternatives", _integer),
    Field("key", "key", "1 to 9: starts and stops it"),
    Field(
        "ctx_size", "ctx_size", "tokens; empty: as llama-server does, 0: the model's own", _integer
    ),
    Field("n_gpu_layers", "n_gpu_layers", "a number, auto or all; empty: auto", _layers),
    Field("parallel", "parallel", "requests at once; the context is divided among them", _integer),
    Field(
        "cache_type_k", "cache_type_k", "type of the keys in the KV cache; empty: f16", str, _CACHE
    ),
    Field(
        "cache_type_v",
        "cache_type_v",
        "type of the values in the KV cache; empty: f16",
        str,
        _CACHE,
    ),
    Field("threads", "threads", "of the CPU; empty: as llama-server does", _integer),
    Field("cpus", "cpus", "which it may run on: 0-15; empty: all"),
    Field(
        "split_mode", "split_mode", "over several GPUs", str, ("", "layer", "none", "row", "tensor")
    ),
    Field("tensor_split", "tensor_split", "the share of each GPU: 96, 32", _numbers),
    Field("role", "role", "what it is for", str, get_args(Role)),
    Field("mmproj", "mmproj", "the file that lets the model see; enter opens the list"),
    Field("group", "group", "of one group, one instance runs at a time"),
    Field("restart", "restart", "after a crash", str, ("never", "on-failure")),
    Field(
        "idle_unload",
        "idle_unload",
        "stop after so long without a request: 30m; empty: never",
        _duration,
    ),
    Field("args", "args", "any other flag of llama-server, as on a command line", _arguments),
)
"""In the order of the form. Other keys of the file stay as they are."""

BY_KEY: Mapping[str, Field] = {field.key: field for field in FIELDS}


def shown(key: str, value: object) -> str:
    """A value of the file as it is typed; "" for one that is not there."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        words = [one if isinstance(one, str) else f"{one:g}" for one in value]
        return shlex.join(words) if key == "args" else ", ".join(words)
    return str(value)


def typeable(value: object) -> bool:
    """Whether a value of the file can be shown and typed in one line."""
    parts = value if isinstance(value, list | tuple) else [value]
    words = [part for part in parts if isinstance(part, str)]
    return all(word == clean(word) and not {"\n", "\t"} & set(word) for word in words)


def value_of(key: str, text: str) -> Any:
    """What is typed as a value of the file, None for nothing. Raises GputuiError, in words for under it."""
    text = text.strip()
    if not text:
        return None
    value = BY_KEY[key].parse(text)
    check_value(key, value)
    return value


def check_value(key: str, value: object) -> None:
    """Raise GputuiError where the table does not take this value."""
    least: dict[str, object] = {"name": "a", "model": "m", "port": 1}
    try:
        msgspec.convert({**least, key: value}, InstanceConfig)
    except msgspec.ValidationError as error:
        raise GputuiError(_words(key, str(error))) from None


def _words(key: str, error: str) -> str:
    what = error.partition(" - at `$")[0]
    if hint := expectation(error):
        return hint.rstrip(".")
    between = re.search(r"Expected `\w+` (<=|>=) ([0-9.]+)", what)
    if between:
        return f"must be {'at most' if between[1] == '<=' else 'at least'} {between[2]}"
    if "matching regex" in what:
        return f"has another form: {BY_KEY[key].help}"
    return what[:1].lower() + what[1:]


def typed_values(
    texts: Mapping[str, str], raw: Mapping[str, Any], gpus: Sequence[str] | None
) -> dict[str, Any]:
    """What to change in a table that has ``raw``; None takes a key out. ``gpus`` None: they stay.

    What is left as it was, or cannot be typed, is not among them. Raises GputuiError for a wrong value.
    """
    changes: dict[str, Any] = {}
    for field in FIELDS:
        if field.key == "gpus" or field.key not in texts:
            continue
        if texts[field.key] == shown(field.key, raw.get(field.key)):
            continue
        value = value_of(field.key, texts[field.key])
        is_default = field.choices and value == (field.choices[0] or None)
        changes[field.key] = None if is_default and field.key not in raw else value
    if gpus is not None and list(gpus) != raw.get("gpus", []):
        changes["gpus"] = list(gpus)
    return {key: value for key, value in changes.items() if value is not None or key in raw}
