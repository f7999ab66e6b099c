"""The commands for reading two answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.chat.arguments import side_of
from gputui.ui.chat.basics import each_side
from gputui.ui.chat.command import ChatCommand, Offer
from gputui.ui.chat.reading.difference_screen import show_differences

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting

_STEPS = {"-": -1, "+": 1, "before": -1, "next": 1}


def _sync(chatting: Chatting, _argument: str) -> None:
    chatting.reading.together.toggle()


def _alone(chatting: Chatting, argument: str) -> None:
    chatting.reading.show_alone(side_of(chatting, argument))


def _diff(chatting: Chatting, _argument: str) -> None:
    show_differences(chatting)


def _turn(chatting: Chatting, argument: str) -> None:
    wanted = argument.strip()
    if wanted in _STEPS:
        chatting.reading.step(_STEPS[wanted])
    elif wanted.isdecimal():
        chatting.reading.go_to(int(wanted[:9]))
    else:
        raise GputuiError(f"/turn {clean_line(wanted, 40)}: which one?", "A number, + or -.")


def _turns(_chatting: Chatting) -> Iterator[Offer]:
    yield "Next turn", "+"
    yield "Turn before", "-"


def _find(chatting: Chatting, argument: str) -> None:
    if argument.strip():
        chatting.reading.finding.find(argument.strip())
    else:
        chatting.reading.finding.ask()


def _finds(_chatting: Chatting) -> Iterator[Offer]:
    yield "Find in the conversation", ""


def _found(chatting: Chatting, argument: str) -> None:
    chatting.reading.finding.step(_STEPS.get(argument.strip(), 1))


def _founds(_chatting: Chatting) -> Iterator[Offer]:
    yield "Next found", "next"
    yield "Found before", "before"


def _end_find(chatting: Chatting, _argument: str) -> None:
    chatting.reading.finding.end()


READING_COMMANDS = (
    ChatCommand("sync", "Scroll together", "both sides, or each alone again", _sync),
    ChatCommand("alone", "Alone", "one side, or both again", _alone, "[A|B]", each_side("Alone")),
    ChatCommand("diff", "Differences", "of the two answers, by words", _diff),
    ChatCommand("turn", "Turn", "to the beginning of a turn", _turn, "N|+|-", _turns),
    ChatCommand("find", "Find", "words in both sides", _find, "[TEXT]", _finds),
    ChatCommand("found", "Found", "from one to the next", _found, "next|before", _founds),
    ChatCommand("endfind", "End search", "nothing is marked any more", _end_find),
)
