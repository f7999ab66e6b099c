"""An independent terminal to compare with: pyte, and what today's terminals do beyond it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import pyte
from pyte.screens import Char
from rich.cells import cell_len

PRIVATE = re.compile(r"\x1b\[(?:[<=>][0-?]*[ -/]*[@-~]|\??[0-9;]*[ -/]+[@-~]|\?[0-9;]*[^0-9;hl])")
STRING = re.compile(r"\x1b\](?:8;[^;\x07\x1b]*;([^\x07\x1b]*)|[^\x07\x1b]*)(?:\x07|\x1b\\)")
LOST = re.compile(r"\x1b[PX^_][^\x1b]*\x1b\\")
OTHER = re.compile(
    f"({LOST.pattern}|{STRING.pattern}|{PRIVATE.pattern}|\x1b\\[\\?[0-9;]*[hl]|\x07)"
)
JOINER = "\u200d"
NARROW = frozenset(map(chr, [*range(0x20, 0x7F), *range(0x2500, 0x25A0), *range(0x2800, 0x2900)]))
FRAME = ("\x1b[?2026h", "\x1b[?2026l")
MORE = {"2": "dim", "6": "fast", "8": "conceal", "21": "double", "51": "framed", "53": "overline"}
MORE_OFF = {
    "22": ("dim",), "24": ("double",), "25": ("fast",), "28": ("conceal",), "54": ("framed",),
    "55": ("overline",),
}  # fmt: skip


class Cell(NamedTuple):
    """One cell: pyte's, and what it leaves out."""

    data: str
    fg: str = "default"
    bg: str = "default"
    bold: bool = False
    italics: bool = False
    underscore: bool = False
    strikethrough: bool = False
    reverse: bool = False
    blink: bool = False
    more: frozenset[str] = frozenset()
    link: str = ""


class Emulator(pyte.Screen):
    """A terminal of that size which can be fed; ``others`` are the sequences that move no cell."""

    def __init__(self, columns: int, rows: int) -> None:
        self.others: list[str] = []
        self._last: tuple[int, int, int] | None = None  # the character before the cursor
        self._joining = False  # which was written in the same text
        super().__init__(columns, rows)
        self._stream = pyte.Stream(self)
        self._outside: dict[int, Any] | None = None  # the other screen

    def feed(self, data: str) -> None:
        """Take in output, as it comes out of the terminal line (which adds carriage returns)."""
        at = 0
        for match in OTHER.finditer(data):
            self._stream.feed(data[at : match.start()].replace("\n", "\r\n"))
            at = match.end()
            self._take(match[0])
        self._stream.feed(data[at:].replace("\n", "\r\n"))

    def _take(self, sequence: str) -> None:
        link = re.fullmatch(r"\x1b\]8;[^;]*;([^\x07\x1b]*)(?:\x07|\x1b\\)", sequence)
        if link:
            self._joining = False
            self.cursor.attrs = self.cursor.attrs._replace(link=link[1])  # type: ignore[call-arg]
            return
        if sequence in FRAME:
            return
        self.others.append(sequence)
        if sequence == "\x1b[?1049h" and self._outside is None:
            self._outside = {**self.buffer}
            self.save_cursor()
            self.buffer.clear()
        elif sequence == "\x1b[?1049l" and self._outside is not None:
            self.buffer.clear()
            self.buffer.update(self._outside)
            self.restore_cursor()
            self._outside = None
        elif re.fullmatch(r"\x1b\[\?[0-9;]*[hl]", sequence):
            self._stream.feed(sequence)

    def reset(self) -> None:
        super().reset()
        self.cursor.attrs = self.default_char

    @property
    def default_char(self) -> Char:
        return Cell(" ")  # type: ignore[return-value]

    def select_graphic_rendition(self, *attrs: int) -> None:
        link, more = self.cursor.attrs.link, self.cursor.attrs.more  # type: ignore[attr-defined]
        codes = [str(code) for code in attrs or (0,)]
        plain = re.sub(r"(?<![0-9])[34]8;(5;\d+|2;\d+;\d+;\d+)", "", ";".join(codes)).split(";")
        for code in plain:
            more -= set(MORE_OFF.get(code, more if code == "0" else ()))
            more |= {MORE[code]} if code in MORE else set()
        super().select_graphic_rendition(*attrs)
        self._joining = False
        self.cursor.attrs = self.cursor.attrs._replace(link=link, more=more)  # type: ignore[call-arg]

    def draw(self, data: str) -> None:
        """Draw characters with their marks, wide as Rich says; half a character never stays."""
        self.dirty.add(self.cursor.y)
        fits = self.cursor.x + len(data) < self.columns
        if fits and NARROW.issuperset(data) and not (self._joining and self._after_joiner()):
            self._draw_plain(data)
            return
        for cluster in clusters(data):
            last = self._last
            here = (self.cursor.y, self.cursor.x)
            if last and here == (last[0], last[2]):
                before = self.buffer[last[0]][last[1]]
                joined = self._joining and before.data.endswith(JOINER)
                if joined or not cell_len(cluster[0]):
                    self._set(last[1], before._replace(data=before.data + cluster))
                    continue
            if cell_len(cluster):
                fits = self.cursor.x + cell_len(cluster) <= self.columns
                character = cluster if fits else " "
                self._set(self.cursor.x, self.cursor.attrs._replace(data=character))
                self._last = self._last if fits else None

    def _after_joiner(self) -> bool:
        return (
            self._last is not None and self.buffer[self._last[0]][self._last[1]].data[-1:] == JOINER
        )

    def _draw_plain(self, data: str) -> None:
        line, x = self.buffer[self.cursor.y], self.cursor.x
        rest = self.cursor.attrs[1:]
        for edge in (x, x + len(data)):
            if edge > 0 and line[edge].data == "":
                line[edge - 1] = line[edge - 1]._replace(data=" ")
                line[edge] = line[edge]._replace(data=" ")
        line.update((x + at, Cell(character, *rest)) for at, character in enumerate(data))  # type: ignore[arg-type]
        self.cursor.x = x + len(data)
        self._last, self._joining = (self.cursor.y, self.cursor.x - 1, self.cursor.x), True

    def _set(self, x: int, cell: Char) -> None:
        line, width = self.buffer[self.cursor.y], cell_len(cell.data)
        for edge in (x, x + width):
            if 0 < edge < self.columns and line[edge].data == "":
                line[edge - 1] = line[edge - 1]._replace(data=" ")
                line[edge] = line[edge]._replace(data=" ")
        line[x] = cell
        if width == 2:
            line[x + 1] = cell._replace(data="")
        self.cursor.x = min(x + width, self.columns - 1)
        self._last, self._joining = (self.cursor.y, x, self.cursor.x), True

    def ensure_hbounds(self) -> None:
        """The end of most moves of the cursor: a mark that follows is of no character."""
        super().ensure_hbounds()
        self._last = None

    def ensure_vbounds(self, use_margins: bool | None = None) -> None:
        super().ensure_vbounds(use_margins)
        self._last = None

    def carriage_return(self) -> None:
        super().carriage_return()
        self._last = None

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        x, last = self.cursor.x, self.columns
        start, end = ((x, last), (0, x + 1), (0, last))[how]
        self._erase(self.cursor.y, start, end)

    def erase_characters(self, count: int | None = None) -> None:
        x = self.cursor.x
        self._erase(self.cursor.y, x, min(x + (count or 1), self.columns))

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        y = self.cursor.y
        for row in (range(y + 1, self.lines), range(y), range(self.lines))[how]:
            self._erase(row, 0, self.columns)
        if how < 2:
            self.erase_in_line(how)

    def _erase(self, y: int, start: int, end: int) -> None:
        self.dirty.add(y)
        line, self._last = self.buffer[y], None
        for edge in (start, end):
            if 0 < edge < self.columns and line[edge].data == "":
                line[edge - 1] = line[edge - 1]._replace(data=" ")
                line[edge] = line[edge]._replace(data=" ")
        for x in range(start, end):
            line[x] = self.cursor.attrs._replace(data=" ")

    def cells(self, rows: Iterable[int] | None = None) -> list[list[Cell]]:
        """All that can be seen, perhaps of some rows alone."""
        lines = [self.buffer[y] for y in (range(self.lines) if rows is None else rows)]
        return [[look(line[x]) for x in range(self.columns)] for line in lines]  # type: ignore[arg-type]

    def place(self) -> tuple[int, int]:
        """Row and column of the cursor."""
        return self.cursor.y, self.cursor.x

    def scramble(self) -> None:
        """Something else has written all over it."""
        for y in range(self.lines):
            for x in range(self.columns):
                self.buffer[y][x] = Cell("#", "red")  # type: ignore[assignment]
        self.cursor.attrs = Cell(" ", "green", reverse=True)  # type: ignore[assignment]
        self.cursor_position(2, 3)


@lru_cache(1 << 14)
def look(cell: Cell) -> Cell:
    """A cell without what cannot be seen in it."""
    if cell.data != " " or cell.underscore or cell.reverse or cell.strikethrough:
        return cell
    if cell.more & {"double", "framed", "overline"}:
        return cell
    return Cell(" ", bg=cell.bg, link=cell.link)


def clusters(text: str) -> list[str]:
    """Characters, each with what combines with it."""
    found: list[str] = []
    for character in text:
        joined = found and (found[-1].endswith("\u200d") or not cell_len(character))
        if joined:
            found[-1] += character
        else:
            found.append(character)
    return found


def assert_same(direct: Emulator, through: Emulator) -> None:
    """Both show the same, their cursors stand at the same place, and the rest came in order."""
    written = sorted((direct.dirty | through.dirty) & set(range(direct.lines)))
    assert through.cells(written) == direct.cells(written)
    direct.dirty.clear()
    through.dirty.clear()
    assert through.place() == direct.place()
    assert through.others == direct.others
