"""A command of the chat: one thing that it can do, by a name that can be typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
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
    alone; in the prompt they are suggested as arguments. ``free``: its argument can be any other, too.
    ``complete`` gives what an argument that is being typed can become, where that must be looked for.
    """

    name: str
    title: str
    words: str
    run: Callable[[Chatting, str], None]
    takes: str = ""
    offers: Callable[[Chatting], Iterable[Offer]] | None = None
    complete: Callable[[Chatting, str], Awaitable[Sequence[str]]] | None = None
    free: bool = False

    def offered(self, chatting: Chatting) -> Iterable[Offer]:
        """What the command palette lists of it."""
        if self.offers is not None:
            return self.offers(chatting)
        return () if self.takes else ((self.title, ""),)

    def begun(self, offered: Sequence[Offer]) -> bool:
        """Whether the palette can begin it, in the prompt: where it offers nothing, or not all."""
        return bool(self.takes) and (self.free or not offered)
