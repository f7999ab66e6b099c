"""The wire of a streamed chat completion: bytes as they come into typed events."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_type_hints

import msgspec

from gputui.chat.answering.reported import error_of, redacted
from gputui.errors import GputuiError
from gputui.text import clean_line

MAX_LINE = 16 << 20
"""Characters of one event's line; a server that sends more is not answering a chat."""
MOST_COUNTED = 2**53
"""Tokens; up to here JSON, SQLite and a float agree. What is more, or less than none, was never counted."""


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The request goes out now: the clock starts (again, where it had to be sent a second time)."""


@dataclass(frozen=True, slots=True)
class ModelNamed:
    """The model's name as the server gives it; not cleaned."""

    model: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, or of the reasoning before it; never empty, not cleaned."""

    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The server says why it stops: ``stop``, ``length``, …"""

    reason: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model calls a tool, of which it was given none. ``name`` is cleaned, "" where it has none."""

    name: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The server's count of tokens; None where it does not say.

    ``reasoning_tokens`` are among the ``completion_tokens``.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """llama-server's own clock: tokens from the cache, processed and generated; milliseconds."""

    cache_n: int | None = None
    prompt_n: int | None = None
    prompt_ms: float | None = None
    prompt_per_second: float | None = None
    predicted_n: int | None = None
    predicted_ms: float | None = None
    predicted_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """How many of the prompt's tokens llama-server has processed; ``processed`` includes the cache."""

    total: int | None = None
    cache: int | None = None
    processed: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the server would not take, by the names of the request: it was asked again without."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The server reports an error instead of going on."""

    error: GputuiError


@dataclass(frozen=True, slots=True)
class Done:
    """The stream's own end, ``[DONE]``."""


Event: TypeAlias = (
    RequestSent
    | ModelNamed
    | TextDelta
    | Finished
    | ToolCalled
    | Usage
    | Timings
    | PromptProgress
    | LeftOut
    | Failed
    | Done
)

_T = TypeVar("_T")


class SseParser:
    """Server-sent events out of bytes in any chunking (WHATWG HTML, 9.2.6), as lines of text.

    Ends of line are LF, CRLF or CR; comments (pings) are dropped; bytes that are not UTF-8 become
    U+FFFD. Of the fields only ``data`` counts, and ``error``, which llama-server once used.
    """

    _LINE_END = re.compile(r"\r\n|\n|\r")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._line: list[str] = []
        self._line_length = 0
        self._after_cr = False
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The events that this chunk completes. Raises GputuiError for a line that has no end."""
        yield from self._take(self._decoder.decode(chunk))

    def close(self) -> Iterator[str]:
        """The event that the end of the stream completes, if any."""
        yield from self._take(self._decoder.decode(b"", final=True) + "\n\n")

    def _take(self, text: str) -> Iterator[str]:
        if not text:
            return
        if self._after_cr and text[0] == "\n":  # the second half of a CRLF
            text = text[1:]
        self._after_cr = text.endswith("\r") if text else False
        *ended, rest = self._LINE_END.split(text)
        for end in ended:
            self._line.append(end)
            yield from self._end_line("".join(self._line))
            self._line.clear()
            self._line_length = 0
        self._line.append(rest)
        self._line_length += len(rest)
        if self._line_length > MAX_LINE:
            raise GputuiError(
                f"The server sent a line of more than {MAX_LINE >> 20} MiB",
                "That is no chat completion: check the endpoint's url.",
            )

    def _end_line(self, line: str) -> Iterator[str]:
        if not line:
            yield from self._end_event()
            return
        if line.startswith('{"'):  # Ollama's error in mid-stream: the bare object, no event
            yield from self._end_event()
            yield line
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "error":
            self._data.append(f'{{"error": {value}}}')

    def _end_event(self) -> Iterator[str]:
        if self._data:
            yield "\n".join(self._data)
            self._data.clear()


class EventParser:
    """Events of a chat completion out of bytes in any chunking; ``key`` stands in no error."""

    def __init__(self, key: str = "") -> None:
        self._key = key
        self._sse = SseParser()
        self._model: str | None = None

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that this chunk completes."""
        for payload in self._sse.feed(chunk):
            yield from self._parse(payload)

    def close(self) -> Iterator[Event]:
        """The events that the end of the stream completes."""
        for payload in self._sse.close():
            yield from self._parse(payload)

    def _parse(self, payload: str) -> Iterator[Event]:
        if not payload.strip():
            return
        if payload.strip() == "[DONE]":
            yield Done()
            return
        try:
            body = decode(payload)
        except ValueError:
            said = clean_line(redacted(payload, self._key), 80)
            yield Failed(
                GputuiError(
                    f'The server sent something that is not JSON: "{said}"',
                    "Is a proxy in between? Check the endpoint's url.",
                )
            )
            return
        for event in events_of(body, self._key):
            if isinstance(event, ModelNamed):
                if event.model == self._model:
                    continue
                self._model = event.model
            yield event


def decode(payload: str | bytes) -> Any:
    """A JSON value. msgspec refuses lone surrogates and NaN, which some servers send: json does not.

    Raises ValueError for what is not JSON.
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = payload if isinstance(payload, str) else payload.decode(errors="replace")
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def events_of(body: Any, key: str = "") -> Iterator[Event]:
    """The events in one JSON object of a stream, or in a whole completion that was not streamed.

    A field that is missing, unknown or of another type counts as not there.
    """
    if not isinstance(body, dict):
        return
    if body.get("error") or body.get("object") == "error":
        yield Failed(error_of(body, key))
        return
    if isinstance(model := body.get("model"), str) and model:
        yield ModelNamed(model)
    if progress := _lenient(PromptProgress, body.get("prompt_progress")):
        yield progress
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        yield from _choice_events(choices[0])
    if usage := _lenient(Usage, _flat_usage(body.get("usage"))):
        yield usage
    timings = _lenient(Timings, body.get("timings"))
    if timings and progress is None:  # beside progress they are those of the slot's task before
        yield timings


def _choice_events(choice: dict[str, Any]) -> Iterator[Event]:
    delta = choice.get("delta") or choice.get("message")
    if isinstance(delta, dict):
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            yield TextDelta(reasoning, reasoning=True)
        content = delta.get("content") or delta.get("refusal")
        if isinstance(content, str) and content:
            yield TextDelta(content)
        yield from _tool_calls(delta)
    if isinstance(reason := choice.get("finish_reason"), str) and reason:
        yield Finished(clean_line(reason, 40))


def _tool_calls(delta: dict[str, Any]) -> Iterator[Event]:
    """The first piece of each call names it; its arguments follow in pieces without a name."""
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and name:
            yield ToolCalled(clean_line(name, 80))


def _flat_usage(usage: Any) -> Any:
    """OpenAI's usage with the one count that is a level deeper beside the others."""
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    if not isinstance(details, dict):
        return usage
    return usage | {"reasoning_tokens": details.get("reasoning_tokens")}


def _lenient(kind: type[_T], value: Any) -> _T | None:
    """``value`` as a ``kind``, without the fields of another type and the counts that can be none;
    None where nothing is left."""
    if not isinstance(value, dict):
        return None
    found = {}
    for name, type_ in _types()[kind].items():
        try:
            item = msgspec.convert(value.get(name), type_)
        except msgspec.ValidationError:
            continue
        if not isinstance(item, int) or 0 <= item <= MOST_COUNTED:
            found[name] = item
    return kind(**found) if any(item is not None for item in found.values()) else None


@cache
def _types() -> dict[type, dict[str, Any]]:
    """Of what is read leniently, the fields and their types: to look them up costs more than to read a
    token."""
    return {kind: get_type_hints(kind) for kind in (Usage, Timings, PromptProgress)}
