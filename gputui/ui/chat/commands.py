"""Every command of the chat: a folder's own are one line here."""

from __future__ import annotations

from collections.abc import Mapping

from gputui.errors import GputuiError
from gputui.text import clean_line, nearest
from gputui.ui.chat.basics import BASIC_COMMANDS
from gputui.ui.chat.command import ChatCommand
from gputui.ui.chat.embedding.commands import EMBEDDING_COMMANDS
from gputui.ui.chat.kept.commands import KEPT_COMMANDS
from gputui.ui.chat.prompting.commands import PROMPT_COMMANDS
from gputui.ui.chat.queue.commands import QUEUE_COMMANDS
from gputui.ui.chat.reading.commands import READING_COMMANDS
from gputui.ui.chat.settings.commands import SETTINGS_COMMANDS
from gputui.ui.chat.voting.commands import VOTING_COMMANDS

COMMANDS: tuple[ChatCommand, ...] = (
    *BASIC_COMMANDS,
    *KEPT_COMMANDS,
    *READING_COMMANDS,
    *SETTINGS_COMMANDS,
    *PROMPT_COMMANDS,
    *VOTING_COMMANDS,
    *QUEUE_COMMANDS,
    *EMBEDDING_COMMANDS,
)


GROUPS: Mapping[str, tuple[ChatCommand, ...]] = {
    "Ask": (
        *(one for one in BASIC_COMMANDS if one.name != "reasoning"),
        *PROMPT_COMMANDS,
        *SETTINGS_COMMANDS,
    ),
    "Read": (*(one for one in BASIC_COMMANDS if one.name == "reasoning"), *READING_COMMANDS),
    "Keep": KEPT_COMMANDS,
    "Compare": (*VOTING_COMMANDS, *QUEUE_COMMANDS, *EMBEDDING_COMMANDS),
}
"""All of them by what one does with them."""

_NEAR = 0.65
"""Names are short: at less than this, words that have nothing to do with each other are alike."""


def command_of(name: str) -> ChatCommand:
    """The command of that name. Raises GputuiError where there is none."""
    for command in COMMANDS:
        if command.name == name:
            return command
    near = nearest(name, [command.name for command in COMMANDS], _NEAR)
    raise GputuiError(
        f"/{clean_line(name, 40)} is no command of the chat",
        (f"Did you mean /{near}? " if near else "") + "To send it as it is, put a space before it.",
    )
