"""The ballot box: votes go in at once, and into the database as soon as that takes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gputui.chat.voting.store import VoteStore
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from gputui.chat.answering.live import Exchange
    from gputui.chat.voting.vote import Vote


class VoteBox:
    """Used by one event loop. ``problem`` says in words why votes are not kept, None while they are."""

    def __init__(self, store: VoteStore) -> None:
        self.problem: GputuiError | None = None
        self._store = store
        self._unkept: list[tuple[Vote, Exchange]] = []
        self._turnless: list[Exchange] = []
        self._keeping = asyncio.Lock()

    @property
    def unkept(self) -> int:
        """How many votes are not in the database yet."""
        return len(self._unkept)

    @property
    def lost(self) -> GputuiError | None:
        """What is to be told at the end of the program of votes that could not be kept, with all that is
        needed to cast them again; None where all are."""
        from gputui.chat.voting.vote import vote_json

        if self.problem is None or not self._unkept:
            return None
        lines = [json.dumps(vote_json(vote), ensure_ascii=False) for vote in self._waiting()]
        return GputuiError(
            f"{len(lines)} vote{'s' * (len(lines) > 1)} could not be kept: {self.problem.message}",
            "\n".join(lines),
        )

    @property
    def due(self) -> bool:
        """Whether ``keep`` has something to do: a vote, or the turn of one that is kept since."""
        return bool(self._unkept) or any(one.turn_id is not None for one in self._turnless)

    @property
    def busy(self) -> bool:
        """Whether the database is at work."""
        return self._keeping.locked()

    def cast(self, vote: Vote, exchange: Exchange) -> None:
        """Take a vote on the answers to that prompt; ``keep`` brings it into the database."""
        self._unkept.append((vote, exchange))

    async def keep(self) -> None:
        """Keep what is not kept yet. What fails stays, for the next time; nothing is raised.

        Once begun it is carried out, whoever stops waiting: what was written is known as such.
        """
        await asyncio.shield(asyncio.create_task(self._keep(), name="keep votes"))

    async def _keep(self) -> None:
        async with self._keeping:
            try:
                await self._keep_votes()
                await self._keep_turns()
            except GputuiError as error:
                self.problem = error
            else:
                self.problem = None

    async def _keep_votes(self) -> None:
        votes = self._waiting()
        if not votes:
            return
        await asyncio.to_thread(self._store.add, votes)
        kept, self._unkept = self._unkept[: len(votes)], self._unkept[len(votes) :]
        self._turnless += [
            exchange
            for vote, (_, exchange) in zip(votes, kept, strict=True)
            if vote.turn_id is None
        ]

    async def _keep_turns(self) -> None:
        turns = {one.created_at: one.turn_id for one in self._turnless if one.turn_id is not None}
        if turns:
            await asyncio.to_thread(self._store.set_turns, turns)
            self._turnless = [one for one in self._turnless if one.created_at not in turns]

    async def votes(self) -> Sequence[Vote]:
        """All votes, those that are not kept yet as well. Raises GputuiError."""
        async with self._keeping:
            return [*await asyncio.to_thread(self._store.votes), *self._waiting()]

    async def close(self) -> None:
        """Keep what can be kept, and close the database."""
        await self.keep()
        await asyncio.to_thread(self._store.close)

    def _waiting(self) -> list[Vote]:
        """With the number of the turn, which is known once the turn itself is kept."""
        return [replace(vote, turn_id=exchange.turn_id) for vote, exchange in self._unkept]
