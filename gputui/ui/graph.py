"""Graphs of one line of block characters, made to move little.

A graph that scrolls by one column a tick changes every cell of itself every tick. Here the newest
value is drawn in the next free column, and only when the columns are full does the whole graph move,
by ``STEP`` columns at once: one cell a tick, a whole graph once in ``STEP``.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:-=+*#@"
STEP = 8


def window_size(width: int, ticks: int) -> int:
    """How many of the newest values a graph of ``width`` columns shows after ``ticks`` values."""
    if width <= STEP or ticks <= width:
        return min(width, ticks)
    return width - STEP + 1 + (ticks - width - 1) % STEP


def sparkline(
    values: Sequence[float | None], low: float, high: float, width: int, blocks: str = BLOCKS
) -> str:
    """The values as one line, oldest first, padded to ``width``; a gap where a value is None.

    ``low`` maps to the lowest block, never to a blank: a blank means not known.
    """
    span = high - low
    top = len(blocks) - 1
    cells = [
        " " if value is None else blocks[1 + round(_share(value - low, span) * (top - 1))]
        for value in values[-width:]
    ]
    return "".join(cells).ljust(width)


def bar(share: float | None, width: int, *, ascii_only: bool = False) -> tuple[str, str]:
    """A bar in two parts, full and rest; eighths of a cell where Unicode allows. None: all rest."""
    rest = "-" if ascii_only else "─"
    if share is None:
        return "", rest * width
    eighths = round(_share(share, 1.0) * width * 8)
    if ascii_only:
        full = "#" * (eighths // 8)
    else:
        part = "" if eighths % 8 == 0 else " ▏▎▍▌▋▊▉"[eighths % 8]
        full = "█" * (eighths // 8) + part
    return full, rest * (width - len(full))


def _share(value: float, span: float) -> float:
    return min(1.0, max(0.0, value / span)) if span > 0 else 0.0
