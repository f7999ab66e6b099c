"""Bytes from a server, stamped where they arrive, and read in fewer goes than they come in.

Each token comes in a packet of its own. To pass it through the layers of an HTTP client costs a wake-up of
each, 200 times a second; to note when it came costs next to nothing. So that is done at once, and the
layers are woken 25 times a second.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable

import httpcore

READ_SECONDS = 0.04
"""From one reading to the next at least, while bytes keep coming: two and a half to a drawing."""
_PIECE = 1 << 16
_MOST_PIECES = 256
"""As many that nobody reads yet; then the server waits."""
_END = b"[DONE]"


class StampedBackend(httpcore.AnyIOBackend):
    """Connections whose bytes are stamped. Those through TLS are stamped as they are read: what is in a
    packet is known only then."""

    async def connect_tcp(  # noqa: D102
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        return StampedStream(stream)


class StampedStream(httpcore.AsyncNetworkStream):
    """One connection. ``read_at`` is when the piece arrived that was read last, on the monotonic clock.

    It reads the socket itself, through a descriptor of its own; all else is left to the stream beneath,
    which reads nothing unless it is asked to.
    """

    def __init__(
        self,
        stream: httpcore.AsyncNetworkStream,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.read_at = 0.0
        self._stream = stream
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._pieces: deque[tuple[float, bytes | OSError]] = deque()
        self._listens = False
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._woken_at = 0.0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next piece that arrived, or as much of it as is wanted; b"" at the end."""
        self._refuse_closed()
        self._listen()
        if not self._pieces:
            await self._arrival(timeout)
        self.read_at, piece = self._pieces.popleft()
        if isinstance(piece, OSError):
            raise httpcore.ReadError(str(piece)) from piece
        if len(piece) > max_bytes:
            self._pieces.appendleft((self.read_at, piece[max_bytes:]))
        return piece[:max_bytes]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109, D102
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Whoever reads, or would read later, is told that it is closed."""
        self._closed = True
        self._deafen()
        self._pieces.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._wake()
        await self._stream.aclose()

    async def start_tls(  # noqa: D102
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return await self._stream.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> object:  # noqa: D102
        return self._stream.get_extra_info(info)

    async def _arrival(self, timeout: float | None) -> None:  # noqa: ASYNC109
        """Return once there is a piece. Raises httpcore.ReadTimeout; ReadError where it is closed meanwhile."""
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        finally:
            self._waiter = None
            self._woken_at = self._clock()
        self._refuse_closed()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise httpcore.ReadError("the connection is closed")

    def _listen(self) -> None:
        if self._listens:
            return
        if self._socket is None:
            try:
                own = os.dup(self._stream.get_extra_info("socket").fileno())
            except OSError as error:  # a write failed, which closed it
                raise httpcore.ReadError(str(error)) from error
            self._socket = socket.socket(fileno=own)
            self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._take)
        self._listens = True

    def _deafen(self) -> None:
        if self._listens and self._socket is not None:
            self._loop.remove_reader(self._socket)
        self._listens = False

    def _take(self) -> None:
        """Bytes are there, or the end."""
        assert self._socket is not None  # noqa: S101 - it is listened to
        at = self._clock()
        try:
            piece: bytes | OSError = self._socket.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            piece = error
        over = isinstance(piece, OSError) or not piece
        self._pieces.append((at, piece))
        if over or len(self._pieces) >= _MOST_PIECES:
            self._deafen()
        wait = self._woken_at + READ_SECONDS - at
        if over or wait <= 0 or (isinstance(piece, bytes) and _END in piece):
            self._wake()
        elif len(self._pieces) == 1:
            self._loop.call_later(wait, self._wake)

    def _wake(self) -> None:
        there = self._pieces or self._closed
        if there and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def stamps(stream: object) -> Callable[[], float]:
    """When what was read last from there arrived, as far as that is known; else now."""
    if not isinstance(stream, StampedStream):
        return time.monotonic
    return lambda: stream.read_at
