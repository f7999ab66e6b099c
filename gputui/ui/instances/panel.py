"""The table of instances: one row each, the columns that fit, the reason of a failure beneath."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.style import Style
from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.message import Message

from gputui.chat.health import EndpointState, EndpointStatus
from gputui.instances.status import HUNG_SECONDS, InstanceStatus, State, retry_words
from gputui.text import UNKNOWN, duration, number, seconds, sentences, size, uptime
from gputui.ui.alerts.marks import AlertMark
from gputui.ui.cells import CellView, Line, cut
from gputui.ui.graph import bar
from gputui.ui.palette import Look, Palette
from gputui.ui.power.lines import tokens_per_joule

BAR = 6
REASON_ROWS = 2
NO_INSTANCE = "No instance is configured. Write a configuration with: gputui init"


@dataclass(frozen=True)
class InstanceRow:
    """One instance as the table shows it. ``gpu_memory``: bytes on all GPUs, None where not known.

    ``alert`` is what fires for it. ``endpoint``: it is no instance, but this.
    """

    status: InstanceStatus
    key: str
    gpu_indexes: tuple[int, ...]
    gpu_memory: int | None
    uptime: float | None
    alert: AlertMark | None = None
    tokens_per_joule: float | None = None
    endpoint: EndpointStatus | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Those of the highest ``rank`` go first when the terminal is narrow."""

    title: str
    width: int
    rank: int
    right: bool
    text: Callable[[InstanceRow], str]


def _metric(name: str, digits: int = 0) -> Callable[[InstanceRow], str]:
    return lambda row: number(getattr(row.status.metrics, name), digits)


def _slots(row: InstanceRow) -> str:
    metrics = row.status.metrics
    if metrics.slots_total is None:
        return UNKNOWN
    return f"{number(metrics.slots_busy)}/{metrics.slots_total}"


def _memory(row: InstanceRow) -> str:
    """The GPU's where NVML knows it; the host's says that it is that."""
    if row.gpu_memory is not None or row.status.metrics.memory_bytes is None:
        return size(row.gpu_memory)
    return f"{size(row.status.metrics.memory_bytes)} host"


COLUMNS: tuple[Column, ...] = (
    Column("key", 3, 0, False, lambda row: row.key),
    Column("name", 16, 0, False, lambda row: row.status.name),
    Column("model", 24, 6, False, lambda row: row.status.model),
    Column("GPU", 6, 1, False, lambda row: ""),
    Column("port", 5, 4, True, lambda row: str(row.status.port)),
    Column("state", 20, 0, False, lambda row: ""),
    Column("tok/s", 6, 2, True, _metric("generation_tokens_per_second", 1)),
    Column("tok/J", 6, 9, True, lambda row: tokens_per_joule(row.tokens_per_joule)),
    Column("slots", 5, 5, True, _slots),
    Column("queue", 5, 7, True, _metric("requests_deferred")),
    Column("memory", 14, 3, True, _memory),
    Column("uptime", 10, 8, True, lambda row: uptime(row.uptime)),
)
GAP = 2


def fitting_columns(width: int) -> tuple[Column, ...]:
    """The columns shown at that width, in the table's order; the least important go first."""
    chosen = list(COLUMNS)
    while len(chosen) > 3 and sum(c.width + GAP for c in chosen) > width:
        chosen.remove(max(chosen, key=lambda c: c.rank))
    return tuple(chosen)


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
        """Everything about one instance is asked for."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, look: Look) -> None:
        super().__init__(look, id="instances")
        self._rows: Sequence[InstanceRow] = ()
        self._cursor = 0
        self._top = 0
        self.border_title = Content("Instances")

    @property
    def selected(self) -> InstanceRow | None:
        """The cursor's row; None while there is no instance."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def update_rows(self, rows: Sequence[InstanceRow]) -> None:
        """Show ``rows``; the height follows their number and what there is to say."""
        self._rows = rows
        self._cursor = min(self._cursor, max(0, len(rows) - 1))
        self._fit_height()
        self.redraw()

    def action_move(self, by: int) -> None:
        """Move the cursor by that many rows."""
        self._cursor = max(0, min(len(self._rows) - 1, self._cursor + by))
        self._fit_height()
        self.redraw()
        self.post_message(self.CursorMoved())

    def action_details(self) -> None:
        """Ask for the details of the cursor's instance; an endpoint has none but its line."""
        if self.selected is not None and self.selected.endpoint is None:
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
            return [Line().add(f" {text}", palette.dim) for text in _wrapped(NO_INSTANCE, width)]
        columns = fitting_columns(width)
        name_width = self._name_width(columns, width)
        header = Line().add(" ", palette.dim)
        for column in columns:
            _cell(header, column.title, column, name_width, palette.dim)
        visible = self._visible()
        self._top = max(min(self._top, self._cursor), self._cursor - visible + 1)
        shown = self._rows[self._top : self._top + visible]
        table = [header] + [self._row_line(row, columns, name_width, width) for row in shown]
        return table + self._reason_lines(width)

    def _row_line(
        self, row: InstanceRow, columns: Sequence[Column], name_width: int, width: int
    ) -> Line:
        palette = self.look.palette
        marked = row is self.selected
        line = Line().add("▸" if marked else " ", palette.strong)
        for column in columns:
            if column.title == "state":
                _state_cell(line, row, column.width + GAP, self.look)
            elif column.title == "GPU":
                _gpu_cell(line, row, column.width + GAP, self.look)
            elif column.title == "model":
                _model_cell(line, row, column.width + name_width, self.look)
            else:
                style = palette.strong if column.title == "name" and marked else palette.value
                _cell(line, column.text(row), column, name_width, style)
        if marked and self.has_focus:
            line.pad_to(width)
            line.runs = [(text, style + palette.cursor) for text, style in line.runs]
        return line

    def _name_width(self, columns: Sequence[Column], width: int) -> int:
        """Model, else name, takes what the other columns leave."""
        free = width - 1 - sum(column.width + GAP for column in columns)
        return max(0, min(free, 30))

    def _telling(self) -> InstanceStatus | None:
        """Whose reason is shown: the cursor's, else the first that failed."""
        statuses = [row.status for row in self._rows]
        if self.selected is not None:
            statuses.insert(0, self.selected.status)
        with_error = [status for status in statuses if status.last_error or _waits(status)]
        if statuses and _reason(statuses[0]):
            return statuses[0]
        return with_error[0] if with_error else None

    def _reason_lines(self, width: int) -> list[Line]:
        status, palette = self._telling(), self.look.palette
        row = self.selected
        if row is not None and row.alert is not None and not row.status.last_error:
            words, style = f"{row.alert.message}. {row.alert.hint}", row.alert.style(palette)
        elif status is None:
            return []
        else:
            words = f"{status.name}: {_reason(status)}"
            style = palette.error if status.last_error else palette.dim
        return [Line().add(f" {text}", style) for text in _wrapped(words, width)[:REASON_ROWS]]

    def _visible(self) -> int:
        """How many rows of instances fit."""
        height = self.app.size.height
        most = height - 8 if self.has_class("-maximised") else max(2, height // 4 - 3)
        return max(1, min(len(self._rows), most))

    def _fit_height(self) -> None:
        width = self.content_size.width or self.app.size.width - 2
        rows = 1 + self._visible() + len(self._reason_lines(width))
        if not self._rows:
            rows = len(_wrapped(NO_INSTANCE, width))
        if self.styles.height is None or self.styles.height.value != rows + 2:
            self.styles.height = rows + 2


def _reason(status: InstanceStatus) -> str:
    """Why it failed and what comes next, that it hangs, or what else is worth a line."""
    if status.last_error:
        coming = retry_words(status, time.time())
        if coming:
            coming = f"{coming[0].upper()}{coming[1:]}, after {_times(status.failures)}"
        return sentences(status.last_error, coming, status.hint)
    if _hangs(status):
        return (
            f"no token for {duration(60.0 * ((status.stalled_seconds or 0) // 60))}: r restarts it"
        )
    return _note(status)


def _times(count: int) -> str:
    return "1 crash" if count == 1 else f"{count} crashes"


def _hangs(status: InstanceStatus) -> bool:
    return status.stalled_seconds is not None and status.stalled_seconds > HUNG_SECONDS


def _note(status: InstanceStatus) -> str:
    """Its note, and what a restart would change of it."""
    differs = f"differs from running: {', '.join(status.differs)}" if status.differs else ""
    return "; ".join(part for part in (status.note, status.lowered, differs) if part)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text.strip(), max(20, width - 2))


def _cell(line: Line, text: str, column: Column, extra: int, style: Style) -> None:
    width = column.width + (extra if column.title == "model" else 0)
    line.cell(text, width, style, right=column.right, gap=GAP)


def _model_cell(line: Line, row: InstanceRow, width: int, look: Look) -> None:
    """The model, and dim what it can do where that is not chat alone."""
    status, palette, end = row.status, look.palette, line.width + width + GAP
    abilities: list[str] = [status.role] if status.role != "chat" else []
    abilities += ["vision"] if status.sees else []
    tail = f" {' '.join(abilities)}" if abilities else ""
    line.add(cut(status.model, width - len(tail)), palette.value).add(tail, palette.dim)
    line.pad_to(end)


def _gpu_cell(line: Line, row: InstanceRow, width: int, look: Look) -> None:
    """The GPUs' badges; CPU only where that is known, a question mark where the pin is not."""
    end = line.width + width
    if row.endpoint is not None:
        line.add(UNKNOWN, look.palette.dim)
    elif not row.gpu_indexes:
        line.add("CPU" if row.status.pinned is False else "?", look.palette.dim)
    for index in row.gpu_indexes[:3]:
        line.add(f"■{index}", look.palette.hue(index))
    line.pad_to(end)


def _state_cell(line: Line, row: InstanceRow, width: int, look: Look) -> None:
    """The state in words, and what fires; colour only repeats what the words say."""
    end = line.width + width
    status, palette = row.status, look.palette
    if row.endpoint is not None:
        _endpoint_state(line, row.endpoint, palette)
    else:
        line.add(state_words(status), state_style(status, palette))
    if status.state is State.LOADING:
        _loading(line, row, look)
    elif row.alert is None and status.lowered:
        line.add(" lowered", palette.warning)
    elif row.alert is not None:
        room = end - line.width - 1
        line.add(cut(f" ▲ {row.alert.words}", room), row.alert.style(palette))
    elif status.prompt_progress is not None:
        line.add(f" prompt {status.prompt_progress * 100:.0f} %", palette.value)
    elif status.differs:
        line.add(" differs", palette.dim)
    line.pad_to(end)


def _endpoint_state(line: Line, endpoint: EndpointStatus, palette: Palette) -> None:
    """``endpoint up 12 ms``."""
    styles = {EndpointState.UP: palette.success, EndpointState.DOWN: palette.error}
    line.add("endpoint ", palette.dim)
    line.add(str(endpoint.state), styles.get(endpoint.state, palette.value))
    if endpoint.state is EndpointState.UP and endpoint.latency_seconds is not None:
        line.add(f" {endpoint.latency_seconds * 1000:.0f} ms", palette.value)


def _loading(line: Line, row: InstanceRow, look: Look) -> None:
    """A bar with its estimate; for how long it has loaded where nothing is known, or all is used up."""
    status, palette = row.status, look.palette
    if status.load_progress is None or status.load_seconds_left == 0:
        line.add("" if row.uptime is None else f" for {seconds(row.uptime)}", palette.value)
        return
    full, rest = bar(status.load_progress, BAR, ascii_only=look.ascii_only)
    line.add(" ", palette.dim).add(full, palette.value).add(rest, palette.track)
    line.add(f" ~{status.load_progress * 100:.0f} %", palette.value)


def state_words(status: InstanceStatus) -> str:
    """``ready``, ``stopping 7 s``, ``failed, try in 7 s``; a loading bar is drawn beside its word."""
    if status.state is State.STOPPING and status.stop_seconds_left is not None:
        return f"stopping {status.stop_seconds_left:.0f} s"
    if status.state is State.READY and not status.owned:
        return "ready (external)"
    if status.unloaded:
        return "unloaded"
    if status.state is State.FAILED and status.restart_at is not None:
        return f"failed, {retry_words(status, time.time()).removeprefix('next ')}"
    if _waits(status):
        return "waiting"
    return str(status.state)


def _waits(status: InstanceStatus) -> bool:
    """Whether its start waits for something, which its note says."""
    return status.state is State.STARTING and status.pid is None and bool(status.note)


def state_style(status: InstanceStatus, palette: Palette) -> Style:
    """The colour of a state; the words say the same."""
    styles: Mapping[State, Style] = {
        State.READY: palette.success,
        State.FAILED: palette.error,
        State.STOPPED: palette.dim,
    }
    return styles.get(status.state, palette.value)
