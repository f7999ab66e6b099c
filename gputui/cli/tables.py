"""Tables of plain text, in cells of a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

GAP = "  "
"""Between two columns."""


def aligned(rows: Sequence[Sequence[str]], left: Collection[str]) -> list[str]:
    """Lines in which the columns stand below each other; the first row holds the headings.

    Columns are aligned to the right but those whose heading is in ``left``.
    """
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            padded(cell, width, right=heading not in left)
            for cell, width, heading in zip(row, widths, rows[0], strict=True)
        ).rstrip()
        for row in rows
    ]


def padded(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled up with blanks to ``width`` cells."""
    blanks = " " * (width - cell_width(text))
    return blanks + text if right else text + blanks


def fitted(text: str, width: int) -> str:
    """``text`` cut to at most ``width`` cells; an ellipsis ends a cut."""
    if cell_width(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += cell_width(character)
        if used > width:
            break
        kept += character
    return kept + "…" if width > 0 else ""


def cell_width(text: str) -> int:
    """How many cells ``text`` takes (Unicode's East Asian Width)."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
