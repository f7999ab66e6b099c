"""Questions to the store, asked on a thread: one at a time, and of those asked meanwhile the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from gputui.chat.keeping.store import Store
from gputui.errors import GputuiError
from gputui.text import error_words
from gputui.ui.chat.kept.found_list import Found

PAGE = 200
"""Conversations that are read at a time."""
MOST_PLACES = 100
"""Places where words were found that are shown."""


class Finder:
    """Answers what is asked by ``show``. ``start`` begins work beside all else.

    A search takes a moment, a locked database seconds: whoever types meanwhile is not answered with
    what he no longer asks.
    """

    def __init__(
        self,
        store: Store | None,
        start: Callable[[Coroutine[None, None, None]], object],
        show: Callable[[Found], None],
    ) -> None:
        self._store = store
        self._start = start
        self._show = show
        self._wanted: tuple[str, int] | None = None
        self._working = False

    def ask(self, words: str, count: int = PAGE) -> None:
        """Where these words are; "" is for the newest ``count`` conversations."""
        self._wanted = words.strip(), count
        if not self._working:
            self._working = True
            self._start(self._answer())

    async def _answer(self) -> None:
        try:
            while self._wanted is not None:
                wanted, self._wanted = self._wanted, None
                found = await asyncio.to_thread(self._find, *wanted)
                if self._wanted is None:
                    self._show(found)
        finally:
            self._working = False

    def _find(self, words: str, count: int) -> Found:
        if self._store is None:
            return Found(words, problem="Conversations are not kept: this chat has no database.")
        try:
            if words:
                return Found(words, matches=self._store.search(words, MOST_PLACES))
            return Found(conversations=self._store.summaries(count))
        except GputuiError as error:
            return Found(words, problem=f"{error.message}. {error.hint}".strip())
        except Exception as error:  # noqa: BLE001  the thread's boundary
            return Found(words, problem=f"{error_words(error)}. Please report this.")
