"""The commands of blind mode and votes."""

from __future__ import annotations

from collections.abc import Iterator

from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer


def _blind(chatting: Chatting, argument: str) -> None:
    chatting.voting.blind(argument)


def _vote(chatting: Chatting, argument: str) -> None:
    chatting.voting.vote(argument)


def _votes(chatting: Chatting, _argument: str) -> None:
    chatting.voting.show()


def _blind_offers(chatting: Chatting) -> Iterator[Offer]:
    if chatting.voting.on:
        yield "Leave blind mode", "off"
    else:
        yield "Blind mode", "on"


def _vote_offers(_chatting: Chatting) -> Iterator[Offer]:
    yield "Vote", ""


VOTING_COMMANDS = (
    ChatCommand(
        "blind", "Blind mode", "names and speeds after the vote", _blind, "[on|off]", _blind_offers
    ),
    ChatCommand("vote", "Vote", "which answer is better", _vote, "[a|b|tie|bad]", _vote_offers),
    ChatCommand("votes", "Votes and ratings", "who is better, and how surely", _votes),
)
