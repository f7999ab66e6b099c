"""Recorded exchanges with chat servers, as files that can be read: ``exchanges/*.txt``.

A file begins with settings, one a line: ``about`` (what it shows), ``source`` (where the format is
known from), ``endpoint`` (``model=… key=…``), ``sampling`` (``top_k=40 …``), ``eol: crlf`` (the body's
ends of line), ``cut: bytes`` (the body goes out a byte at a time). Then sections:

``=== request``  what the client must send: the request line, headers, then ``has: a b`` and ``lacks: a b``
    for the fields of the body. ``{url}`` anywhere is where the server is.
``=== response``  the bytes that go out: status line, headers, an empty line, the body. ``\\xNN`` is a byte;
    a line ``---`` is where one piece ends and the next begins. ``transfer-encoding: chunked`` and
    ``content-encoding: gzip`` are carried out.
``=== expect``  ``text``, ``reasoning``, ``finish``, ``model``, ``left_out``, ``events`` (their names in order,
    repeated ones once), figures (``prompt_tokens: 12 server``), ``error``, ``hint`` (words that are in them).
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chat.raw_server import Request, Responder

FOLDER = Path(__file__).parent / "exchanges"


@dataclass
class Recorded:
    """One file. ``requests`` and ``responses`` are in pairs."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    requests: list[list[str]] = field(default_factory=list)
    responses: list[list[str]] = field(default_factory=list)
    expect: dict[str, str] = field(default_factory=dict)

    def assignments(self, setting: str) -> dict[str, str]:
        """``a=b c=d`` of a setting."""
        return dict(one.split("=", 1) for one in self.settings.get(setting, "").split())

    def responders(self) -> Iterator[Responder]:
        """One for each response, byte for byte."""
        for lines in self.responses:
            yield _responder(self._head(lines), self._pieces(lines))

    def _head(self, lines: list[str]) -> list[str]:
        return lines[: lines.index("")] if "" in lines else lines

    def _pieces(self, lines: list[str]) -> list[bytes]:
        end = b"\r\n" if self.settings.get("eol") == "crlf" else b"\n"
        pieces = [b""]
        for line in lines[len(self._head(lines)) + 1 :]:
            if line == "---":
                pieces.append(b"")
            else:
                pieces[-1] += _bytes(line) + end
        if any(line.lower() == "content-encoding: gzip" for line in self._head(lines)):
            pieces = [gzip.compress(b"".join(pieces), mtime=0)]
        if self.settings.get("cut") == "bytes":
            return [bytes([one]) for one in b"".join(pieces)]
        return pieces


def recorded() -> list[Recorded]:
    """All of them, by name."""
    return [load(path) for path in sorted(FOLDER.glob("*.txt"))]


def load(path: Path) -> Recorded:
    """One file. Raises ValueError for a section or setting that is not known."""
    one = Recorded(path.stem)
    target: list[str] | dict[str, str] = one.settings
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("=== "):
            target = _section(one, line.removeprefix("=== "))
        elif isinstance(target, list):
            target.append(line)
        elif line and not line.startswith("#"):
            key, _, value = line.partition(":")
            target[key] = value.strip()
    if not one.responses or len(one.requests) != len(one.responses) or not one.expect:
        raise ValueError(f"{path}: requests and responses in pairs, and what to expect")
    return one


def _section(one: Recorded, name: str) -> list[str] | dict[str, str]:
    if name == "expect":
        return one.expect
    sections = {"request": one.requests, "response": one.responses}[name]
    sections.append([])
    return sections[-1]


def check_request(lines: list[str], request: Request, url: str) -> None:
    """Whether the client sent what the file says."""
    said = [line for line in lines if line]
    assert said[0] == f"POST {request.path}"
    for line in said[1:]:
        key, _, value = line.partition(": ")
        if key in ("has", "lacks"):
            for name in value.split():
                assert (name in request.body) is (key == "has"), f"{key} {name}"
        else:
            assert request.headers.get(key) == value.replace("{url}", url)


def _bytes(line: str) -> bytes:
    r"""The line in UTF-8, each ``\xNN`` as that byte."""
    parts = re.split(r"\\x([0-9a-f]{2})", line)
    return b"".join(
        bytes([int(part, 16)]) if number % 2 else part.encode() for number, part in enumerate(parts)
    )


def _responder(head: list[str], pieces: list[bytes]) -> Responder:
    chunked = any(line.lower() == "transfer-encoding: chunked" for line in head)

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        url = f"http://{request.headers['host']}"
        lines = [line.replace("{url}", url) for line in head]
        if not chunked and not any(line.lower().startswith("content-length") for line in head):
            lines.append("connection: close")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
            await asyncio.sleep(0)
        if chunked:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    return respond
