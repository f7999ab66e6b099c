"""What a terminal shows, and the least to send so that it shows something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.ui.terminal.cells import Cells, certain
from gputui.ui.terminal.moves import move
from gputui.ui.terminal.order import shortest, style_of
from gputui.ui.terminal.segments import Segment, differing, same, segments
from gputui.ui.terminal.styles import NO_LINK, Style, blank, change

COSTLY = 30
"""Bytes: moves and changes of style before a segment are hardly longer."""
REWRITTEN = 6
"""Cells between two segments that are written again, at most; no move is longer than that."""
PATIENCE = 16
"""Pieces in which a row is left out before it goes before rows with fewer cells to send."""


@dataclass(slots=True)
class Pen:
    """Where the terminal's cursor stands and in which style it writes; None is not known.

    ``linked``: it has written a hyperlink. A terminal that was never sent one is not told to end one.
    """

    row: int | None = None
    column: int | None = None
    style: Style | None = None
    linked: bool = False

    def go(self, row: int, column: int) -> str:
        """Move there."""
        sequence = move(self.row, self.column, row, column)
        self.row, self.column = row, column
        return sequence

    def dip(self, style: Style) -> str:
        """Write in that style from now on."""
        sequence = change(self.style, style)
        if self.style is None and self.linked and not style.link:
            sequence = NO_LINK + sequence
        self.style = style
        self.linked = self.linked or bool(style.link)
        return sequence


class Shown:
    """The terminal's side: its cells as far as they are known, and its pen."""

    def __init__(self, columns: int, rows: int, pen: Pen | None = None) -> None:
        self.cells = Cells(columns, rows)
        self.pen = pen or Pen()
        self._waited: dict[int, int] = {}  # in how many pieces a row was left out

    def forget(self, style: Style | None = None) -> None:
        """Nothing is known, but perhaps the style."""
        self.cells.forget()
        self.pen = Pen(style=style, linked=self.pen.linked)

    def differs(self, wanted: Cells, rows: set[int]) -> bool:
        """Whether any of ``rows`` differs; those that do not are taken out of it."""
        for row in list(rows):
            if not same(self.cells, wanted, row):
                return True
            rows.discard(row)
        return False

    def send(self, wanted: Cells, rows: set[int], first: int, most: int | None) -> str:
        """What makes ``rows`` the same, and is taken as shown; those that then are are taken out.

        With ``most``, about that many bytes, at least one segment: the row ``first`` before
        all others, then the rows with the fewest cells to send, but none waits for good.
        """
        columns = {row: differing(self.cells, wanted, row) for row in sorted(rows)}
        pieces: Sequence[Segment] = [
            piece for row in columns for piece in segments(wanted, row, columns[row])
        ]
        if most is None or sum(size(piece.text) + COSTLY for piece in pieces) <= most:
            pieces = shortest(pieces, self.pen.row, self.pen.column, self.pen.style)
        else:
            pieces = sorted(
                pieces,
                key=lambda piece: (
                    piece.row != first,
                    -(self._waited.get(piece.row, 0) // PATIENCE),
                    len(columns[piece.row]),
                    piece.row,
                ),
            )
        sent, count = self._written(wanted, pieces, most)
        rows.clear()
        rows.update(segment.row for segment in pieces[count:])
        self._waited = {row: self._waited.get(row, 0) + 1 for row in rows}
        return sent

    def _written(
        self, wanted: Cells, pieces: Sequence[Segment], most: int | None
    ) -> tuple[str, int]:
        """The sequence that writes the pieces, and how many of them it took in."""
        out: list[str] = []
        length = 0
        for done, segment in enumerate(pieces):
            if most is not None and out and length + size(segment.text) > most:
                return "".join(out), done
            piece = self._write(wanted, segment)
            out.append(piece)
            length += size(piece)
        return "".join(out), len(pieces)

    def _write(self, wanted: Cells, segment: Segment) -> str:
        pen = self.pen
        style = style_of(segment, pen.style)
        start = segment.start
        between = self._between(wanted, segment, style)
        if between:
            start = pen.column or 0
            sequence = between + segment.text
            pen.style = style
        else:
            sequence = pen.go(segment.row, segment.start) + pen.dip(style) + segment.text
        pen.column = segment.moved
        self.cells.copy(wanted, segment.row, start, segment.end)
        return sequence

    def _between(self, wanted: Cells, segment: Segment, style: Style) -> str:
        """The cells from the cursor to the segment, in the style before or after, if that is shorter."""
        pen, row = self.pen, segment.row
        if pen.row != row or pen.column is None or pen.style is None:
            return ""
        start, end = pen.column, segment.start
        if not 0 < end - start <= REWRITTEN:
            return ""
        text = "".join(wanted.characters[row][start:end])
        if len(text) != end - start or not certain(text):
            return ""
        if len(text.encode()) >= len(move(row, start, row, end)):
            return ""
        switch = change(pen.style, style)
        if _all_in(pen.style, wanted, row, start, end):
            return text + switch
        if _all_in(style, wanted, row, start, end):
            return switch + text
        return ""


def size(text: str) -> int:
    """Bytes of a text in UTF-8, which no terminal's encoding exceeds by much."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _all_in(style: Style, wanted: Cells, row: int, start: int, end: int) -> bool:
    """Whether cells look as they shall when they are written in one style."""
    plain = blank(style)
    characters, styles = wanted.characters[row], wanted.styles[row]
    return all(
        styles[column] is style or (characters[column] == " " and styles[column] is plain)
        for column in range(start, end)
    )
