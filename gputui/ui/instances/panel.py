"""The table of instances: one row each, the columns that fit, the reason of a failure beneath."""

from __future__ import annotations

from collections.abc import Sequence

from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Footer

from gputui.ui.cells import CellView, Line
from gputui.ui.instances.columns import (
    GAP,
    Column,
    InstanceRow,
    cell,
    fitting_columns,
    gpu_cell,
    role_words,
    state_cell,
)
from gputui.ui.instances.reasons import reason_lines, wrapped
from gputui.ui.palette import Look

LOW = 30
"""Rows of a terminal below which one line, not two, is kept for what there is to say."""
CHAT_ROWS = 8
ABOVE = frozenset({"header", "alerts", "banner", "gpus"})
"""What stands above the table, by id."""
NO_INSTANCE = "No instance is configured: n adds one, or write a file with: gputui init"


class InstancesPanel(CellView, can_focus=True):
    """All instances; the cursor's row is the one that ``s``, ``x``, ``r`` and ``l`` act on."""

    BINDINGS = [
        Binding("up", "move(-1)", "Up", show=False, id="instances.up"),
        Binding("down", "move(1)", "Down", show=False, id="instances.down"),
        Binding("enter", "details", "Details", key_display="enter", id="instances.details"),
    ]

    class CursorMoved(Message):
        """The cursor went to another instance."""

    class DetailsRequested(Message):
        """Everything about one instance, or endpoint, is asked for."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, look: Look) -> None:
        super().__init__(look, id="instances")
        self._rows: Sequence[InstanceRow] = ()
        self._cursor = 0
        self._top = 0
        self._hidden = ""
        self.border_title = Content("Instances")

    @property
    def selected(self) -> InstanceRow | None:
        """The cursor's row; None while there is no instance."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def update_rows(self, rows: Sequence[InstanceRow]) -> None:
        """Show ``rows``; the height follows their number and what there is to say."""
        self._rows = rows
        self._cursor = min(self._cursor, max(0, len(rows) - 1))
        self._fit()
        self.redraw()

    def action_move(self, by: int) -> None:
        """Move the cursor by that many rows."""
        self._cursor = max(0, min(len(self._rows) - 1, self._cursor + by))
        self._fit()
        self.redraw()
        self.post_message(self.CursorMoved())

    def action_details(self) -> None:
        """Ask for all about the cursor's row."""
        if self.selected is not None:
            self.post_message(self.DetailsRequested(self.selected.status.name))

    def on_click(self, event: Click) -> None:
        row = event.get_content_offset(self)
        if row is not None and 1 <= row.y <= self._visible():
            self.action_move(self._top + row.y - 1 - self._cursor)

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def lines(self, width: int) -> Sequence[Line]:
        palette = self.look.palette
        if not self._rows:
            return [Line().add(f" {text}", palette.dim) for text in wrapped(NO_INSTANCE, width)]
        roles = any(role_words(row.status) for row in self._rows)
        columns = fitting_columns(width, roles=roles)
        name_width = self._name_width(columns, width)
        header = Line().add(" ", palette.dim)
        for column in columns:
            cell(header, column.title, column, name_width, palette.dim)
        shown = self._rows[self._top : self._top + self._visible()]
        table = [header] + [self._row_line(row, columns, name_width, width) for row in shown]
        reasons = reason_lines(
            self._rows, self.selected, width, self._reason_rows, self.look.palette
        )
        return table + reasons

    def _row_line(
        self, row: InstanceRow, columns: Sequence[Column], name_width: int, width: int
    ) -> Line:
        palette = self.look.palette
        marked = row is self.selected
        line = Line().add("▸" if marked else " ", palette.strong)
        for column in columns:
            if column.title == "state":
                state_cell(line, row, column.width + GAP, self.look)
            elif column.title == "GPU":
                gpu_cell(line, row, column.width + GAP, self.look)
            else:
                style = palette.strong if column.title == "name" and marked else palette.value
                cell(line, column.text(row), column, name_width, style)
        if marked and self.has_focus:
            line.pad_to(width)
            line.runs = [(text, style + palette.cursor) for text, style in line.runs]
        return line

    def _name_width(self, columns: Sequence[Column], width: int) -> int:
        """Model, else name, takes what the other columns leave."""
        free = width - 1 - sum(column.width + GAP for column in columns)
        return max(0, min(free, 30))

    @property
    def _reason_rows(self) -> int:
        """Kept for what there is to say, said or not: the chat beneath does not jump."""
        return 1 if self.app.size.height < LOW else 2

    def _visible(self) -> int:
        """How many rows of instances fit: a third of the screen, while the chat keeps some."""
        height, around = self.app.size.height, 3 + self._reason_rows
        if self.has_class("-maximised"):
            most = height - 3 - around
        else:
            others = sum(
                widget.outer_size.height
                for widget in self.screen.children  # a query by selector takes a third of a tick
                if widget.display and (widget.id in ABOVE or isinstance(widget, Footer))
            )
            most = min(height // 3 - around, height - others - CHAT_ROWS - around)
        return max(1, min(len(self._rows), max(2, most)))

    def _fit(self) -> None:
        """The height, what is shown of the rows, and a word of those that are not."""
        width, visible = self.content_size.width or self.app.size.width - 2, self._visible()
        rows = 1 + visible + self._reason_rows
        if not self._rows:
            rows = len(wrapped(NO_INSTANCE, width))
        if self.styles.height is None or self.styles.height.value != rows + 2:
            self.styles.height = rows + 2
        top = max(min(self._top, self._cursor), self._cursor - visible + 1)
        self._top = max(0, min(top, len(self._rows) - visible))
        hidden = ""
        if len(self._rows) > visible:
            last = self._top + visible
            up, down = "↑" * (self._top > 0), "↓" * (last < len(self._rows))
            hidden = self.look.text(f"{self._top + 1}–{last} of {len(self._rows)} {up}{down}")
        if hidden != self._hidden:
            self._hidden = hidden
            self.border_subtitle = Content(hidden)
