"""What is said goes into the store as it is finished; what cannot be kept waits for the next time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.text import error_words

if TYPE_CHECKING:
    from gputui.chat.answering.live import Exchange
    from gputui.chat.keeping.store import Store
    from gputui.chat.model import Answer


@dataclass(eq=False)
class Place:
    """Where a conversation is kept; ``id`` is None until its first turn is. ``deleted``: by this session,
    so that nothing more is kept of it, also what is on its way."""

    id: int | None = None
    deleted: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class _Unsaved:
    place: Place
    exchange: Exchange
    answer: Answer


class Keeper:
    """Used by one event loop. ``store`` gives the store of now.

    ``problem`` says in words why turns are not being kept, None while they are.
    """

    def __init__(self, store: Callable[[], Store | None]) -> None:
        self.problem: str | None = None
        self._store = store
        self._unsaved: list[_Unsaved] = []
        self._saving = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether something waits to be kept, and nobody is at it."""
        return bool(self._unsaved) and not self._saving.locked()

    def take(self, place: Place, exchange: Exchange, answer: Answer) -> None:
        """A turn is finished; ``save`` keeps it."""
        self._unsaved.append(_Unsaved(place, exchange, answer))

    async def save(self) -> None:
        """Keep what is not kept yet, on a thread. What fails stays for the next time, and what is behind it
        is kept; nothing is raised."""
        async with self._saving:
            failed: set[_Unsaved] = set()
            problem = None
            while left := [one for one in self._unsaved if one not in failed]:
                try:
                    await asyncio.to_thread(self._save, left[0])
                except Exception as error:  # noqa: BLE001  of one row; those behind it are kept
                    failed.add(left[0])
                    known = isinstance(error, GputuiError)
                    problem = str(error) if known else f"{error_words(error)}. Please report this."
                    if known and not _is_of_one_row(error):
                        break  # the database takes nothing now
                else:
                    self._unsaved = [one for one in self._unsaved if one is not left[0]]
            self.problem = problem

    async def delete(self, conversation_id: int, current: Place) -> None:
        """Delete a conversation; nothing of it that is on its way comes back. Raises GputuiError."""
        store = self._store()
        if store is None:
            return
        places = [one.place for one in self._unsaved] + [current]
        places = [place for place in places if place.id == conversation_id]
        for place in places:
            place.deleted = True
        try:
            await asyncio.to_thread(store.delete, [conversation_id])
        except BaseException:
            for place in places:
                place.deleted = False
            raise

    def forget(self, conversation_id: int) -> None:
        """It was deleted: what waits to be kept of it is not kept any more."""
        self._unsaved = [one for one in self._unsaved if one.place.id != conversation_id]

    def _save(self, one: _Unsaved) -> None:
        from gputui.chat.keeping.store import GoneError

        place, exchange = one.place, one.exchange
        while (store := self._store()) is not None:
            try:
                place.id, exchange.turn_id = store.keep(
                    place.id, exchange.turn_id, exchange.turn({}), one.answer
                )
                return
            except GoneError:  # maybe by another session: then what is said now is kept anew
                if place.deleted:
                    return
                if exchange.turn_id is None:
                    place.id = None
                exchange.turn_id = None


def _is_of_one_row(error: BaseException) -> bool:
    """Whether SQLite does not take this value; others may be taken."""
    import sqlite3

    of_one = sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError
    return isinstance(error.__cause__, of_one)
