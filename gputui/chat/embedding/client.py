"""Asking a server for embeddings: ``POST /v1/embeddings`` in batches, every failure in words."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from gputui.chat.answering.failures import http_failure, transport_failure
from gputui.chat.answering.overflow import ContextExceededError
from gputui.chat.answering.wire import decode
from gputui.chat.embedding.similarity import normalised
from gputui.chat.model import Endpoint, Figure
from gputui.errors import GputuiError
from gputui.text import clean_line

BATCH = 16
"""Texts of one request; llama-server computes them one after the other in any case."""
MOST_TEXTS = 256
"""Of which the similarity of each pair is still reckoned in seconds."""
_SECONDS = httpx.Timeout(300.0, connect=5.0)
_MOST_BYTES = 256 << 20
_TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large.*current batch size: (\d+)")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of length 1, one for each text, in their order.

    ``tokens`` is the server's count of all of them, ``seconds`` what the requests took by our clock;
    ``tokens_per_second`` is of both, so the origin is "client". None: the server does not say.
    """

    texts: Sequence[str]
    vectors: Sequence[Sequence[float]]
    model: str
    tokens: Figure | None
    seconds: float

    @property
    def dimensions(self) -> int:
        """Of each vector."""
        return len(self.vectors[0]) if self.vectors else 0

    @property
    def tokens_per_second(self) -> Figure | None:
        """How fast the server took the texts in."""
        if self.tokens is None or self.seconds <= 0:
            return None
        return Figure(self.tokens.value / self.seconds, "client")


@dataclass(frozen=True, slots=True)
class _Part:
    """One request's answer."""

    vectors: Sequence[Sequence[float]]
    tokens: int | None
    model: str


class _TooLongError(GputuiError):
    """A text of the request is longer than the server can take."""


async def embed(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    texts: Sequence[str],
    told: Callable[[int], None] = lambda _done: None,
) -> Embedded:
    """The texts as vectors. ``told`` hears after each batch how many are done. Raises GputuiError."""
    check_texts(texts)
    parts: list[_Part] = []
    took = 0.0
    for first in range(0, len(texts), BATCH):
        began = time.monotonic()
        parts.append(await _batch(client, endpoint, texts[first : first + BATCH], first))
        took += time.monotonic() - began
        told(first + len(parts[-1].vectors))
    vectors = await asyncio.to_thread(_normalised, parts)
    counts = [part.tokens for part in parts if part.tokens is not None]
    tokens = Figure(sum(counts), "server") if len(counts) == len(parts) else None
    model = endpoint.served_model or parts[0].model or endpoint.model or endpoint.name
    return Embedded(tuple(texts), vectors, model, tokens, took)


def _normalised(parts: Sequence[_Part]) -> list[list[float]]:
    vectors = (one for part in parts for one in part.vectors)
    return [normalised(vector, f"text {number}") for number, vector in enumerate(vectors, 1)]


def check_texts(texts: Sequence[str]) -> None:
    """Raises GputuiError where there is nothing to compare, or too much."""
    if len(texts) < 2:
        raise GputuiError("There is one text at most", "Two are needed to compare.")
    if len(texts) > MOST_TEXTS:
        raise GputuiError(f"There are {len(texts)} texts", f"At most {MOST_TEXTS} are compared.")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise GputuiError(f"Text {number} is empty", "Leave it out.")


async def _batch(
    client: httpx.AsyncClient, endpoint: Endpoint, texts: Sequence[str], first: int
) -> _Part:
    """One request; where a text is too long for the server, which one it is."""
    try:
        return await _ask(client, endpoint, texts)
    except _TooLongError as error:
        for place, text in enumerate(texts) if len(texts) > 1 else ():
            try:
                await _ask(client, endpoint, [text])
            except _TooLongError as its_own:
                raise _numbered(its_own, first + place + 1) from None
        raise _numbered(error, first + 1) from None


def _numbered(error: GputuiError, number: int) -> GputuiError:
    return GputuiError(f"Text {number}: {error.message}", error.hint)


async def _ask(client: httpx.AsyncClient, endpoint: Endpoint, texts: Sequence[str]) -> _Part:
    model = endpoint.model or endpoint.expected_model
    body = {"input": list(texts), "encoding_format": "float"} | ({"model": model} if model else {})
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key.reveal()}"
    try:
        async with client.stream(
            "POST",
            f"{endpoint.url}/embeddings",
            content=msgspec.json.encode(body),
            headers=headers,
            timeout=_SECONDS,
        ) as response:
            content = await _read(response)
    except httpx.HTTPError as error:
        raise transport_failure(endpoint, error) from error
    except httpx.InvalidURL as error:
        raise GputuiError(f"{endpoint.name}: {endpoint.url} is no URL: {error}") from error
    part = _part(content, len(texts)) if response.status_code == 200 else None
    if part is None:
        raise _failure(endpoint, response, content)
    if endpoint.expected_model and part.model not in ("", endpoint.expected_model):
        raise GputuiError(
            f"{endpoint.name}: {part.model} answers at {endpoint.url} instead",
            f"Another server took its place: start {endpoint.name} again, or choose another.",
        )
    return part


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise GputuiError("The server sends more than 256 MiB", "Those are no embeddings.")
    return bytes(body)


def _failure(endpoint: Endpoint, response: httpx.Response, body: bytes) -> GputuiError:
    error = http_failure(endpoint, response, body)
    if found := _TOO_LARGE.search(error.message):
        return _TooLongError(
            f"{endpoint.name} takes {found[2]} tokens of a text, and this one has {found[1]}",
            f"Set batch_size and ubatch_size of the instance to {found[1]} at least, or shorten it.",
        )
    if isinstance(error, ContextExceededError):
        return _TooLongError(error.message, "Shorten it, or give the server a larger ctx_size.")
    if "ooling type" in error.message:
        return GputuiError(error.message, 'Set args = ["--pooling", "mean"] of the instance.')
    if "/chat/completions" in error.message:
        return GputuiError(
            f"{endpoint.name}: nothing is served at {endpoint.url}/embeddings", error.hint
        )
    if response.status_code == 200 and "web page" not in error.message:
        return GputuiError(
            f"{endpoint.name}: answered with something that is no list of embeddings",
            "Does it make embeddings, one for each text? Check the endpoint's url.",
        )
    return error


def _part(body: bytes, count: int) -> _Part | None:
    """What an answer holds; None where it is not one vector for each text."""
    try:
        parsed = decode(body)
    except ValueError:
        return None
    data = parsed.get("data") if isinstance(parsed, dict) else None
    if not isinstance(data, list) or len(data) != count:
        return None
    found: dict[int, list[float]] = {}
    for place, item in enumerate(data):
        vector = _vector(item)
        index = item.get("index", place) if isinstance(item, dict) else place
        if vector is None or not isinstance(index, int) or not 0 <= index < count:
            return None
        found[index] = vector
    if len(found) != count:
        return None
    usage = parsed.get("usage")
    model = parsed.get("model")
    return _Part(
        [found[index] for index in range(count)],
        _count(usage),
        clean_line(model, 120) if isinstance(model, str) else "",
    )


def _vector(item: Any) -> list[float] | None:
    numbers = item.get("embedding") if isinstance(item, dict) else None
    if not isinstance(numbers, list) or not numbers:
        return None
    if not all(type(one) in (int, float) or one is None for one in numbers):
        return None
    return [float("nan") if one is None else float(one) for one in numbers]  # NaN goes as null


def _count(usage: Any) -> int | None:
    for name in ("prompt_tokens", "total_tokens"):
        value = usage.get(name) if isinstance(usage, dict) else None
        if type(value) is int and value >= 0:
            return value
    return None
