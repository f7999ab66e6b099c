"""What the terminal shows, what it shall show, and the least to send from one to the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from gputui.ui.terminal.cells import JOINER, Cells, cells_of, joins
from gputui.ui.terminal.reading import LINK, MOVE_TO, PARAMETERS, RUN, SGR, TEXT, Reader
from gputui.ui.terminal.shown import Shown, size
from gputui.ui.terminal.styles import DEFAULT, Style, blank, linked, plain, styled

BEGIN_FRAME, END_FRAME = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronised output: between these a terminal shows nothing new."""

ENTER_ALTERNATE, LEAVE_ALTERNATE = "\x1b[?1049h", "\x1b[?1049l"
"""The other screen, and back: cursor and style are as they were before."""

_HARMLESS = re.compile(
    r"""
      \x1b\[\?(?!(?:[\d;]*;)?(?:3|6|47|69|104[789])[;hl])[\d;]*[hl]   # modes that move no cell
    | \x1b\[[<>=?][\d;]*u                                      # keyboard protocol
    | \x1b\[[?]?[\d;]*\$p | \x1b\[[>=]?\d*c | \x1b\[>\d*q      # questions
    | \x1b\[\d*\ q | \x1b\[[\d;]*t | \x1b\[5n                  # cursor shape, window, status
    | \x1b\](?!1337;).*                                        # titles, clipboard, colours; no images
    | [\x07]
    """,
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = re.compile(r"\x1b\[(\d*)([A-GJKXd`ae])")


class Picture:
    """The cells that a terminal shows and those that it shall show. Not thread-safe.

    ``write`` takes Textual's own output, ``take`` gives what is to be sent instead of it. Cells that
    nobody wrote since the screen was resized or switched are left as they are. A sequence whose
    effect is not known here goes through as it came, after all that was wanted before it; until the
    cursor is placed anew all else does, too. Lines do not wrap, as in Textual's screens.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.framed = False
        self._reader = Reader()
        self._style = self._ink = DEFAULT  # now, and of the text before the cursor
        self._alternate, self._outside = False, DEFAULT  # the other screen, the style before it
        self._passed: list[str] = []
        self._touched: set[int] = set()
        self._shown = Shown(columns, rows)
        self.resized(columns, rows)

    def resized(self, columns: int, rows: int) -> None:
        """The terminal has that size now; nothing is known about what it shows."""
        columns, rows = max(1, columns), max(1, rows)
        self._wanted = Cells(columns, rows)
        self._shown = Shown(columns, rows, self._shown.pen)
        self._lose()

    def forget(self) -> None:
        """Nothing is known about what the terminal shows: all that is wanted will be sent."""
        self._shown.forget()
        self._touched = set(range(self._wanted.rows))

    def _lose(self) -> None:
        """Whatever the terminal shows is wanted, its cursor is where it is."""
        self._wanted.forget()
        self._shown.forget(self._shown.pen.style)
        self._touched = set()
        self._row = self._column = 0
        self._lost = True
        self._written = False  # the cursor stands behind text
        self._joined = False  # which ended in a joiner

    @property
    def changed(self) -> bool:
        """Whether ``take`` would give anything."""
        return (
            bool(self._passed) or self._shown.differs(self._wanted, self._touched) or self._astray
        )

    @property
    def _astray(self) -> bool:
        """Whether the terminal's cursor is not where it shall be."""
        pen = self._shown.pen
        return not self._lost and (pen.row, pen.column) != self._place

    @property
    def _place(self) -> tuple[int, int]:
        return self._row, min(self._column, self._wanted.columns - 1)

    def take(self, most: int | None = None) -> str:
        """The next piece to send, from then on shown.

        With ``most``, about that many bytes at most (at least one piece): the cursor's row
        first, then the rows with the fewest cells to send; what is passed through is never cut.
        Once all is sent, the cursor is where it shall be.
        """
        passed = "".join(self._passed)
        self._passed.clear()
        if most is not None:
            most = max(1, most - size(passed))
        return passed + self._difference(most)

    def _difference(self, most: int | None) -> str:
        sent = self._shown.send(self._wanted, self._touched, self._row, most)
        if not self._touched and self._astray:
            sent += self._shown.pen.go(*self._place)
        return sent

    def write(self, data: str) -> None:
        """Take in a piece of what Textual writes; it may end within a sequence."""
        for token in self._reader.tokens(data):
            kind = token.lastindex or 0
            text = token[kind]
            if kind == MOVE_TO:
                self._move_to(text)
            elif self._lost:
                self._write_lost(token)
            elif kind == RUN:
                style = styled(self._style, token[PARAMETERS])
                self._joined = False
                self._write_text(text, style)
                self._set_style(plain(style))
            elif kind == TEXT:
                self._write_text(text, self._style)
            elif kind == SGR:
                self._set_style(styled(self._style, text))
            elif kind == LINK:
                self._set_style(linked(self._style, text))
            elif not self._obey(text):
                self._pass(text)

    def _move_to(self, parameters: str) -> None:
        row, _, column = parameters.partition(";")
        self._place_at(int(row or 1) - 1, int(column or 1) - 1)
        self._lost = False

    def _place_at(self, row: int, column: int) -> None:
        self._row = max(0, min(row, self._wanted.rows - 1))
        self._column = max(0, min(column, self._wanted.columns - 1))
        self._written = self._joined = False

    def _set_style(self, style: Style) -> None:
        """From now on. A joiner joins within a text alone, as Rich measures texts."""
        self._style, self._joined = style, False

    def _write_text(self, text: str, style: Style) -> None:
        if self._written and (self._joined or joins(text)):
            self._join(text, style)
        else:
            self._put(text, style)
        self._joined = text[-1] == JOINER

    def _put(self, text: str, style: Style) -> None:
        column, row = self._column, self._row
        self._touched.add(row)
        self._ink = style
        self._column = self._wanted.write(row, column, text, style)
        if self._column < self._wanted.columns:
            self._written = self._column > column
        else:  # unless it was too wide for the last cell
            self._written = text[-1] == " " or self._wanted.characters[row][-1] != " "

    def _join(self, text: str, style: Style) -> None:
        """Add what belongs to it to the character before the cursor; write the rest."""
        row = self._wanted.characters[self._row]
        start = self._column - 1
        while start and not row[start]:
            start -= 1
        cells = cells_of(row[start] + text)
        wide = 1
        while wide < len(cells) and not cells[wide]:
            wide += 1
        self._column = start
        self._put(cells[0], self._ink)
        if wide < len(cells):
            self._put("".join(cells[wide:]), style)

    def _obey(self, sequence: str) -> bool:
        """Do what a sequence asks for, if that is known and concerns cells or the cursor."""
        if len(sequence) == 1:
            return self._obey_character(sequence)
        simple = _SIMPLE.fullmatch(sequence)
        if simple is None:
            return False
        count, letter = int(simple[1] or 0), simple[2]
        if letter in ERASURES:
            return self._erase(letter, count)
        row, column = self._place
        self._place_at(*MOVES[letter](row, column, max(1, count)))
        return True

    def _obey_character(self, character: str) -> bool:
        row, column = self._place
        if character == "\r":
            self._place_at(row, 0)
        elif character == "\b":
            self._place_at(row, column - 1)
        elif character == "\n" and row + 1 < self._wanted.rows:
            self._place_at(row + 1, 0)  # the terminal line adds a carriage return
        else:
            return character in "\0\x7f"
        return True

    def _erase(self, letter: str, how: int) -> bool:
        """ED, EL, ECH; not in another background than the terminal's own: terminals differ there."""
        if blank(self._style) is not DEFAULT or (letter != "X" and how > 2):
            return False
        row, column = self._place
        columns, rows = self._wanted.columns, self._wanted.rows
        whole = range(0)
        if letter == "X":
            end = min(columns, column + max(1, how))
        else:
            column, end = ((column, columns), (0, column + 1), (0, columns))[how]
            if letter == "J":
                whole = (range(row + 1, rows), range(row), range(rows))[how]
        for each in whole:
            self._wanted.erase(each, 0, columns)
        self._wanted.erase(row, column, end)
        self._touched.update(whole, [row])
        self._written = self._joined = False
        return True

    def _write_lost(self, token: re.Match[str]) -> None:
        """All goes through as it came while the cursor's place is not known."""
        kind = token.lastindex or 0
        if kind == SGR:
            self._style = styled(self._style, token[kind])
        elif kind == LINK:
            self._style = linked(self._style, token[kind])
        elif kind in (RUN, TEXT):
            style = styled(self._style, token[PARAMETERS]) if kind == RUN else self._style
            self._passed.append(self._shown.pen.dip(style) + token[kind])
            self._style = plain(style) if kind == RUN else style
        else:
            self._pass(token[kind])

    def _pass(self, sequence: str) -> None:
        """Let through what is no cell."""
        if sequence in (BEGIN_FRAME, END_FRAME):
            self.framed = True
        elif _HARMLESS.fullmatch(sequence):
            self._passed.append(sequence)
        else:
            self._pass_unknown(sequence)

    def _pass_unknown(self, sequence: str) -> None:
        """Let through what may have any effect, and on what the terminal shows now."""
        left = self._alternate and sequence == LEAVE_ALTERNATE
        if not self._lost and not left:
            self._passed.append(self._difference(None))
        self._passed.append(self._shown.pen.dip(self._style) + sequence)
        self._shown.pen.style = None
        self._lose()
        if left:
            self._alternate, self._style = False, self._outside
        elif sequence == ENTER_ALTERNATE and not self._alternate:
            self._alternate, self._outside = True, self._style


ERASURES = "JKX"
MOVES: Final[Mapping[str, Callable[[int, int, int], tuple[int, int]]]] = {
    "A": lambda row, column, count: (row - count, column),
    "B": lambda row, column, count: (row + count, column),
    "C": lambda row, column, count: (row, column + count),
    "D": lambda row, column, count: (row, column - count),
    "E": lambda row, _, count: (row + count, 0),
    "F": lambda row, _, count: (row - count, 0),
    "G": lambda row, _, count: (row, count - 1),
    "`": lambda row, _, count: (row, count - 1),
    "d": lambda _, column, count: (count - 1, column),
    "a": lambda row, column, count: (row, column + count),
    "e": lambda row, column, count: (row + count, column),
}
"""CUU, CUD, CUF, CUB, CNL, CPL, CHA, HPA, VPA, HPR, VPR: row and column from 0, the parameter."""
