"""What the sides of a conversation share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from gputui.chat.answering.gate import Gate
from gputui.chat.model import Answer, Attachment, Settings
from gputui.chat.voting.blind import Blind
from gputui.errors import GputuiError

if TYPE_CHECKING:
    import httpx

    from gputui.chat.answering.live import Exchange
    from gputui.chat.answering.refusals import Refusals
    from gputui.chat.side import Side


@dataclass(eq=False)
class Common:
    """What the sides of a conversation share.

    ``settings`` hold for each side that has none of its own. ``gate``: how many answer at once.
    ``ended`` is told of each turn that a side finished. ``whole`` returns once a side has all that was
    said before; False where that cannot be had. ``blind`` says what may be said of a
    side. ``background``: what looks at servers meanwhile. ``sides`` are all of them. ``votes``: what was
    voted since the program began, in words, by the ``created_at`` of the turn. ``pictures`` gives a kept
    turn's attachments with their data.
    """

    client: Callable[[], Awaitable[httpx.AsyncClient]]
    ended: Callable[[Exchange, Answer], None]
    whole: Callable[[], Awaitable[bool]]
    settings: Settings = field(default_factory=Settings)
    gate: Gate = field(default_factory=Gate)
    blind: Blind = field(default_factory=Blind)
    background: set[asyncio.Task[None]] = field(default_factory=set)
    sides: Callable[[], Mapping[str, Side]] = dict
    votes: dict[float, str] = field(default_factory=dict)
    pictures: Callable[[int], Awaitable[tuple[Attachment, ...]]] | None = None

    @cached_property
    def refusals(self) -> Refusals:
        """What each server would not take so far."""
        from gputui.chat.answering.refusals import Refusals

        return Refusals()

    async def with_pictures(
        self, turn_id: int | None, attachments: tuple[Attachment, ...]
    ) -> tuple[Attachment, ...]:
        """Those attachments with the data of pictures that were not read so far, as far as they can be."""
        missing = any(not one.data for one in attachments)
        if missing and turn_id is not None and self.pictures is not None:
            with contextlib.suppress(GputuiError):
                return await self.pictures(turn_id) or attachments
        return attachments

    def beside(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Work that no answer waits for, and that ends with the conversation."""
        task = asyncio.create_task(work, name=name)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task
