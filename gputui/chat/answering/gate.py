"""How many answers of a conversation are written at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Gate:
    """Lets ``limit`` through at a time, in the order in which they came; None lets all through.

    Used by one event loop. ``limit`` can be changed at any time, and holds for those who wait already.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._inside: list[asyncio.Future[None]] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._names: dict[asyncio.Future[None], str] = {}

    @property
    def limit(self) -> int | None:
        """How many may be within; None: all."""
        return self._limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._limit = limit
        self._admit()

    @property
    def inside(self) -> tuple[str, ...]:
        """The names of those who have a place, in the order in which they got it."""
        return tuple(self._names[place] for place in self._inside)

    @contextlib.asynccontextmanager
    async def passed(self, name: str = "") -> AsyncIterator[None]:
        """Wait for a place, and have it in the block. ``name`` is for who asks what they wait for."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._names[place] = name
        self._waiting.append(place)
        self._admit()
        try:
            await place
            yield
        finally:
            (self._waiting if place in self._waiting else self._inside).remove(place)
            del self._names[place]
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._limit is None or len(self._inside) < self._limit):
            place = self._waiting.popleft()
            self._inside.append(place)
            if not place.done():  # a cancelled one leaves by itself
                place.set_result(None)
