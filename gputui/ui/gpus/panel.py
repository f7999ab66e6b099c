"""The GPU panels, and the grid that fits any number of them into the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from textual.app import ComposeResult
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from gputui.gpu.history import History
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.ui.alerts.marks import AlertMark
from gputui.ui.cells import CellView, Line
from gputui.ui.gpus import lines as gpu_lines
from gputui.ui.gpus.lines import GpuView
from gputui.ui.palette import Look


class Shape(Enum):
    """How much of a GPU is drawn: rows including the border, and the least width that is readable."""

    FULL = (7, 56)
    LINE = (1, 46)

    @property
    def rows(self) -> int:
        """Rows of the terminal."""
        return self.value[0]

    @property
    def least_width(self) -> int:
        """Columns of the terminal."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How many panels side by side, and of which shape."""

    shape: Shape
    columns: int

    def rows(self, gpus: int) -> int:
        """Rows that ``gpus`` panels take."""
        return math.ceil(gpus / self.columns) * self.shape.rows


def share_of(height: int) -> int:
    """The rows that GPUs may take of a terminal: two fifths, a quarter of a small one."""
    return height * 2 // 5 if height >= 28 else max(2, height // 4)


def arrange(gpus: int, width: int, height: int) -> Arrangement:
    """The richest arrangement of ``gpus`` panels that takes at most ``height`` rows."""
    full = _columns(Shape.FULL, gpus, width, rows=1)
    if full.rows(gpus) <= height:
        return full
    return _columns(Shape.LINE, gpus, width, rows=max(2, height // 2))


def _columns(shape: Shape, gpus: int, width: int, rows: int) -> Arrangement:
    """The fewest columns that need no more than ``rows`` panels above each other, if that is wide enough."""
    most = max(1, min(gpus, width // shape.least_width))
    wanted = math.ceil(gpus / max(1, rows))
    needed = math.ceil(gpus / min(most, max(1, wanted))) or 1
    return Arrangement(shape, max(1, math.ceil(gpus / needed)))


class GpuPanel(CellView):
    """One GPU in a frame."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, classes="gpu")
        self._view: GpuView | None = None
        self._frame: tuple[object, ...] = ()

    def update_gpu(self, view: GpuView) -> None:
        """Show ``view``; only what changed is repainted."""
        self._view = view
        self._update_frame(view)
        self.redraw()

    def lines(self, width: int) -> Sequence[Line]:
        return gpu_lines.full_lines(self._view, width, self.look.palette) if self._view else []

    def _update_frame(self, view: GpuView) -> None:
        """The border; touched only where it changes, since touching it repaints the whole panel."""
        theme, index = self.look.palette.theme, view.sample.identity.index
        hue = theme.colors.error if view.sample.problem else self.look.palette.hue_color(index)
        title, tag, mark = gpu_lines.title(view), gpu_lines.tag(view), view.alert
        alert = (mark.words, mark.critical) if mark else ("", False)
        frame = (hue, title, tag, alert)
        if frame == self._frame:
            return
        self._frame = frame
        self.styles.border = ("ascii" if view.ascii_only else "round", hue)
        color = theme.colors.error if alert[1] else theme.colors.warning
        fires = (self.look.text(f" ▲ {alert[0]}"), f"bold {color}") if mark else ""
        self.border_title = Content.assemble(self.look.text(title), fires)
        self.border_subtitle = Content(self.look.text(tag))


class GpuLines(CellView):
    """All GPUs, one line each, side by side where there are many: one widget, since each costs a tick
    the same however little it shows."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, id="gpu-lines")
        self._views: Sequence[GpuView] = ()
        self._columns = 1

    def update_gpus(self, views: Sequence[GpuView], columns: int) -> None:
        """Show these in so many columns, row by row; only what changed is repainted."""
        self._views, self._columns = views, columns
        rows = math.ceil(len(views) / columns)
        if self.styles.height is None or self.styles.height.value != rows:
            self.styles.height = rows
        self.redraw()

    def lines(self, width: int) -> Iterator[Line]:
        columns = self._columns
        edges = [width * column // columns for column in range(columns + 1)]
        for first in range(0, len(self._views), columns):
            row = Line()
            for view, start, end in zip(self._views[first:], edges, edges[1:], strict=False):
                row.pad_to(start)
                last = end - (end < width)  # a blank between two
                row.join(gpu_lines.one_line(view, last - start, self.look.palette), last)
            yield row


class GpuGrid(VerticalScroll):
    """All GPUs; says why where there are none."""

    def __init__(self, look: Look) -> None:
        super().__init__(id="gpus")
        self._look = look
        self._snapshot: Snapshot | None = None
        self._history: History | None = None
        self._instances: Mapping[str, tuple[str, ...]] = {}
        self._marks: Mapping[str, AlertMark] = {}
        self._arrangement: Arrangement | None = None
        self._problem_text: str | None = None
        self._rows = -1

    def compose(self) -> ComposeResult:
        yield Static("waiting for the first sample …", id="gpu-problem", markup=False)
        yield Grid(id="gpu-cells")
        yield GpuLines(self._look)

    def update_gpus(
        self,
        snapshot: Snapshot | None,
        history: History | None,
        instances: Mapping[str, tuple[str, ...]],
        marks: Mapping[str, AlertMark],
    ) -> None:
        """Show ``snapshot``; by UUID, ``instances`` are the names of those pinned, ``marks`` what fires."""
        self._snapshot, self._history, self._instances = snapshot, history, instances
        self._marks = marks
        self.refresh_gpus()

    def refresh_gpus(self) -> None:
        """Draw what is known again (the theme, the size or the instances changed)."""
        snapshot, history = self._snapshot, self._history
        if snapshot is None or history is None:
            return
        self._show_problem(snapshot)
        arrangement = self._arrange(len(snapshot.gpus))
        views = [self._view(sample, snapshot, history) for sample in snapshot.gpus]
        lines = arrangement.shape is Shape.LINE
        panels = self._panels_for(0 if lines else len(views))
        for panel, view in zip(panels, views, strict=False):
            panel.update_gpu(view)
        if lines:
            self.query_one(GpuLines).update_gpus(views, arrangement.columns)

    def _view(self, sample: GpuSample, snapshot: Snapshot, history: History) -> GpuView:
        uuid = sample.identity.uuid
        return GpuView(
            sample=sample,
            ticks=history.ticks,
            window=partial(history.window, uuid),
            instances=self._instances.get(uuid, ()),
            stale=snapshot.problem is not None,
            ascii_only=self._look.ascii_only,
            alert=self._marks.get(uuid),
        )

    def _panels_for(self, count: int) -> Sequence[GpuPanel]:
        """One panel a GPU, made or removed as GPUs come and go."""
        cells = self.query_one("#gpu-cells")
        panels = [panel for panel in cells.children if isinstance(panel, GpuPanel)]
        for panel in panels[count:]:
            panel.remove()
        new = [GpuPanel(self._look) for _ in range(count - len(panels))]
        if new:
            cells.mount(*new)
        return [*panels[:count], *new]

    def _arrange(self, gpus: int) -> Arrangement:
        size = self.app.size
        share = size.height - 3 if self.has_class("-maximised") else share_of(size.height)
        arrangement = arrange(gpus, size.width, share)
        if arrangement != self._arrangement:
            self._arrangement = arrangement
            cells, lines = self.query_one("#gpu-cells"), self.query_one(GpuLines)
            lines.display = arrangement.shape is Shape.LINE
            cells.display = not lines.display
            cells.styles.grid_size_columns = arrangement.columns
            cells.styles.grid_rows = str(arrangement.shape.rows)
        rows = arrangement.rows(gpus)
        if rows != self._rows:
            self._rows = rows
            self.query_one("#gpu-cells").styles.height = rows
        return arrangement

    def _show_problem(self, snapshot: Snapshot) -> None:
        problem = snapshot.problem
        text = f"{problem.message}\n{problem.hint}".strip() if problem else ""
        if not text and not snapshot.gpus:
            text = "No GPU here. Instances run on the CPU."
        if text == self._problem_text:
            return
        self._problem_text = text
        static = self.query_one("#gpu-problem", Static)
        static.update(text)
        static.display = bool(text)
