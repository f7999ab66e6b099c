"""A screen of cells: their characters and styles, row by row.

A cell holds one character with the marks that combine with it; a wide character's second cell holds
"". UNKNOWN stands for a cell of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from unicodedata import category

from rich.cells import cell_len

from gputui.ui.terminal.styles import DEFAULT, Style, blank

UNKNOWN = "\0"
JOINER = "\u200d"

_narrow = set(map(chr, range(0x20, 0x7F)))
"""Characters known to fill one cell each, with no marks among them."""


class Cells:
    """Rows of cells; ``characters`` and ``styles`` are to be read, row by row."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.characters: list[list[str]] = []
        self.styles: list[list[Style]] = []
        self.forget()

    def forget(self) -> None:
        """Nothing is known any more."""
        self.characters = [[UNKNOWN] * self.columns for _ in range(self.rows)]
        self.styles = [[DEFAULT] * self.columns for _ in range(self.rows)]

    def write(self, row: int, column: int, text: str, style: Style) -> int:
        """Put a text into a row; the column behind it, at most ``self.columns``.

        As where lines do not wrap: what runs over the end falls upon the last cell.
        """
        written, looks = _painted(text, style)
        if not written:
            return column
        if column >= self.columns:
            column = self.columns - 1
        if (end := column + len(written)) > self.columns:
            end = self.columns
            written = _clipped(written, end - column)
            looks = _styles(written, style)
        characters, styles = self.characters[row], self.styles[row]
        if not characters[column] or (end < self.columns and not characters[end]):
            self._part(row, column)
            self._part(row, end)
        characters[column:end] = written
        styles[column:end] = looks
        return end

    def erase(self, row: int, start: int, end: int) -> None:
        """Blanks in the terminal's own colours."""
        if end > start:
            self.write(row, start, " " * (end - start), DEFAULT)

    def copy(self, other: Cells, row: int, start: int, end: int) -> None:
        """Take over cells of another screen of the same size; none of them half a character.

        Of a half that stays behind nothing is known: it is for the terminal to say what it shows.
        """
        characters, styles = self.characters[row], self.styles[row]
        for column in (start, end):
            if 0 < column < self.columns and not characters[column]:
                characters[column - 1 : column + 1] = [UNKNOWN, UNKNOWN]
                styles[column - 1 : column + 1] = [DEFAULT, DEFAULT]
        characters[start:end] = other.characters[row][start:end]
        styles[start:end] = other.styles[row][start:end]

    def _part(self, row: int, column: int) -> None:
        """Blank both halves of a wide character that begins before ``column`` and ends behind it."""
        characters, styles = self.characters[row], self.styles[row]
        if 0 < column < self.columns and not characters[column]:
            characters[column - 1 : column + 1] = [" ", " "]
            styles[column - 1 : column + 1] = [blank(styles[column - 1])] * 2


@lru_cache(1024)
def _painted(text: str, style: Style) -> tuple[Sequence[str], Sequence[Style]]:
    """The cells of a text, their characters and their styles."""
    cells = cells_of(text)
    return cells, _styles(cells, style)


def _styles(characters: Sequence[str], style: Style) -> list[Style]:
    """The style of each cell; blanks have the plainest that looks the same."""
    plain = blank(style)
    if plain is style or " " not in characters:
        return [style] * len(characters)
    return [plain if character == " " else style for character in characters]


def _clipped(characters: Sequence[str], room: int) -> list[str]:
    """What stays of a text with too little room; the last cell shows what came last."""
    kept = list(characters[: room - 1])
    if kept and len(kept[-1]) and characters[room - 1] == "":
        kept[-1] = " "
    return [*kept, characters[-1] or " "]


def cells_of(text: str) -> Sequence[str]:
    """A text (no controls in it) cell by cell."""
    return text if _narrow.issuperset(text) else _clusters(text)


@lru_cache(512)
def _clusters(text: str) -> Sequence[str]:
    """Characters with their marks, each followed by "" where it is wide, as Rich measures them."""
    _narrow.update(character for character in text if _narrow_everywhere(character))
    if _narrow.issuperset(text):
        return text
    cells: list[str] = []
    start = 0
    for character in text:
        width = cell_len(character)
        if cells and (not width or cells[start].endswith(JOINER)):
            joined = cells[start] + character
            wide = cell_len(joined)
            if not width or wide == len(cells) - start:
                cells[start:] = [joined] + [""] * (wide - 1)
                continue
        if width:
            start = len(cells)
            cells.extend([character] + [""] * (width - 1))
    return cells


def joins(text: str) -> bool:
    """Whether a text begins with a mark that belongs to the character before it."""
    return text[0] not in _narrow and not cell_len(text[0])


def certain(text: str) -> bool:
    """Whether all terminals give these cells the same width: no emoji, no marks, no joiners."""
    return _narrow.issuperset(text) or all(
        character in _narrow or any(first <= character <= last for first, last in IDEOGRAPHS)
        for character in text
    )


def _narrow_everywhere(character: str) -> bool:
    return (
        character < FIRST_PICTOGRAPH
        and not HEXAGRAMS[0] <= character <= HEXAGRAMS[1]
        and category(character) != FORMAT
        and cell_len(character) == 1
    )


FIRST_PICTOGRAPH = "\U0001f000"
FORMAT = "Cf"
"""A soft hyphen, a direction: shown in a cell here and in none there."""
HEXAGRAMS = ("\u4dc0", "\u4dff")
"""Wide since Unicode 16 alone."""
IDEOGRAPHS = (
    ("\u2e80", "\u303e"),
    ("\u3041", "\u4dbf"),
    ("\u4e00", "\ua4cf"),
    ("\uac00", "\ud7a3"),
    ("\uf900", "\ufaff"),
    ("\uff01", "\uff60"),
)
"""Blocks of wide characters that no terminal shows as narrow, from the first to the last."""
