"""The commands of a queue of more than two."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer

_PAGES = {"next": 1, "back": -1}


def _queue(chatting: Chatting, argument: str) -> None:
    words = [word for word in re.split(r"[\s,]+", argument) if word]
    if words == ["off"]:
        chatting.queueing.end()
    elif words:
        chatting.queueing.begin(words)
        if not chatting.queueing.on:
            said = " and ".join(
                f"{name} is {clean_line(side.seated.name, 40)}"
                for name, side in chatting.conversation.sides.items()
                if side.seated
            )
            chatting.screen.notify(said, title="Two are A and B: no queue", markup=False)
    else:
        chatting.queueing.ask()


def _queue_offers(chatting: Chatting) -> Iterator[Offer]:
    yield "Ask more models", ""
    if chatting.queueing.on:
        yield "Back to two models", "off"


def _show(chatting: Chatting, argument: str) -> None:
    names = argument.upper().split()
    if not names:
        raise GputuiError("Which side?", "/show C, or /show A C.")
    chatting.queueing.show(names)


def _show_offers(chatting: Chatting) -> Iterator[Offer]:
    if not chatting.queueing.on:
        return
    for name, side in chatting.conversation.sides.items():
        yield f"Show side {name}" + (f" {side.endpoint.name}" if side.endpoint else ""), name


def _page(chatting: Chatting, argument: str) -> None:
    by = _PAGES.get(argument.strip() or "next")
    if by is None:
        raise GputuiError("Which way?", "/page next, or /page back.")
    chatting.queueing.page(by)


def _page_offers(chatting: Chatting) -> Iterator[Offer]:
    if chatting.queueing.on:
        yield "Next side", "next"
        yield "Side before", "back"


QUEUE_COMMANDS = (
    ChatCommand(
        "queue",
        "Ask more models",
        "up to eight, two at a time",
        _queue,
        "[off|NAME NAME …]",
        _queue_offers,
    ),
    ChatCommand(
        "show", "Show sides", "which of more than two models", _show, "A [C]", _show_offers
    ),
    ChatCommand("page", "Next side", "of more than two models", _page, "[next|back]", _page_offers),
)
