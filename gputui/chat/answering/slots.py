"""What a llama-server does after an answer was stopped: it can be busy with the prompt for long.

Closing the connection frees a slot within 0.1 s while tokens stream; in the midst of a prompt only after
the batch that is being computed, which takes seconds to minutes. ``/slots`` is answered after that batch,
too: a server that gives no answer is computing one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gputui.chat.model import Endpoint
from gputui.llama.probe import decode
from gputui.llama.wire import Slot

if TYPE_CHECKING:
    import httpx

STILL_READING = "still processing the prompt"
STILL_BUSY = "still busy"

_LOOK_BEFORE_SECONDS = 1.0
"""A prompt that takes longer than this is worth a look at whose slot it is."""
_SILENT_SECONDS = 0.4
_DELAYS = (0.2, 0.4, 0.8, 1.6, 3.0)
_ANSWER_SECONDS = 300.0
_BODY_LIMIT = 4 << 20

Ask = Callable[[], Awaitable[Sequence[Slot] | None]]
"""The slots now; None where the server does not tell them, or is gone."""


class SlotWatch:
    """Watches the slot of one answer. ``words`` say what the server still does after the stop, "" nothing.

    Which slot is ours no server says. The tasks of the slots that were busy while the prompt was being
    read are those that it can be: as long as none of them has ended, ours has not. Where there was no
    time for that look, a server's only slot is ours, if it reads a prompt. Anything else is not known,
    and nothing is said of it.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._tasks: frozenset[tuple[int, int]] | None = None
        self.words = ""

    async def look_before(self, reading: Callable[[], bool]) -> None:
        """Learn which tasks can be ours, if the prompt takes its time; ``reading``: it still does."""
        await asyncio.sleep(_LOOK_BEFORE_SECONDS)
        if not reading():
            return
        slots = await self._ask()
        if slots is not None and reading():
            self._tasks = _busy(slots) or None

    async def watch(self, *, said_nothing: bool, reading: bool) -> None:
        """After the stop: until the slot is free, or not known.

        ``said_nothing``: no token had come; ``reading``: the server had said that it is at the prompt.
        """
        try:
            for delay in _backing_off():
                with self._silence(reading=reading):
                    slots = await self._ask()
                still = self._ours(slots or (), said_nothing=said_nothing)
                if not still:
                    return
                self.words = STILL_READING if all(one.reads_prompt for one in still) else STILL_BUSY
                await asyncio.sleep(delay)
        finally:
            self.words = ""

    def _ours(self, slots: Sequence[Slot], *, said_nothing: bool) -> list[Slot]:
        """The slots that are certainly at our task still, or at it and others' that began before."""
        if self._tasks is None:
            only = slots[0] if len(slots) == 1 else None
            if only is None or not only.is_processing or not (said_nothing and only.reads_prompt):
                return []
            self._tasks = frozenset({only.key})
        still = [one for one in slots if one.is_processing is True and one.key in self._tasks]
        return still if len(still) == len(self._tasks) else []

    @contextmanager
    def _silence(self, *, reading: bool) -> Iterator[None]:
        """A server that was at the prompt, and does not answer, is computing a batch."""

        def say() -> None:
            if reading and not self.words:
                certain = self._tasks is not None and len(self._tasks) == 1
                self.words = STILL_READING if certain else STILL_BUSY

        timer = asyncio.get_running_loop().call_later(_SILENT_SECONDS, say)
        try:
            yield
        finally:
            timer.cancel()


def _backing_off() -> Iterator[float]:
    return itertools.chain(_DELAYS, itertools.repeat(_DELAYS[-1]))


def _busy(slots: Sequence[Slot]) -> frozenset[tuple[int, int]]:
    return frozenset(one.key for one in slots if one.is_processing is True)


async def ask_slots(client: httpx.AsyncClient, endpoint: Endpoint) -> Sequence[Slot] | None:
    """The slots of a llama-server; None where it has no ``/slots``, or gives no answer."""
    import httpx

    headers = {"Authorization": f"Bearer {endpoint.api_key.reveal()}"} if endpoint.api_key else {}
    timeout = httpx.Timeout(_ANSWER_SECONDS, connect=3.0)
    body = bytearray()
    try:
        request = client.stream("GET", f"{endpoint.root}/slots", headers=headers, timeout=timeout)
        async with request as response:
            if response.status_code != 200:
                return None
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _BODY_LIMIT:
                    return None
    except (httpx.HTTPError, OSError):
        return None
    slots: Sequence[Slot] | None = decode(bytes(body), list[Slot])
    return slots
