"""A server that streams both sides' answers at an exact rate and keeps when each token was sent.

    python -m tests.bench.token_server FOLDER KIND RATE COUNT

One process for both: ``/a/v1`` and ``/b/v1``. Its port is written to FOLDER/port; when an answer has
ended, the monotonic time at which each of its tokens went out is in FOLDER/sent-SIDE.json, and how many
answers ended so far in FOLDER/answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.bench.streams import Stream, streams

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nConnection: close\r\n{}\r\n"


class Server:
    """Answers every chat completion of a side with that side's stream."""

    def __init__(self, folder: Path, sides: dict[str, Stream], rate: float) -> None:
        self._folder = folder
        self._sides = sides
        self._rate = rate
        self._answered = 0

    async def serve(self) -> None:
        """For ever."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        _write(self._folder / "port", str(server.sockets[0].getsockname()[1]))
        await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1]
            if head.startswith("POST"):
                length = next(
                    int(line.split(":")[1])
                    for line in head.splitlines()
                    if line.lower().startswith("content-length:")
                )
                await reader.readexactly(length)
                await self._stream(path.split("/")[1], writer)
            else:
                body = json.dumps({"data": [{"id": "words"}], "status": "ok"})
                length_line = f"Content-Length: {len(body)}\r\n"
                writer.write((HEAD.format("application/json", length_line) + body).encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _stream(self, side: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD.format("text/event-stream", "").encode())
        tokens, sent = self._sides[side].tokens, []
        writer.write(_event({"role": "assistant", "content": None}))
        began = time.monotonic()
        for number, token in enumerate(tokens, 1):
            await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            writer.write(_event({"content": token}))
            sent.append(time.monotonic())
            await writer.drain()
        writer.write(_event({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": len(sent)}))
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        _write(self._folder / f"sent-{side}.json", json.dumps(sent))
        self._answered += 1
        _write(self._folder / "answered", str(self._answered))


def _event(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "1", "object": "chat.completion.chunk", "model": "words", "choices": [choice]}
    return b"data: " + json.dumps(body | more).encode() + b"\n\n"


def _write(file: Path, text: str) -> None:
    """All at once, for whoever waits for it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def main() -> None:
    """Read the command line and serve."""
    folder, kind, rate, count = sys.argv[1:]
    asyncio.run(Server(Path(folder), streams(kind, int(count)), float(rate)).serve())


if __name__ == "__main__":
    main()
