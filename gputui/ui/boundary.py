"""The boundary of work in the background: whatever ends it is told, and the screen goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gputui.errors import GputuiError
from gputui.text import error_words


async def told(work: Awaitable[None], say: Callable[[GputuiError], None]) -> None:
    """Do the work; what goes wrong is said to the user."""
    try:
        await work
    except GputuiError as error:
        say(error)
    except Exception as error:  # noqa: BLE001  the worker's boundary
        say(GputuiError(error_words(error), "Please report this."))
