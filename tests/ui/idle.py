"""When the dashboard under test has done all it can do by now."""

from __future__ import annotations

import asyncio
import time

_ROUNDS = 3
"""How often in a row nothing may be left to do: a round takes in what files, threads and clocks bring."""


async def loop_is_idle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Return once nothing is left for the event loop to do, or after ``max_sleep`` seconds.

    Textual's own takes a process that uses no CPU for 20 ms to be idle: where other programs have the
    CPU it gives back too early, and else it waits for nothing. Work in threads is not waited for.
    """
    del min_sleep
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    deadline = time.monotonic() + max_sleep
    quiet = 0
    while quiet < _ROUNDS and time.monotonic() < deadline:
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1
