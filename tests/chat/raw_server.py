"""A server whose every byte a test decides: what no HTTP library would send, and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from gputui.chat.model import Endpoint, Secret


@dataclass
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    body: Any


Responder = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Answers the n-th request with the n-th responder, the last one again after that."""

    url: str
    requests: list[Request] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def endpoint(self, name: str = "raw", **more: Any) -> Endpoint:
        """This server as an endpoint."""
        key = more.pop("key", None)
        return Endpoint(name, f"{self.url}/v1", api_key=Secret(key) if key else None, **more)


@contextlib.asynccontextmanager
async def serve(*responders: Responder) -> AsyncIterator[RawServer]:
    """Serve on a free port of the loopback for the length of the block."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            request = await _read_request(reader)
            server.requests.append(request)
            number = min(len(server.requests), len(responders)) - 1
            answering = asyncio.ensure_future(responders[number](request, writer))
            gone = asyncio.ensure_future(reader.read())
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not answering.done():
                server.hung_up.set()
                answering.cancel()
            await asyncio.wait({answering})
            gone.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left before it had asked
        finally:
            writer.close()
            connections.discard(task)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server = RawServer(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield server
    finally:
        listener.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await listener.wait_closed()


def reply(
    *chunks: bytes, status: int = 200, kind: str = "text/event-stream", **headers: str
) -> Responder:
    """Send these chunks one by one, then close."""

    async def respond(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, kind, **headers))
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.001)

    return respond


def reply_json(body: object, status: int = 400, **headers: str) -> Responder:
    """Send a JSON body."""
    return reply(json.dumps(body).encode(), status=status, kind="application/json", **headers)


def reply_then(*chunks: bytes, wait: asyncio.Event, rest: bytes = b"") -> Responder:
    """Send these chunks, wait for the event, send the rest, then close."""

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        await reply(*chunks)(request, writer)
        await wait.wait()
        writer.write(rest)
        await writer.drain()

    return respond


async def break_off(_: Request, writer: asyncio.StreamWriter) -> None:
    """Promise a body of some length and close before it is complete."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
    )
    writer.write(b'data: {"choices":[{"delta":{"content":"half an "}}]}\n\n')
    await writer.drain()


async def hang_up(_: Request, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    writer.transport.abort()


def head(status: int, kind: str, **headers: str) -> bytes:
    """A response's head, for a body that ends with the connection."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    original = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    headers |= {name.lower(): value for name, value in original.items()}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(lines[0].split(" ")[1], headers, json.loads(body or b"null"))
