"""The commands that every chat has: who answers, stopping, asking again, a new conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.chat.arguments import side_first, side_of
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer


def _choose(chatting: Chatting, argument: str) -> None:
    """``/model [A|B] [NAME]``; asked for where no name is given."""
    first, name = side_first(chatting, argument)
    side = first or chatting.side
    if not name:
        chatting.seating.choose(side)
    elif chatting.seating.knows(name):
        chatting.seating.seat(side, name)
    else:
        raise GputuiError(f'"{clean_line(name, 80)}" does not chat here', "/model lists who does.")


def _stop(chatting: Chatting, argument: str) -> None:
    if argument.strip():
        chatting.conversation.sides[side_of(chatting, argument)].stop()
    else:
        chatting.conversation.stop()


def _retry(chatting: Chatting, argument: str) -> None:
    chatting.panel.retry(side_of(chatting, argument))


def _reasoning(chatting: Chatting, argument: str) -> None:
    chatting.panel.pane(side_of(chatting, argument)).action_unfold()


def _new(chatting: Chatting, _argument: str) -> None:
    chatting.conversation.begin_anew()
    chatting.panel.refresh_sides()


def each_side(title: str) -> Callable[[Chatting], Iterator[Offer]]:
    """The command once for each side: ``Retry A``, ``Retry B``."""

    def offers(chatting: Chatting) -> Iterator[Offer]:
        for name in chatting.conversation.sides:
            yield f"{title} {name}", name

    return offers


def _stops(chatting: Chatting) -> Iterator[Offer]:
    yield "Stop answers", ""
    yield from each_side("Stop answer")(chatting)


_ONE = "[A|B]"
BASIC_COMMANDS = (
    ChatCommand(
        "model",
        "Choose model",
        "who answers on a side",
        _choose,
        "[A|B] [NAME]",
        each_side("Choose model"),
    ),
    ChatCommand("stop", "Stop answers", "keep what came", _stop, _ONE, _stops),
    ChatCommand("retry", "Retry", "a side's last prompt again", _retry, _ONE, each_side("Retry")),
    ChatCommand(
        "reasoning", "Reasoning", "fold or unfold", _reasoning, _ONE, each_side("Reasoning")
    ),
    ChatCommand("new", "New conversation", "the one on the screen is kept", _new),
)
