"""The cells of the table of processes: the columns that fit, a cursor, the command of its row in full."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Protocol

from rich.cells import cell_len
from rich.style import Style
from textual.content import Content
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from gputui.text import sentences
from gputui.ui.cells import CellView, Line
from gputui.ui.palette import Look
from gputui.ui.processes.rows import GAP, Column, ProcessRow, fitting_columns

DETAIL_ROWS = 2
"""Rows below the table for the command of the cursor's row."""

LEAST_ROWS = 6
"""Rows of the table below which it gives none to the command."""

NONE_HERE = "No process has a context on a GPU."
NONE_KEPT = "No process matches the filter."


class OrderLike(Protocol):
    """How the rows are ordered, for the marks."""

    column: str
    falling: bool
    words: str
    tree: bool


class ProcessList(CellView, can_focus=True):
    """Rows as they are given. The cursor stays on its process wherever that goes."""

    class ColumnChosen(Message):
        """A column's title was clicked."""

        def __init__(self, title: str) -> None:
            super().__init__()
            self.title = title

    def __init__(self, look: Look, order: OrderLike, *, one_gpu: bool) -> None:
        super().__init__(look, classes="processes")
        self._order = order
        self.one_gpu = one_gpu
        self.note = ""  # of which GPUs the processes are not known
        self._rows: Sequence[ProcessRow] = ()
        self._now = 0.0
        self._cursor = 0
        self._top = 0
        self._title = ""

    @property
    def selected(self) -> ProcessRow | None:
        """The cursor's row; None where there is no row."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are shown."""
        without = {"GPU"} if self.one_gpu else set()
        if not any(row.instance for row in self._rows):
            without.add("instance")
        return fitting_columns(self.content_size.width - 1, without)

    @property
    def page(self) -> int:
        """How many rows are seen at once."""
        height = self._height
        return max(1, height - DETAIL_ROWS if height >= LEAST_ROWS + DETAIL_ROWS else height)

    @property
    def _height(self) -> int:
        """The rows below the titles, without that of the note."""
        return self.content_size.height - 1 - bool(self.note)

    def update_rows(self, rows: Sequence[ProcessRow], of: int, now: float) -> None:
        """Show ``rows``, kept of ``of`` processes; ``now`` is Unix time, for ages."""
        selected = self.selected
        self._rows, self._now = rows, now
        keys = [row.key for row in rows]
        if selected is not None and selected.key in keys:
            self._cursor = keys.index(selected.key)
        self._cursor = max(0, min(len(rows) - 1, self._cursor))
        self._show_title(of)
        self.redraw()

    def move(self, by: int) -> None:
        """Move the cursor by that many rows."""
        self._cursor = max(0, min(len(self._rows) - 1, self._cursor + by))
        self.redraw()

    def on_click(self, event: Click) -> None:
        spot = event.get_content_offset(self)
        if spot is None or not self._rows:
            return
        if spot.y == 0:
            title = self._title_at(spot.x)
            if title:
                self.post_message(self.ColumnChosen(title))
        elif spot.y <= min(self.page, len(self._rows) - self._top):
            self.move(self._top + spot.y - 1 - self._cursor)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.move(-3)

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def lines(self, width: int) -> Sequence[Line]:
        palette = self.look.palette
        note = (
            [Line().cell(f" {sentences(self.note)}", width, palette.warning)] if self.note else []
        )
        if not self._rows:
            words = NONE_KEPT if self._order.words else "" if note else NONE_HERE
            return [*([Line().add(f" {words}", palette.dim)] if words else []), *note]
        columns, page = self.columns, self.page
        self._top = max(min(self._top, self._cursor), self._cursor - page + 1)
        self._top = max(0, min(self._top, len(self._rows) - page))
        shown = self._rows[self._top : self._top + page]
        lines = [self._header(columns, width)]
        lines += [self._row(row, columns, width) for row in shown]
        lines += note
        if page < self._height:
            lines += [Line() for _ in range(page - len(shown))]
            lines += self._details(width)
        return lines

    def _header(self, columns: Sequence[Column], width: int) -> Line:
        palette, line = self.look.palette, Line().add(" ", self.look.palette.dim)
        for column in columns:
            sorts = column.title == self._order.column
            style = palette.strong if sorts else palette.dim
            mark = ("▾" if self._order.falling else "▴") if sorts else ""
            if column.right:
                line.cell(column.title, column.width, style, right=True)
                line.cell(mark, GAP, style)
            else:
                line.cell(f"{column.title}{mark}", _width(column, width, line) + GAP, style)
        return line

    def _row(self, row: ProcessRow, columns: Sequence[Column], width: int) -> Line:
        palette = self.look.palette
        marked = row is self.selected
        plain = palette.value if row.host else palette.dim
        line = Line().add("▸" if marked else " ", palette.strong)
        for column in columns:
            text = column.text(row, self._now)
            if column.title == "command":
                named = any(shown.title == "instance" for shown in columns)
                self._command(line, row, width - line.width, "" if named else row.instance)
            else:
                style = self._style(row, column, plain)
                line.cell(text, column.width, style, right=column.right, gap=GAP)
        if marked and self.has_focus:
            line.pad_to(width)
            line.runs = [(text, style + palette.cursor) for text, style in line.runs]
        return line

    def _style(self, row: ProcessRow, column: Column, plain: Style) -> Style:
        palette = self.look.palette
        if column.title in ("GPU", "instance") and row.gpu is not None:
            return palette.hue(row.gpu.index)
        quiet = column.title in ("type", "age") or (column.title == "user" and not _own(row))
        return palette.dim if quiet else plain

    def _command(self, line: Line, row: ProcessRow, room: int, instance: str) -> None:
        """The branch, the instance's name where it has no column, the program's name, and as much of
        its arguments as there is room for."""
        palette = self.look.palette
        end = line.width + room
        line.add(row.branch, palette.track)
        if instance:
            line.add(f"{instance} ", palette.hue(row.gpu.index) if row.gpu else palette.value)
        room = end - line.width
        if room <= 0:
            return
        if row.host is None:
            line.cell(row.command, room, palette.dim)
            return
        program, _, arguments = row.command.partition(" ")
        name = program.rpartition("/")[2] or program
        short = line.cell(
            name, min(room, cell_len(name)), palette.value if row.gpu else palette.dim
        )
        left = room - cell_len(name)
        if left > 1 and arguments:
            short.cell(f" {arguments}", left, palette.dim)

    def _details(self, width: int) -> list[Line]:
        """The command of the cursor's row in full, as far as the rows go."""
        row = self.selected
        text = row.command if row else ""
        if row is not None and row.host is None:
            text = sentences(f"{row.pid}: {text}", "It is never signalled from here.")
        wrapped = textwrap.wrap(
            text,
            max(20, width - 2),
            max_lines=DETAIL_ROWS,
            placeholder=" …",
            break_on_hyphens=False,
        )
        return [Line().add(f" {part}", self.look.palette.dim) for part in wrapped]

    def _title_at(self, x: int) -> str:
        end = 1
        for column in self.columns:
            end += column.width + GAP
            if x < end or column.width == 0:
                return column.title
        return ""

    def _show_title(self, of: int) -> None:
        """The border; touched only where it changes, since touching it repaints the whole widget."""
        count = len({row.node for row in self._rows if row.gpu})
        parts = [f"Processes: {count} of {of}" if self._order.words else f"Processes: {count}"]
        parts += ["tree"] * self._order.tree
        title = " · ".join(parts)
        if title != self._title:
            self._title = title
            self.border_title = Content(self.look.text(title))


def _width(column: Column, width: int, line: Line) -> int:
    return column.width or max(0, width - line.width - GAP)


def _own(row: ProcessRow) -> bool:
    return row.host is not None and row.host.own
