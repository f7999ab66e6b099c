"""The prompt library as the screen knows it: looked at on a thread when it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.text import clean_line, nearest
from gputui.ui.chat.prompting.attaching import patiently

if TYPE_CHECKING:
    from gputui.chat.asking.library import Library, LibraryPrompt


FRESH_SECONDS = 1.0


class Shelf:
    """``begin`` runs work beside all else; ``changed`` is told where a look found what was not known."""

    def __init__(
        self,
        folder: Path,
        begin: Callable[[Coroutine[None, None, None]], None],
        changed: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._begin = begin
        self._changed = changed
        self._looked = -FRESH_SECONDS
        self._looking = asyncio.Lock()

    @cached_property
    def known(self) -> Library:
        """What the last look found."""
        from gputui.chat.asking.library import Library

        return Library(self._folder)

    @property
    def at_hand(self) -> Library:
        """What is known without waiting; a look that is due begins, for the next time."""
        if time.monotonic() - self._looked >= FRESH_SECONDS:
            self._looked = time.monotonic()
            self._begin(self._refresh())
        return self.known

    async def now(self) -> Library:
        """What there is now. Raises GputuiError where the disk does not answer."""
        await self._refresh()
        return self.known

    async def read(self, name: str) -> tuple[LibraryPrompt, str]:
        """The prompt of that name and its text. Raises GputuiError."""
        from gputui.chat.asking.library import read_prompt

        library = await self.now()
        found = library.find(name)
        if found is None:
            raise _missing(library, name)
        return found, await patiently(lambda: read_prompt(found), found.name)

    async def _refresh(self) -> None:
        from gputui.chat.asking.library import look

        async with self._looking:
            folder = self.known.folder
            found = await patiently(lambda: look(folder), str(folder))
            self._looked = time.monotonic()
        if found != self.known:
            self.known = found
            self._changed()


def _missing(library: Library, name: str) -> GputuiError:
    if library.problems:
        return GputuiError(library.problems[0], "Make it readable.")
    names = [one.name for one in library.prompts]
    if not names:
        return GputuiError("The prompt library is empty", "/library says where it is.")
    near = nearest(name, names)
    hint = f"Did you mean {near}?" if near else "/library lists them."
    return GputuiError(f"There is no prompt {clean_line(name, 80)}".rstrip(), hint)
