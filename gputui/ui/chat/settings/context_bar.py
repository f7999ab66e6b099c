"""How full a side's context is, in a few cells at the end of its numbers."""

from __future__ import annotations

from gputui.chat.asking.context import WARN_SHARE, ContextUse
from gputui.ui.cells import Line
from gputui.ui.graph import bar
from gputui.ui.palette import Look

_BAR = 6
_ROOM = 64
"""Where the numbers have fewer cells, they get all but the percentage's."""


def context_width(use: ContextUse | None, width: int) -> int:
    """The cells that it takes, with the blanks before it; 0 where nothing is known."""
    if use is None:
        return 0
    return len(_words(use)) + 2 + (_BAR + 1 if width >= _ROOM else 0)


def add_context(line: Line, use: ContextUse | None, width: int, look: Look) -> Line:
    """``ctx ██▍─── 41 %`` at the right end of ``line``; the colour of a warning from 80 % on."""
    taken = context_width(use, width)
    if use is None or line.width + taken > width:
        return line
    palette = look.palette
    style = palette.warning if use.share >= WARN_SHARE else palette.dim
    line.pad_to(width - taken + 2).add("ctx ", palette.dim)
    if width >= _ROOM:
        full, rest = bar(min(1.0, use.share), _BAR, ascii_only=look.ascii_only)
        line.add(full, style).add(rest, palette.track).add(" ", style)
    return line.add(_words(use).removeprefix("ctx "), style)


def _words(use: ContextUse) -> str:
    return f"ctx {'~' if use.estimated else ''}{use.share * 100:.0f} %"
