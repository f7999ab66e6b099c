"""The boundary of work in the background: whatever ends it is told, and the screen goes on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gputui.errors import GputuiError
from gputui.text import error_words

_Answer = TypeVar("_Answer")


async def told(work: Awaitable[None], say: Callable[[GputuiError], None]) -> None:
    """Do the work; what goes wrong is said to the user."""
    try:
        await work
    except GputuiError as error:
        say(error)
    except Exception as error:  # noqa: BLE001  the worker's boundary
        say(GputuiError(error_words(error), "Please report this."))


async def on_daemon_thread(call: Callable[[], _Answer]) -> _Answer:
    """What ``call`` returns or raises, on a daemon thread: one that hangs must not hold the exit, and
    the threads of ``asyncio.to_thread`` are waited for."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_Answer] = loop.create_future()

    def finish(result: _Answer | None, error: Exception | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        outcome: tuple[_Answer | None, Exception | None]
        try:
            outcome = call(), None
        except Exception as error:  # noqa: BLE001  raised again where it is awaited
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop is gone: the program is leaving
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=run, name="patient work", daemon=True).start()
    return await answer
