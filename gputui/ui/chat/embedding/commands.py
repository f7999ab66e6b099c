"""The command that compares texts by an embedding model."""

from __future__ import annotations

from collections.abc import Iterator

from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer


def _embed(chatting: Chatting, argument: str) -> None:
    from gputui.ui.chat.embedding.comparing import compare

    chatting.work(compare(chatting, argument.strip()), "embed")


def _offers(_chatting: Chatting) -> Iterator[Offer]:
    yield "Compare texts by embedding", ""


EMBEDDING_COMMANDS = (
    ChatCommand(
        "embed", "Compare texts by embedding", "two, or a file of lines", _embed, "[NAME]", _offers
    ),
)
