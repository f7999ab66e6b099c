"""The ballot box: votes go in at once, and into the database as soon as that takes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from gputui.chat.answering.live import Exchange
from gputui.chat.voting.store import VoteStore
from gputui.chat.voting.vote import Vote, vote_json
from gputui.errors import GputuiError


class VoteBox:
    """Used by one event loop. ``problem`` says in words why votes are not kept, None while they are."""

    def __init__(self, store: VoteStore) -> None:
        self.problem: GputuiError | None = None
        self._store = store
        self._unkept: list[tuple[Vote, Exchange]] = []
        self._keeping = asyncio.Lock()

    @property
    def unkept(self) -> int:
        """How many votes are not in the database yet."""
        return len(self._unkept)

    @property
    def lost(self) -> GputuiError | None:
        """What is to be told at the end of the program of votes that could not be kept, with all that is
        needed to cast them again; None where all are."""
        if self.problem is None or not self._unkept:
            return None
        lines = [json.dumps(vote_json(vote), ensure_ascii=False) for vote in self._waiting()]
        return GputuiError(
            f"{len(lines)} vote{'s' * (len(lines) > 1)} could not be kept: {self.problem.message}",
            "\n".join(lines),
        )

    @property
    def busy(self) -> bool:
        """Whether the database is at work."""
        return self._keeping.locked()

    def cast(self, vote: Vote, exchange: Exchange) -> None:
        """Take a vote on the answers to that prompt; ``keep`` brings it into the database."""
        self._unkept.append((vote, exchange))

    async def keep(self) -> None:
        """Keep what is not kept yet. What fails stays, for the next time; nothing is raised."""
        async with self._keeping:
            votes = self._waiting()
            if not votes:
                return
            try:
                await asyncio.to_thread(self._store.add, votes)
            except GputuiError as error:
                self.problem = error
            else:
                self.problem = None
                del self._unkept[: len(votes)]

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
