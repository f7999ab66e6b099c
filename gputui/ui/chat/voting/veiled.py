"""The list of kept conversations while one of them is a blind draw."""

from __future__ import annotations

from dataclasses import replace

from gputui.chat.conversation import Conversation
from gputui.ui.chat.kept.found_list import Found


def veiled(found: Found, conversation: Conversation) -> Found:
    """What may be shown of it: of the one on the screen no names, which stand in the order of its sides,
    and no places in answers, which may be those of one side that has finished."""
    hidden = conversation.hidden_id
    if hidden is None:
        return found
    return replace(
        found,
        conversations=tuple(
            replace(one, names=(), models=()) if one.id == hidden else one
            for one in found.conversations
        ),
        matches=tuple(one for one in found.matches if one.conversation_id != hidden),
    )
