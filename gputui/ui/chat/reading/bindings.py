"""The keys that hold on a side for reading."""

from __future__ import annotations

from textual.binding import Binding

READING_BINDINGS = (
    Binding("m", "screen.chat('alone')", "Alone", id="side.alone"),
    Binding("s", "screen.chat('sync')", "Together", id="side.sync"),
    Binding("d", "screen.chat('diff')", "Differences", id="side.diff"),
    Binding("slash", "screen.chat('find')", "Find", key_display="/", id="side.find"),
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
