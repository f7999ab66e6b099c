"""All commands of the chat as a text to read: what one does with them, how each is typed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gputui.ui.chat.command import ChatCommand

USAGE = 24
"""Cells: a usage that is longer has a line of its own."""
MOST = 100
"""Cells: lines that are longer are hard to read."""
_INDENT, _GAP = 2, 2
_ABOVE = "Typed into the prompt; tab completes. All are in ctrl+p too, by the names on the right."
_BELOW = (
    "A prompt that begins with a slash: type two, or a blank before it. A path that is pasted is "
    "attached where it is of a picture or a text; ctrl+z then has it as text."
)


def help_text(width: int) -> str:
    """Every command by groups, ``width`` cells wide: how it is typed, and what it does."""
    from gputui.ui.chat.commands import GROUPS

    width = max(USAGE * 2, min(MOST, width))
    lines = textwrap.wrap(_ABOVE, width)
    for title, commands in GROUPS.items():
        lines += ["", title, *(line for one in commands for line in _entry(one, width))]
    return "\n".join([*lines, "", *textwrap.wrap(_BELOW, width)])


def _entry(command: ChatCommand, width: int) -> Iterator[str]:
    usage = " " * _INDENT + f"/{command.name} {command.takes}".rstrip()
    does = f"{command.title}: {command.words}" if command.words else command.title
    hanging = _INDENT + USAGE + _GAP
    first, *others = textwrap.wrap(does, width - hanging)
    if len(usage) > _INDENT + USAGE:
        yield usage
        usage = ""
    yield usage.ljust(hanging) + first
    yield from (" " * hanging + one for one in others)
