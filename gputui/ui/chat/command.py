"""A command of the chat: one thing that it can do, by a name that can be typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting


Offer: TypeAlias = tuple[str, str]
"""A title, and the argument that the command gets when it is chosen."""


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """``/name`` in the prompt, ``title`` in the command palette, ``chat('name')`` as a key's action.

    ``words`` say what it does; ``takes`` names its argument as people are shown it ("[A|B] NAME"), ""
    where it has none. ``run`` gets what was typed behind the name, "" for nothing; it may raise
    GputuiError, which is told. ``offers`` are its entries in the palette, where they are not the title
    alone.
    """

    name: str
    title: str
    words: str
    run: Callable[[Chatting, str], None]
    takes: str = ""
    offers: Callable[[Chatting], Iterable[Offer]] | None = None

    def offered(self, chatting: Chatting) -> Iterable[Offer]:
        """What the command palette lists of it."""
        if self.offers is not None:
            return self.offers(chatting)
        return () if self.takes else ((self.title, ""),)

    @property
    def begun(self) -> bool:
        """Whether the palette can only begin it, in the prompt."""
        return bool(self.takes) and self.offers is None
