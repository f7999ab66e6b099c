"""Pieces of an answer are stamped when they arrive, though they are read later, several in one go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore
import pytest

from gputui.chat.answering.arrivals import READ_SECONDS, StampedBackend, StampedStream, stamps
from tests.chat.talking import until


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[StampedStream, socket.socket, Clock]]:
    """A connection, the server's end of it, and the clock of its stamps."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        stream = await StampedBackend().connect_tcp("127.0.0.1", port)
        assert isinstance(stream, StampedStream)
        clock = stream._clock = Clock()
        server, _ = await asyncio.to_thread(listening.accept)
        try:
            yield stream, server, clock
        finally:
            server.close()
            await stream.aclose()


async def arrived(stream: StampedStream, count: int) -> None:
    """Until so many pieces are there that nobody has read."""
    await until(lambda: len(stream._pieces) >= count)


async def test_each_piece_has_the_time_at_which_it_came_and_not_that_of_the_reading() -> None:
    async with connected() as (stream, server, clock):
        reading = asyncio.create_task(stream.read(1 << 16))
        server.sendall(b"first")
        assert await reading == b"first"
        assert stream.read_at == 100.0, "the first is not kept waiting"
        for number in range(5):
            clock.now += READ_SECONDS / 10
            server.sendall(b"%d" % number)
            await arrived(stream, number + 1)
        clock.now += 50
        times = []
        for number in range(5):
            assert await stream.read(1 << 16) == b"%d" % number
            times.append(stream.read_at)
        assert times == pytest.approx([100 + READ_SECONDS / 10 * n for n in range(1, 6)])


async def test_whoever_reads_is_woken_once_for_several_pieces_and_at_once_by_the_end() -> None:
    async with connected() as (stream, server, clock):
        server.sendall(b"first")
        assert await stream.read(1 << 16) == b"first"
        clock.now += READ_SECONDS / 2
        stream._woken_at = clock.now
        reading = asyncio.create_task(stream.read(1 << 16))
        for number in range(3):
            server.sendall(b"%d" % number)
            await arrived(stream, number + 1)
        assert not reading.done()
        server.sendall(b"data: [DONE]\n\n")
        assert await reading == b"0"
        assert stream.read_at == clock.now
        server.close()
        assert [await stream.read(1 << 16) for _ in range(4)] == [
            b"1",
            b"2",
            b"data: [DONE]\n\n",
            b"",
        ]


async def test_a_piece_that_is_alone_is_read_soon() -> None:
    async with connected() as (stream, server, clock):
        stream._woken_at = clock.now
        server.sendall(b"alone")
        async with asyncio.timeout(30):
            assert await stream.read(1 << 16) == b"alone"


async def test_a_reset_is_a_failure_and_a_time_out_too() -> None:
    async with connected() as (stream, server, _):
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1 << 16, timeout=0.01)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        with pytest.raises(httpcore.ReadError):
            await stream.read(1 << 16)


async def test_a_server_that_sends_more_than_is_read_has_to_wait() -> None:
    async with connected() as (stream, server, _):
        server.sendall(b"x")
        assert await stream.read(1 << 16) == b"x"
        sending = asyncio.create_task(asyncio.to_thread(server.sendall, bytes(96 << 20)))
        await until(lambda: not stream._listens)
        assert not sending.done()
        held, received = (
            sum(len(piece) for _, piece in stream._pieces if isinstance(piece, bytes)),
            0,
        )
        assert held <= 32 << 20
        while received < 96 << 20:
            received += len(await stream.read(1 << 16))
        await sending


async def test_other_streams_are_stamped_as_they_are_read() -> None:
    assert stamps(None)() > 0
    async with connected() as (stream, server, _):
        server.sendall(b"first")
        await stream.read(1 << 16)
        assert stamps(stream)() == 100.0


async def test_no_more_is_read_at_a_time_than_was_asked_for() -> None:
    async with connected() as (stream, server, clock):
        server.sendall(b"first")
        assert await stream.read(2) == b"fi"
        clock.now += 1
        server.sendall(b"second")
        await arrived(stream, 2)
        assert (await stream.read(2), stream.read_at) == (b"rs", 100.0)
        assert (await stream.read(2), stream.read_at) == (b"t", 100.0)
        assert (await stream.read(6), stream.read_at) == (b"second", 101.0)


async def test_closing_wakes_whoever_reads() -> None:
    async with connected() as (stream, _, _), asyncio.timeout(30):
        reading = asyncio.create_task(stream.read(1 << 16))
        await until(lambda: stream._waiter is not None)
        await stream.aclose()
        with pytest.raises(httpcore.ReadError):
            await reading


@pytest.mark.parametrize("read_before", [True, False])
async def test_nothing_is_read_from_a_closed_connection(read_before: bool) -> None:
    async with connected() as (stream, server, _):
        if read_before:
            server.sendall(b"first")
            assert await stream.read(2) == b"fi"
        await stream.aclose()
        with pytest.raises(httpcore.ReadError):
            await stream.read(1 << 16)


async def test_a_socket_that_is_gone_before_the_first_reading_is_a_failure_to_read() -> None:
    async with connected() as (stream, _, _):
        await stream._stream.aclose()
        await asyncio.sleep(0)  # the event loop closes the socket in its next turn
        with pytest.raises(httpcore.ReadError):
            await stream.read(1 << 16)
