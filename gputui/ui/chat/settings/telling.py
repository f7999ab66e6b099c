"""What a command of the settings has done, told and drawn."""

from __future__ import annotations

from gputui.ui.chat.chatting import Chatting

_SECONDS = 4.0


def tell(chatting: Chatting, words: str) -> None:
    """Say it, and bring the sides up to date."""
    chatting.screen.notify(chatting.look.text(words), markup=False, timeout=_SECONDS)
    chatting.seating.frame()
    chatting.panel.refresh_sides()
