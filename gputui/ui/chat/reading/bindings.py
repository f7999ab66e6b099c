"""The keys that hold on a side for moving in what is read, which the footer leaves out."""

from __future__ import annotations

from textual.binding import Binding

READING_BINDINGS = (
    Binding("n", "screen.chat('found', 'next')", "Next found", show=False, id="side.next"),
    Binding("N", "screen.chat('found', 'before')", "Found before", show=False, id="side.before"),
    Binding("escape", "screen.chat('endfind')", "End search", show=False, id="side.find_end"),
    Binding(
        "left_square_bracket",
        "screen.chat('turn', '-')",
        "Turn before",
        show=False,
        key_display="[",
        id="side.turn_before",
    ),
    Binding(
        "right_square_bracket",
        "screen.chat('turn', '+')",
        "Next turn",
        show=False,
        key_display="]",
        id="side.turn_next",
    ),
)
