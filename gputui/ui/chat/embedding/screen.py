"""How near texts are: a matrix with shades, and what it took."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from gputui.chat.embedding.client import Embedded
from gputui.chat.embedding.similarity import SHADES, Matrix, closest, shades
from gputui.text import clean_line, number, seconds
from gputui.ui.cells import CellView, Line, cut
from gputui.ui.palette import Look

_CELL = 7
_LABEL = 32
_PAIRS = 3
_SHADE = (" ", "░", "▒", "▓")
_SHADE_ASCII = (" ", ".", "+", "#")


class MatrixView(CellView, can_focus=True):
    """The matrix from its ``first`` column on, as many as fit; left and right go on to others."""

    BINDINGS = [
        Binding("left", "columns(-1)", "Columns before", show=False, id="matrix.left"),
        Binding("right", "columns(1)", "Next columns", show=False, id="matrix.right"),
    ]

    def __init__(self, look: Look, embedded: Embedded, matrix: Matrix) -> None:
        super().__init__(look, classes="matrix")
        self._embedded = embedded
        self._matrix = matrix
        self._shades = shades(matrix)
        self._closest = closest(matrix, _PAIRS)
        self._first = 0

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return len(self._embedded.texts)

    def lines(self, width: int) -> list[Line]:
        labels = self._labels(width)
        side = max(map(cell_len, labels)) + 1
        columns = range(self._first, min(len(labels), self._first + self._fit(width, side)))
        heading = Line().pad_to(side)
        for place in columns:
            heading.cell(str(place + 1), _CELL - 2, self.look.palette.dim, right=True, gap=2)
        rows = [self._row(place, label, side, columns) for place, label in enumerate(labels)]
        return [*self._above(len(labels) - len(columns), width), Line(), heading, *rows]

    def _labels(self, width: int) -> list[str]:
        texts = self._embedded.texts
        digits, most = len(str(len(texts))), max(8, min(_LABEL, width // 3))
        return [
            cut(f"{place:>{digits}}  {clean_line(text)}", most)
            for place, text in enumerate(texts, 1)
        ]

    @staticmethod
    def _fit(width: int, side: int) -> int:
        return max(1, (width - side) // _CELL)

    def _row(self, place: int, label: str, side: int, columns: range) -> Line:
        palette = self.look.palette
        line = Line().cell(label, side, palette.value)
        for column in columns:
            shade = self._shades[place][column]
            value = f"{self._matrix[place][column]:.2f}"
            line.cell(value, _CELL - 2, self._style(place, column, shade), right=True)
            line.add(self._mark(shade) + " ", palette.dim)
        return line

    def _style(self, row: int, column: int, shade: int) -> Style:
        palette = self.look.palette
        if row == column:
            return palette.dim
        return palette.strong if shade == SHADES - 1 else palette.value if shade else palette.dim

    def _mark(self, shade: int) -> str:
        return (_SHADE_ASCII if self.look.ascii_only else _SHADE)[shade]

    def _above(self, hidden: int, width: int) -> list[Line]:
        palette, embedded = self.look.palette, self._embedded
        pairs = "; ".join(
            f"{one + 1} and {two + 1}, {value:.2f}" for one, two, value in self._closest
        )
        more = f"{hidden} more columns: left and right" if hidden else ""
        took = _took(embedded)
        words = (f"nearest: {pairs}", more, took, embedded.model)
        return [Line().add(cut(one, width), palette.dim) for one in words if one]

    def action_columns(self, by: int) -> None:
        """By as many columns as are shown."""
        self._go_to(self._first + by * self._fits)
        self.redraw()

    @property
    def _fits(self) -> int:
        width = self.content_size.width
        return self._fit(width, max(map(cell_len, self._labels(width))) + 1)

    def _go_to(self, first: int) -> None:
        self._first = max(0, min(self.rows - self._fits, first))

    def on_resize(self) -> None:
        """As high as it needs; the columns stay those that are read."""
        if (width := self.content_size.width) > 0:
            self._go_to(self._first)
            self.styles.height = len(self.lines(width))
            self.redraw()


def _took(embedded: Embedded) -> str:
    parts = [f"{len(embedded.texts)} texts", f"{embedded.dimensions} dimensions"]
    if embedded.tokens is not None:
        parts.append(f"server: {number(embedded.tokens.value)} tok")
    speed = embedded.tokens_per_second
    rate = f" {number(speed.value, 1)} tok/s" if speed else ""
    return " · ".join([*parts, f"client: {seconds(embedded.seconds)}{rate}"])


class MatrixScreen(ModalScreen[None]):
    """The matrix over the dashboard."""

    BINDINGS = [Binding("escape,q", "dismiss(None)", "Close", id="matrix.close")]

    def __init__(
        self, look: Look, name: str, embedded: Embedded, matrix: Sequence[Sequence[float]]
    ) -> None:
        super().__init__()
        self._title = f"How near · {clean_line(name, 80)}"
        self._view = MatrixView(look, embedded, matrix)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="text-screen", can_focus=False) as frame:
            frame.border_title = Content(self._title)
            frame.border_subtitle = Content("cosine, -1 to 1  esc closes")
            yield self._view

    def on_mount(self) -> None:
        self.set_focus(self._view)
