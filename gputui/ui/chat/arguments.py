"""What is typed behind a command of the chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gputui.errors import GputuiError
from gputui.text import clean_line

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting


def side_of(chatting: Chatting, argument: str) -> str:
    """The side that an argument names; that of the focus where it names none. Raises GputuiError."""
    name = argument.strip() or chatting.side
    sides = chatting.conversation.sides
    if name.upper() not in sides:
        raise GputuiError(f"There is no side {clean_line(name, 40)}", f"Sides: {', '.join(sides)}.")
    return name.upper()


def side_first(chatting: Chatting, argument: str, *, lower: bool = True) -> tuple[str | None, str]:
    """The side that an argument begins with, None where with none, and the rest. ``lower``: so written,
    too."""
    word, _, rest = argument.strip().partition(" ")
    name = word.upper() if lower else word
    return (name, rest.strip()) if name in chatting.conversation.sides else (None, argument.strip())
