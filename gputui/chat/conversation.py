"""Sides and what they said: each answers in a task of its own, and none can hurt another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gputui.chat.common import Common
from gputui.chat.keeping.keeper import Keeper, Place
from gputui.chat.keeping.opened import OPENED, Older
from gputui.chat.model import Answer, Attachment, Settings, Turn
from gputui.chat.side import Side
from gputui.chat.voting.blind import Blind
from gputui.errors import GputuiError
from gputui.text import clean

if TYPE_CHECKING:
    import httpx

    from gputui.chat.answering.live import Exchange
    from gputui.chat.keeping.store import Store

SIDE_NAMES = tuple("ABCDEFGH")
"""As many answers as one prompt can have."""
PAIR = SIDE_NAMES[:2]
"""The two that are there from the start, and that are compared and voted on."""
_SEEDS = 2**31


def open_client() -> httpx.AsyncClient:
    """The HTTP client, with which httpx is loaded: on a thread, for that takes a quarter of a second."""
    from gputui.chat.answering.client import make_client

    return make_client()


class Conversation:
    """Its sides, and the store that keeps their turns (None: nowhere).

    ``tag`` is the kind of question of the prompts from now on. Where turns cannot be kept, the chat goes on
    without. ``blind`` is its blind mode.
    """

    def __init__(self, store: Store | None = None, names: Sequence[str] = PAIR) -> None:
        self.store = store
        self.tag = ""
        self._keeper = Keeper(lambda: self.store)
        self.blind = Blind(lambda: self.sides)
        self._common = Common(
            self._shared_client,
            self._keep,
            self.whole,
            blind=self.blind,
            sides=lambda: self.sides,
            pictures=self._pictures,
        )
        self.sides: Mapping[str, Side] = {name: Side(name, self._common) for name in names}
        self._http: httpx.AsyncClient | None = None
        self._place = Place()
        self._said: Sequence[Turn] = ()
        self._older: Older | None = None
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def settings(self) -> Settings:
        """For every side that has none of its own, from the next prompt on."""
        return self._common.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._common.settings = settings

    @property
    def at_once(self) -> int | None:
        """How many sides answer at a time; None: all of them, 1: one after the other."""
        return self._common.gate.limit

    @at_once.setter
    def at_once(self, limit: int | None) -> None:
        self._common.gate.limit = limit

    @property
    def store_problem(self) -> str | None:
        """Why turns are not being kept, in words; None while they are."""
        return self._keeper.problem

    @property
    def id(self) -> int | None:
        """The store's; None until a turn is kept."""
        return self._place.id

    @property
    def hidden_id(self) -> int | None:
        """The store's, while it is a blind draw whose names nobody may read there."""
        return self.id if self.blind.hidden else None

    @property
    def busy(self) -> bool:
        """Whether a side answers, or waits for its turn."""
        return any(side.busy for side in self.sides.values())

    @property
    def unsettled(self) -> bool:
        """Whether there may be something new to draw: a side is busy, or its server still is."""
        return self.busy or any(side.watched for side in self.sides.values())

    def seat(self, names: Sequence[str]) -> None:
        """Have these sides from now on; those that are there keep what they said, others go. One that comes
        has said what was said on it before in this conversation."""
        gone = [side for name, side in self.sides.items() if name not in names]
        for side in gone:
            side.stop()
            side.leave_server()
        self.sides = {name: self.sides.get(name) or self._made(name) for name in names}
        self.blind.seats_changed()
        self._said = together(self._said, gone)

    def _made(self, name: str) -> Side:
        side = Side(name, self._common)
        side.take_up(self._said)
        return side

    def begin_anew(self) -> None:
        """An empty conversation with the same sides and settings. Raises GputuiError while one answers."""
        self.take_up((), None)

    def take_up(self, turns: Sequence[Turn], conversation_id: int | None) -> None:
        """Go on with a kept conversation. Raises GputuiError while a side answers."""
        if self.busy:
            raise GputuiError("An answer is being written", "Wait, or stop it first.")
        self._place = Place(conversation_id)
        if self._older is not None:
            self._older.cancel()
            self._older = None
        self._said = tuple(turns)
        for side in self.sides.values():
            side.take_up(turns)
        self.blind.begun(turns)

    async def open(self, conversation_id: int) -> None:
        """Go on with a kept conversation: its newest turns now, all others as they are read. Sides beyond
        A and B that are in its newest turns are seated, too.

        Raises GputuiError while a side answers, and where the database cannot be read.
        """
        if self.store is None:
            raise GputuiError("Conversations are not kept here", "This chat has no database.")
        page = await asyncio.to_thread(self.store.turns, conversation_id, newest=OPENED)
        self.take_up(page, conversation_id)
        said = {side for turn in page for side in turn.answers}
        if said.intersection(SIDE_NAMES[2:]):
            self.seat([name for name in SIDE_NAMES if name in said or name in self.sides])
        if len(page) == OPENED:
            self._older = Older(self.store, conversation_id, page[0].id, self._take_up_older)
            self._follow(self._older.begin())

    @property
    def is_reading(self) -> bool:
        """Whether older turns of the conversation that was opened are still being read."""
        return self._older is not None and self._older.reading

    @property
    def is_whole(self) -> bool:
        """Whether the sides have all of the conversation that was opened."""
        return self._older is None or self._older.read

    @property
    def older_problem(self) -> GputuiError | None:
        """Why its older turns are not here; None where they are, or are being read."""
        return self._older.problem if self._older is not None else None

    async def whole(self) -> bool:
        """Return once the sides have all of the conversation that was opened; False where its older turns
        cannot be read. It is tried again each time."""
        return self._older is None or await self._older.wait()

    def _take_up_older(self, turns: Sequence[Turn]) -> None:
        self._said = (*turns, *self._said)
        for side in self.sides.values():
            side.take_up_older(turns)

    async def delete(self, conversation_id: int) -> None:
        """Delete a kept conversation: nothing more is kept of it, and if it is on the screen, an empty one is.

        Raises GputuiError while a side answers in it, and where the database cannot be written.
        """
        place = self._place
        if conversation_id == place.id and self.busy:
            raise GputuiError("An answer is being written in it", "Wait, or stop it first.")
        await self._keeper.delete(conversation_id, place)
        self._keeper.forget(conversation_id)
        if place is self._place and conversation_id == place.id:
            place.deleted = not self.busy  # a prompt that was sent meanwhile begins a new one
            if place.deleted:
                self.begin_anew()

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What all sides said, as far as it is finished and here, oldest first; kept or not. Also those
        sides that are not seated any more."""
        return together(self._said, self.sides.values())

    def send(
        self,
        prompt: str,
        sides: Sequence[str] = PAIR,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Ask those sides, each in a task of its own; must be called in the event loop.

        Raises GputuiError where a side is busy or has no endpoint; then none is asked.
        """
        from gputui.chat.answering.live import Exchange

        prompt = clean(prompt)
        if not prompt.strip():
            raise GputuiError("The prompt is empty", "Type something first.")
        self.blind.check(sides)
        for name in sides:
            self.sides[name].ready(attachments)
        if self.blind.due:
            self.begin_anew()
        exchange = Exchange(prompt, tuple(attachments), self.tag, random.randrange(_SEEDS))  # noqa: S311  no secret
        for name in self.blind.order(sides):
            self._follow(self.sides[name].ask(exchange))

    def voted(self, asked_at: float, words: str) -> None:
        """Say beside the answers to that prompt how they were voted on."""
        self._common.votes[asked_at] = words
        for side in self.sides.values():
            side.touch()

    def retry(self, side: str) -> None:
        """Ask that side its last prompt again, as ``Side.retry`` does; in a blind draw, both. Raises
        GputuiError."""
        self.blind.check_retry()
        sides, seed = self.blind.together(side), random.randrange(_SEEDS)  # noqa: S311  no secret
        for name in sides:
            self.sides[name].ready()
        for name in self.blind.order(sides):
            self._follow(self.sides[name].retry(seed))

    def stop(self) -> None:
        """Stop every side."""
        for side in self.sides.values():
            side.stop()

    def stop_endpoint(self, url: str) -> None:
        """Stop every side that talks to that endpoint: its server is about to be stopped."""
        for side in self.sides.values():
            if side.seated is not None and side.seated.url == url:
                side.stop()

    def answers_from(self, url: str) -> bool:
        """Whether an answer of that endpoint is being written."""
        return any(
            side.busy and side.seated is not None and side.seated.url == url
            for side in self.sides.values()
        )

    async def wait(self) -> None:
        """Return when no side is busy and everything is kept."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop all, wait for the tasks, keep what came, close the HTTP client and the store."""
        self.stop()
        if self._older is not None:
            self._older.cancel()
        await self.wait()
        for task in (looking := tuple(self._common.background)):
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
        if self.store is not None:
            await asyncio.to_thread(self.store.close)

    def _follow(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shared_client(self) -> httpx.AsyncClient:
        """The client of both sides. Loading it takes a quarter of a second: not on the event loop."""
        async with self._opening:
            if self._http is None:
                self._http = await asyncio.to_thread(open_client)
            return self._http

    async def _pictures(self, turn_id: int) -> tuple[Attachment, ...]:
        """The attachments of a kept turn. Raises GputuiError where they cannot be read."""
        return (
            () if self.store is None else await asyncio.to_thread(self.store.attachments, turn_id)
        )

    def _keep(self, exchange: Exchange, answer: Answer) -> None:
        """A side's turn is finished: into the store, on a thread of its own."""
        if self.store is not None:
            self._keeper.take(self._place, exchange, answer)
            self._follow(asyncio.create_task(self._keeper.save(), name="keep turns"))

    def keep_again(self) -> None:
        """Try once more to keep what could not be kept. Nothing where all is, or that is under way."""
        if self._keeper.idle:
            self._follow(asyncio.create_task(self._keeper.save(), name="keep turns"))


def together(said: Iterable[Turn], sides: Iterable[Side]) -> tuple[Turn, ...]:
    """What was said before, with what these sides say of it now, oldest first."""
    found = {(turn.created_at, turn.prompt): turn for turn in said}
    for side in sides:
        for turn in side.finished:
            key = turn.created_at, turn.prompt
            one = found.get(key, turn)
            known = one if turn.id is None else turn
            found[key] = replace(known, answers={**one.answers, **turn.answers})
    return tuple(sorted(found.values(), key=lambda turn: turn.created_at))
