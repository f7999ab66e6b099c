"""What becomes of an answer at its server once it is stopped here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING

from gputui.chat.model import Endpoint

if TYPE_CHECKING:
    import httpx

    from gputui.chat.answering.live import LiveAnswer
    from gputui.chat.answering.slots import SlotWatch

Beside = Callable[[Coroutine[None, None, None], str], asyncio.Task[None]]
"""Begins work that no answer waits for."""


class Aftermath:
    """The slot watch of a side's newest answer, at a llama-server: no other can be asked."""

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self._slots: SlotWatch | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def words(self) -> str:
        """What the server still does with the stopped answer; "" nothing, or not known."""
        return self._slots.words if self._slots is not None else ""

    @property
    def looking(self) -> bool:
        """Whether the server is being looked at: ``words`` may change."""
        return self._task is not None and not self._task.done()

    def begun(self, client: httpx.AsyncClient, live: LiveAnswer) -> None:
        """An answer's request goes out."""
        from gputui.chat.answering.slots import SlotWatch, ask_slots

        self.leave()
        if live.endpoint.llama:
            self._slots = slots = SlotWatch(partial(ask_slots, client, live.endpoint))
            self._task = self._beside(slots.look_before(live.reads_prompt), "slots before")

    def ended(self, live: LiveAnswer, stopped_at: Endpoint | None) -> None:
        """An answer is over. ``stopped_at``: who sits there now, if it was stopped; None if it was not."""
        slots, task = self._slots, self._task
        if (
            slots is None
            or task is None
            or stopped_at is None
            or stopped_at.url != live.endpoint.url
        ):
            self.leave()
            return
        task.cancel()
        said_nothing = not (live.text.text or live.reasoning.text)
        watch = slots.watch(said_nothing=said_nothing, reading=live.reads_prompt())
        self._task = self._beside(watch, "slots")

    def leave(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
        self._slots = self._task = None
