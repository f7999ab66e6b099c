"""The keys that hold on a side, in the order of the footer: what is done with two answers comes first."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding

from gputui.ui.chat.queue.bindings import QUEUE_BINDINGS
from gputui.ui.chat.reading.bindings import READING_BINDINGS

OFFERED: Mapping[str, str] = {
    "stop": "stop_side",
    "vote": "screen.chat('vote')",
    "reasoning": "unfold",
    "alone": "screen.chat('alone')",
}
"""The actions of keys that the footer shows only where there is something for them."""


def _offered(key: str, name: str, words: str) -> tuple[Binding, Binding]:
    """A key that the footer shows while the side offers it, and that is this side's at all times: on the
    dashboard below, it may do something else."""
    return (
        Binding(key, f"offered('{name}')", words, id=f"side.{name}"),
        Binding(key, OFFERED[name], words, show=False, id=f"side.{name}"),
    )


SIDE_BINDINGS = (
    *_offered("x", "stop", "Stop"),
    *_offered("v", "vote", "Vote"),
    Binding("d", "screen.chat('diff')", "Diff", id="side.diff"),
    Binding("slash", "screen.chat('find')", "Find", key_display="/", id="side.find"),
    *_offered("e", "reasoning", "Thinking"),
    Binding("r", "retry_side", "Retry", id="side.retry"),
    Binding("y", "screen.chat('copy')", "Copy", id="side.copy"),
    Binding("s", "screen.chat('sync')", "Sync", id="side.sync"),
    *_offered("m", "alone", "Alone"),
    Binding("question_mark", "screen.keys", "Keys", key_display="?", id="side.keys"),
    Binding("f", "screen.chat('save')", "Save", id="side.save"),
    Binding("u", "screen.chat('plain')", "Plain", show=False, id="side.plain"),
    *READING_BINDINGS,
    *QUEUE_BINDINGS,
)
