"""Two answers at 200 tokens a second each: nothing is lost, and each piece is timed as it arrives."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from pathlib import Path

import pytest

from gputui.chat.answering.client import make_client, stream
from gputui.chat.answering.wire import Event, TextDelta
from gputui.chat.model import Endpoint, Message, Sampling
from gputui.errors import GputuiError
from tests.chat.raw_server import Request, Responder, head, serve
from tests.chat.talking import last, settled, talking

TOKENS = 150
PER_SECOND = 200


def token(number: int) -> str:
    return f"tok{number} "


def at_rate(sent: list[float]) -> Responder:
    """Tokens at the rate that is meant, whatever the clock of the loop; when each went out."""

    async def respond(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "text/event-stream"))
        began = time.monotonic()
        for number in range(TOKENS):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            sent.append(time.monotonic())
            chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": token(number)}}]}
            writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            await writer.drain()
        writer.write(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        await writer.drain()

    return respond


async def test_two_sides_at_200_tokens_a_second_lose_nothing() -> None:
    sent: tuple[list[float], list[float]] = ([], [])
    async with talking((at_rate(sent[0]),), (at_rate(sent[1]),)) as (chat, _, _b):
        chat.send("go")
        await settled(chat)
        for side, times in zip("AB", sent, strict=True):
            answer = last(chat, side)
            assert answer.text == "".join(map(token, range(TOKENS)))
            assert answer.error is None
            numbers = answer.measurement
            assert numbers.completion_tokens is not None
            assert numbers.completion_tokens.value == TOKENS
            assert numbers.generation_tokens_per_second is not None
            assert numbers.generation_tokens_per_second.origin == "client"
            assert numbers.elapsed_seconds is not None
            assert numbers.elapsed_seconds >= times[-1] - times[0]


async def test_each_piece_is_stamped_after_it_went_out_and_before_it_is_handed_over() -> None:
    sent: list[float] = []
    stamped: list[tuple[float, Event]] = []
    async with serve(at_rate(sent)) as server, make_client() as client:
        async for arrival in stream(client, server.endpoint(), [Message("user", "hi")], Sampling()):
            assert arrival.at <= time.monotonic()
            stamped += [(arrival.at, event) for event in arrival.events]
            await asyncio.sleep(0)
    texts = [(at, event.text) for at, event in stamped if isinstance(event, TextDelta)]
    assert [text for _, text in texts] == [token(number) for number in range(TOKENS)]
    assert all(at >= out for (at, _), out in zip(texts, sent, strict=True))
    assert [at for at, _ in texts] == sorted(at for at, _ in texts)


async def test_a_certificate_that_nobody_signed_is_refused_before_anything_is_sent() -> None:
    received: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parent / "tls" / "self-signed.pem")
    listener = await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls)
    async with listener, make_client() as client:
        port = listener.sockets[0].getsockname()[1]
        endpoint = Endpoint("raw", f"https://127.0.0.1:{port}/v1")
        with pytest.raises(GputuiError) as caught:
            async for _ in stream(client, endpoint, [Message("user", "hi")], Sampling()):
                pass
    assert f"no secure connection to 127.0.0.1:{port}" in caught.value.message
    assert "SSL_CERT_FILE" in caught.value.hint
    assert not any(received)
