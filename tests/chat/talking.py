"""Two sides over servers that send whatever a test says: what the tests of a conversation share."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gputui.chat.conversation import Conversation
from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer
from gputui.errors import GputuiError
from tests.chat.raw_server import RawServer, Request, Responder, serve

PIECE = b'data: {"model":"m","choices":[{"delta":{"content":"first piece"}}]}\n\n'
PATIENCE = 60


@contextlib.asynccontextmanager
async def talking(
    a: tuple[Responder, ...], b: tuple[Responder, ...], store: Store | None = None
) -> AsyncIterator[tuple[Conversation, RawServer, RawServer]]:
    """A conversation whose sides talk to servers that answer so."""
    async with serve(*a) as server_a, serve(*b) as server_b:
        conversation = Conversation(store)
        conversation.sides["A"].choose(server_a.endpoint("a"))
        conversation.sides["B"].choose(server_b.endpoint("b"))
        try:
            yield conversation, server_a, server_b
        finally:
            await asyncio.wait_for(conversation.close(), PATIENCE)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # the condition is not ours to signal
            await asyncio.sleep(0.005)


async def settled(conversation: Conversation) -> None:
    await asyncio.wait_for(conversation.wait(), PATIENCE)


def last(conversation: Conversation, side: str) -> Answer:
    return conversation.sides[side].finished[-1].answers[side]


def roles(request: Request) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in request.body["messages"]]


def kept(path: Path) -> tuple:  # type: ignore[type-arg]
    store = Store(path)
    try:
        return tuple(turn for id_ in store.conversations() for turn in store.turns(id_))
    except (GputuiError, sqlite3.Error):
        return ()
    finally:
        store.close()
