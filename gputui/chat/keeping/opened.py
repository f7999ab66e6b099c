"""A kept conversation that is gone on with: its newest turns at once, all others as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.text import error_words

if TYPE_CHECKING:
    from gputui.chat.keeping.store import Store
    from gputui.chat.model import Turn

OPENED = 40
"""The newest turns of a conversation that is opened: as many as are seen at first, and some more."""
_PAGE = 500
"""Older ones that are read at a time."""


class Older:
    """Reads what was said before ``before``, a turn's id; once all of it is read ``take`` is given it, by the
    page, the newest one first.

    ``problem`` says why that failed; None while it has not, and once it is read.
    """

    def __init__(
        self,
        store: Store,
        conversation_id: int,
        before: int | None,
        take: Callable[[Sequence[Turn]], None],
    ) -> None:
        self.problem: GputuiError | None = None
        self.read = False
        self._store = store
        self._conversation_id = conversation_id
        self._before = before
        self._take = take
        self._pages: list[Sequence[Turn]] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Read, or go on where it failed; the task raises nothing."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read(), name="read older turns")
        return self._task

    async def wait(self) -> bool:
        """Return once it is read: True. False where it cannot be, also not at a second try."""
        tries = 1 if self.problem is not None else 2
        while tries and not self._over():
            tries -= 1
            await asyncio.wait({self.begin()})
        return self.read

    @property
    def reading(self) -> bool:
        """Whether it is being read now."""
        return self._task is not None and not self._task.done()

    def cancel(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()

    def _over(self) -> bool:
        return self.read or (self._task is not None and self._task.cancelled())

    async def _read(self) -> None:
        try:
            await self._read_pages()
        except GputuiError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001  the chat goes on without
            self.problem = GputuiError(error_words(error), "Please report this.")
        else:
            await self._take_pages()
            self.problem, self.read = None, True

    async def _take_pages(self) -> None:
        """A page at a time: ten thousand turns at once would keep a key waiting."""
        for page in self._pages:
            self._take(page)
            await asyncio.sleep(0)
        self._pages.clear()

    async def _read_pages(self) -> None:
        """In pages, so that others get at the database between them."""
        while not self._pages or len(self._pages[-1]) == _PAGE:
            page = await asyncio.to_thread(
                self._store.turns, self._conversation_id, newest=_PAGE, before=self._before
            )
            self._pages.append(page)
            self._before = page[0].id if page else self._before
