"""The keys that hold on a side for a queue of more than two."""

from __future__ import annotations

from textual.binding import Binding

QUEUE_BINDINGS = (
    Binding(
        "less_than_sign",
        "screen.chat('page', 'back')",
        "Side before",
        show=False,
        key_display="<",
        id="side.page_back",
    ),
    Binding(
        "greater_than_sign",
        "screen.chat('page', 'next')",
        "Next side",
        show=False,
        key_display=">",
        id="side.page_next",
    ),
)
