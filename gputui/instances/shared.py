"""One look for all who ask at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_Seen = TypeVar("_Seen")


class Shared(Generic[_Seen]):
    """Looks one at a time, however many ask. Used by one event loop.

    A look that was under way when somebody asked may not show what he has just done: he gets the next one,
    with all others who asked meanwhile. ``look`` gets the longest patience of those, in seconds.
    """

    def __init__(self, look: Callable[[float], Coroutine[Any, Any, _Seen]]) -> None:
        self._look = look
        self._now: asyncio.Task[_Seen] | None = None
        self._next: asyncio.Task[_Seen] | None = None
        self._patience = 0.0

    async def take(self, patience: float) -> _Seen:
        """What a look shows that begins after this call. Raises what the look raises."""
        self._patience = max(self._patience, patience)
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._after(self._now), name="look at instances")
            self._next.add_done_callback(_heard)
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """End what is under way."""
        for task in (self._next, self._now):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    async def _after(self, before: asyncio.Task[_Seen] | None) -> _Seen:
        if before is not None:
            await asyncio.wait({before})
        self._now, self._next = self._next, None
        patience, self._patience = self._patience, 0.0
        return await self._look(patience)


def _heard(task: asyncio.Task[Any]) -> None:
    """All who asked may have gone: then nobody is told what went wrong."""
    if not task.cancelled():
        task.exception()
