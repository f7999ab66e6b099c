"""The streaming client: one request, its events as they arrive, every failure in words."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any, TypeVar

import httpx
import msgspec

from gputui.chat.answering.arrivals import StampedBackend, stamps
from gputui.chat.answering.banner import LoadingBanner
from gputui.chat.answering.failures import (
    http_failure,
    key_of,
    reported_failure,
    transport_failure,
)
from gputui.chat.answering.refusals import MOST_TRIES, Refusals, left_out, refused, without
from gputui.chat.answering.wire import (
    Done,
    Event,
    EventParser,
    Failed,
    Finished,
    LeftOut,
    ModelNamed,
    RequestSent,
    TextDelta,
    ToolCalled,
    decode,
    events_of,
)
from gputui.chat.model import Endpoint, Message, Sampling
from gputui.errors import GputuiError
from gputui.text import clean_line

_CONNECT_SECONDS = 5.0
_MANY_MESSAGES = 500
_MAX_ERROR_BODY = 64 << 10
_MAX_WHOLE_BODY = 16 << 20
_UNPACKED = ("", "identity", "gzip", "deflate")
"""How an answer may be packed, though none was asked for."""
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Events that came in one piece. ``at``: when the piece arrived, on the monotonic clock."""

    at: float
    events: tuple[Event, ...]


def make_client() -> httpx.AsyncClient:
    """The HTTP client of a conversation: no proxy from the environment, no redirects.

    A prompt may take minutes to process, so reading has no time-out; TCP's keep-alive finds a host
    that is gone. Connections are not kept: each answer is timed alike, and closing one ends it.
    """
    keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if (number := getattr(socket, option, None)) is not None:
            keep_alive.append((socket.IPPROTO_TCP, number, value))
    transport = httpx.AsyncHTTPTransport(
        verify=ssl.create_default_context(),
        limits=httpx.Limits(max_keepalive_connections=0),
        socket_options=keep_alive,
    )
    transport._pool._network_backend = StampedBackend()  # httpx (0.28) has no argument for it
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS, write=30.0),
        trust_env=False,
        follow_redirects=False,
    )


async def stream(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    messages: Sequence[Message],
    sampling: Sampling,
    refusals: Refusals | None = None,
) -> AsyncGenerator[Arrival, None]:
    """One chat completion, streamed. Each request sent is an arrival of ``RequestSent`` first.

    A server that refuses fields of the request is asked again without them, and ``LeftOut`` says which
    of ``sampling`` it did without; ``refusals`` remembers that for the next prompt. Raises GputuiError
    for everything that can go wrong, in mid-stream too. Close the iterator (``contextlib.aclosing``) to
    stop the answer: that closes the connection.
    """
    payload = await _off_the_loop(messages, request_body, endpoint, messages, sampling)
    refusals = refusals or Refusals()
    names, tries = refusals.of(endpoint), 0
    try:
        while True:
            tries += 1
            sent = without(payload, names)
            content = await _off_the_loop(messages, msgspec.json.encode, sent)
            yield Arrival(time.monotonic(), (RequestSent(),))
            async with _posted(client, endpoint, content) as response:
                if response.status_code == 200:
                    refusals.remember(endpoint, names)
                    if missing := left_out(payload, names):
                        yield Arrival(time.monotonic(), (LeftOut(missing),))
                    async with contextlib.aclosing(_read(response, endpoint)) as arrivals:
                        async for arrival in arrivals:
                            _refuse_other_model(endpoint, arrival.events)
                            yield arrival
                    return
                body = await _read_body(response, _MAX_ERROR_BODY)
                refusal = refused(sent, response.status_code, body, llama=endpoint.llama)
                if refusal is not None:
                    refusals.remember(endpoint, refusal.named)
                if refusal is None or tries == MOST_TRIES:
                    raise http_failure(endpoint, response, body)
                names |= refusal.names
    except httpx.HTTPError as error:
        raise transport_failure(endpoint, error) from error
    except httpx.InvalidURL as error:
        raise GputuiError(f"{endpoint.name}: {endpoint.url} is no URL: {error}") from error


def _posted(
    client: httpx.AsyncClient, endpoint: Endpoint, content: bytes
) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
    return client.stream(
        "POST",
        f"{endpoint.url}/chat/completions",
        content=content,
        headers=_headers(endpoint),
    )


def request_body(
    endpoint: Endpoint, messages: Sequence[Message], sampling: Sampling
) -> dict[str, Any]:
    """The request as JSON takes it; what is None is left to the server."""
    chosen = {
        # llama-server ignores it; builds before its alias was reported repeat it in the answer.
        "model": endpoint.model or endpoint.expected_model,
        **asdict(sampling),
    }
    return {
        "messages": [{"role": item.role, "content": _content(item)} for item in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,
        "return_progress": True,
        **{key: value for key, value in chosen.items() if value is not None},
    }


async def _off_the_loop(
    messages: Sequence[Message], make: Callable[..., _Made], *arguments: Any
) -> _Made:
    """What ``make`` makes, on a thread where there is much to do: megabytes hold up every key."""
    if len(messages) > _MANY_MESSAGES or any(message.images for message in messages):
        return await asyncio.to_thread(make, *arguments)
    return make(*arguments)


def _content(message: Message) -> str | list[dict[str, Any]]:
    """A text, or with pictures its parts, as OpenAI's API takes them."""
    if not message.images:
        return message.content
    urls = (
        f"data:{one.media_type};base64,{base64.b64encode(one.data).decode()}"
        for one in message.images
    )
    text = {"type": "text", "text": message.content}
    return [text, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]


def _headers(endpoint: Endpoint) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    headers["Accept-Encoding"] = "identity"  # a compressed stream arrives in lumps
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key.reveal()}"
    return headers


@dataclass(slots=True)
class _Ending:
    """What an answer said of its end. ``done``: no more comes; ``tool``: the model calls one."""

    said: bool = False
    done: bool = False
    tool: str | None = None

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            self.said = self.said or isinstance(event, Finished | Done)
            self.done = self.done or isinstance(event, Done)
            if isinstance(event, ToolCalled):
                self.tool = self.tool or event.name

    def check(self, endpoint: Endpoint) -> None:
        """Raise GputuiError where the answer is none, or not whole."""
        if self.tool is not None:
            raise GputuiError(
                f"{endpoint.name}: the model calls a tool, {self.tool}, instead of answering",
                "gputui gives it no tools: is one configured at the server? Or ask otherwise.",
            )
        if not self.said:
            raise GputuiError(
                f"{endpoint.name}: the server closed the connection before the answer was complete",
                "It may have crashed or been stopped: look at its log, and retry this side.",
            )


async def _read(response: httpx.Response, endpoint: Endpoint) -> AsyncGenerator[Arrival, None]:
    packed = response.headers.get("content-encoding", "").strip().lower()
    if packed not in _UNPACKED:
        raise GputuiError(
            f"{endpoint.name}: the answer is packed ({clean_line(packed, 40)}) though that was not asked for",
            "Is a proxy in between? Have it pass the answer on as it is.",
        )
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    ending = _Ending()
    if kind in ("text/html", "application/json"):
        body = await _read_body(response, _MAX_WHOLE_BODY)
        arrival = Arrival(time.monotonic(), tuple(_whole_answer(kind, body, response, endpoint)))
        _raise_failed(endpoint, arrival.events)
        ending.take((*arrival.events, Done()))
        yield arrival
    else:
        async with contextlib.aclosing(_read_stream(response, endpoint)) as arrivals:
            async for arrival in arrivals:
                ending.take(arrival.events)
                yield arrival
                if ending.done:
                    break
    ending.check(endpoint)


async def _read_stream(
    response: httpx.Response, endpoint: Endpoint
) -> AsyncGenerator[Arrival, None]:
    parser, banner = EventParser(key_of(endpoint)), LoadingBanner()
    arrived = stamps(response.extensions.get("network_stream"))
    async for chunk in response.aiter_bytes():
        at = arrived()
        events = tuple(banner.pass_on(parser.feed(chunk)))
        if events:
            yield Arrival(at, _before_failure(events))
            _raise_failed(endpoint, events)
    events = tuple(banner.pass_on(parser.close()))
    yield Arrival(time.monotonic(), _before_failure(events))
    _raise_failed(endpoint, events)


def _whole_answer(
    kind: str, body: bytes, response: httpx.Response, endpoint: Endpoint
) -> Iterator[Event]:
    """A server that does not stream sends one JSON object; a proxy sends a page."""
    if kind == "text/html":
        raise http_failure(endpoint, response, body)
    try:
        events = tuple(events_of(decode(body), key_of(endpoint)))
    except ValueError:
        raise http_failure(endpoint, response, body) from None
    if not any(isinstance(event, TextDelta | Finished | ToolCalled | Failed) for event in events):
        raise http_failure(endpoint, response, body)
    yield from events


def _before_failure(events: tuple[Event, ...]) -> tuple[Event, ...]:
    return tuple(takewhile(lambda event: not isinstance(event, Failed), events))


def _raise_failed(endpoint: Endpoint, events: Sequence[Event]) -> None:
    for event in events:
        if isinstance(event, Failed):
            raise reported_failure(endpoint, event.error)


def _refuse_other_model(endpoint: Endpoint, events: Sequence[Event]) -> None:
    """Two instances may share a port: what one says never stands under the other's name."""
    expected = endpoint.expected_model
    for event in events:
        if expected is not None and isinstance(event, ModelNamed) and event.model != expected:
            raise GputuiError(
                f"{endpoint.name}: {clean_line(event.model, 80)} answers at {endpoint.url} instead",
                f"Another server took its place: start {endpoint.name} again, or choose another.",
            )


async def _read_body(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])
