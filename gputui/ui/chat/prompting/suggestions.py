"""What a command that is being typed can become, and which of it is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.text import clean_line

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting
    from gputui.ui.chat.command import ChatCommand, Offer

MOST = 200
"""So many are looked at; more than a few are never on the screen."""
_NAME = re.compile(r"/([A-Za-z0-9_-]*)")
_ARGUMENT = re.compile(r"/([A-Za-z0-9_-]+) +(.*)")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One way to go on: ``text`` is what the prompt becomes, None where it only says what is expected.

    ``whole``: that text can be carried out as it is.
    """

    text: str | None
    label: str
    words: str
    whole: bool = False


def suggestions(
    text: str, commands: Sequence[ChatCommand], chatting: Chatting
) -> tuple[Suggestion, ...]:
    """All that ``text`` can become; () where it begins no command."""
    if name := _NAME.fullmatch(text):
        return tuple(map(_of_command, _matching(name[1].lower(), commands)))
    if found := _ARGUMENT.fullmatch(text):
        command = next((one for one in commands if one.name == found[1].lower()), None)
        return _arguments(command, found[2], chatting) if command else ()
    return ()


def of_arguments(command: ChatCommand, arguments: Sequence[str]) -> tuple[Suggestion, ...]:
    """The command with each of these arguments."""
    return tuple(
        Suggestion(f"/{command.name} {one}", clean_line(one, 100), "", not one.endswith("/"))
        for one in arguments
    )


def common_start(texts: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(texts), max(texts)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(one for one, _ in same)


def _of_command(command: ChatCommand) -> Suggestion:
    text = f"/{command.name} " if command.takes else f"/{command.name}"
    optional = not command.takes or command.takes.startswith("[")
    return Suggestion(text, _usage(command), _does(command), optional)


def _usage(command: ChatCommand) -> str:
    return f"/{command.name} {command.takes}".rstrip()


def _does(command: ChatCommand) -> str:
    return f"{command.title}: {command.words}" if command.words else command.title


def _matching(typed: str, commands: Sequence[ChatCommand]) -> Iterator[ChatCommand]:
    """Those that begin so, then those that hold it."""
    yield from (one for one in commands if one.name.startswith(typed))
    if len(typed) > 1:
        yield from (one for one in commands if typed in one.name and not one.name.startswith(typed))


def _arguments(command: ChatCommand, typed: str, chatting: Chatting) -> tuple[Suggestion, ...]:
    usage = Suggestion(None, _usage(command), _does(command))
    offers = _offers(command, chatting)
    word = typed.strip().casefold()
    if any(argument.casefold() == word for _, argument in offers) and word:
        offers = [one for one in offers if one[1].casefold().startswith(word)]
        if len(offers) == 1:
            return (usage,)
    begins = [one for one in offers if one[1].casefold().startswith(word)]
    holds = [one for one in offers if word in " ".join(one).casefold() and one not in begins]
    found = tuple(
        Suggestion(f"/{command.name} {argument}", argument, clean_line(title, 100), whole=True)
        for title, argument in (*begins, *holds)
    )
    return found or (usage,)


def _offers(command: ChatCommand, chatting: Chatting) -> list[Offer]:
    try:
        offered = islice(command.offers(chatting), MOST) if command.offers else ()
        return [(title, argument) for title, argument in offered if argument]
    except GputuiError:
        return []


class Menu:
    """The suggestions for the prompt's text, one of them chosen. Made anew as the text changes."""

    def __init__(self) -> None:
        self.shown: tuple[Suggestion, ...] = ()
        self.at = 0
        self.moved = False
        self.text: str | None = None

    @property
    def open(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.shown)

    @property
    def chosen(self) -> Suggestion | None:
        """The one that is taken by a key; None where there is none to take."""
        return self.shown[self.at] if self.shown and self.shown[self.at].text is not None else None

    @property
    def choosing(self) -> bool:
        """Whether there is more than a word of what is expected."""
        return self.chosen is not None

    def show(self, text: str, found: Sequence[Suggestion]) -> None:
        """Suggest these while the text stays as it is."""
        self.text, self.shown = text, tuple(found)
        self.at, self.moved = 0, False

    def close(self) -> None:
        """Suggest nothing until the text is another."""
        self.shown = ()

    def forget(self) -> None:
        """Suggest nothing, and look anew at the same text."""
        self.close()
        self.text = None

    def move(self, by: int) -> None:
        """Choose another, from the last to the first and back."""
        self.at = (self.at + by) % len(self.shown)
        self.moved = True
