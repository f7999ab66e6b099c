"""When the dashboard under test has done all it can do by now."""

from __future__ import annotations

import asyncio
import time

_ROUNDS = 3
"""How often in a row nothing may be left to do: a round takes in what files, threads and clocks bring."""

_FRAME_SECONDS = 1 / 60 + 0.003
"""Of Textual's screens."""


async def loop_is_idle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Return once nothing is left for the event loop to do, or after ``max_sleep`` seconds.

    Textual's own takes a process that uses no CPU for 20 ms to be idle: where other programs have the
    CPU it gives back too early, and else it waits for nothing. Work in threads is not waited for; what a
    screen draws, which it does at its next frame, is.
    """
    del min_sleep
    await _nothing_left(max_sleep)
    await asyncio.sleep(_FRAME_SECONDS)
    await _nothing_left(max_sleep)


async def _nothing_left(seconds: float) -> None:
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    deadline = time.monotonic() + seconds
    quiet = 0
    while quiet < _ROUNDS and time.monotonic() < deadline:
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1
