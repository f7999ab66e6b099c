"""The charts of a GPU's details: one above the other, over the same time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content

from gputui.gpu.buckets import Bucket
from gputui.gpu.history import History
from gputui.gpu.metrics import METRICS_BY_NAME, Metric
from gputui.gpu.sample import NOT_READ, GpuSample
from gputui.identity import short_name
from gputui.ui.cells import CellView, Line
from gputui.ui.gpus.chart import MARGIN, Axis, Chart, Columns, axis_of, curve, draw, time_ticks
from gputui.ui.gpus.chart_state import ChartRange, ChartState, Grid, span_words
from gputui.ui.palette import Look, Palette

LABEL = 10
"""Columns of the labels on the left: the same for all charts, so that their times stand in line."""
LEAST_ROWS = 3
"""Of a chart, without its title."""
NO_METRIC = "No reading is chosen. Choose some in the list of readings with space."


@dataclass(frozen=True, slots=True)
class Scene:
    """Whose charts: the GPU itself, all that there are now, and what the user chose."""

    own: GpuSample
    gpus: tuple[GpuSample, ...]
    state: ChartState

    @property
    def others(self) -> tuple[GpuSample, ...]:
        """The GPUs drawn beside it."""
        if not self.state.overlay:
            return ()
        own = self.own.identity.uuid
        return tuple(gpu for gpu in self.gpus if gpu.identity.uuid != own)


class SeriesCache:
    """Columns of the history; those that are over are asked for once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: dict[tuple[str, str], tuple[Grid, int, Columns]] = {}

    def columns(self, uuid: str, metric: str, grid: Grid) -> Columns:
        """The metric in the columns of ``grid``."""
        known = self._known(uuid, metric, grid)
        first, missing = grid.first + len(known), grid.columns - len(known)
        columns = known
        if missing:
            start = first * grid.seconds
            fresh = self._history.series(uuid, metric, start, grid.end, missing)
            columns = [*known, *fresh]
        now = self._history.now
        over = 0 if now is None else math.floor(now / grid.seconds)
        self._kept[uuid, metric] = grid, over, columns
        return columns

    def forget(self) -> None:
        """What was asked for will not be asked for again."""
        self._kept.clear()

    def _known(self, uuid: str, metric: str, grid: Grid) -> list[Bucket | None]:
        """Those from the left that are kept and do not change any more."""
        kept = self._kept.get((uuid, metric))
        if kept is None or kept[0].seconds != grid.seconds or kept[0].first > grid.first:
            return []
        before, over, columns = kept
        last = min(over, before.first + before.columns, grid.first + grid.columns)
        return list(columns[grid.first - before.first : max(0, last - before.first)])


class ChartView(CellView, can_focus=True):
    """A chart for each chosen metric, as many as fit; the arrows move to the others."""

    BINDINGS = [
        Binding("up", "scroll_charts(-1)", "Up", show=False, id="charts.up"),
        Binding("down", "scroll_charts(1)", "Down", show=False, id="charts.down"),
    ]

    def __init__(self, look: Look, history: History, *, id: str) -> None:
        super().__init__(look, id=id)
        self._history = history
        self._series = SeriesCache(history)
        self._scene: Scene | None = None
        self._top = 0
        self._framed = ""
        self._drawn: dict[str, tuple[Chart, Palette, list[Line]]] = {}

    def update_scene(self, scene: Scene | None) -> None:
        """Show ``scene``; None is a GPU that is not known."""
        if scene is None or self._scene is None or scene.state.range != self._scene.state.range:
            self._series.forget()
        self._scene = scene
        self._frame()
        self.redraw()

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def action_scroll_charts(self, by: int) -> None:
        """The next metrics, where not all fit."""
        self._top += by
        self.redraw()

    def lines(self, width: int) -> Sequence[Line]:
        scene, height, now = self._scene, self.content_size.height, self._history.now
        palette = self.look.palette
        if scene is None or now is None:
            return []
        if not scene.state.metrics:
            return [Line().add(f" {NO_METRIC}"[:width], palette.dim)]
        lines = [self._legend(scene, width)] if scene.others else []
        margin = MARGIN if scene.others else 0
        cells = max(4, width - LABEL - 1 - margin)
        grid = Grid.of(scene.state.range, now, 2 * cells)
        shown, hidden = self._fitting(scene.state.metrics, height - len(lines))
        rows = _share(height - len(lines) - bool(hidden) - 2, len(shown))
        for metric, share in zip(shown, rows, strict=True):
            last = metric is shown[-1]
            lines += self._chart_lines(metric, scene, grid, share - 1, width, time_axis=last)
        lines.append(self._time_line(scene.state.range, cells, now))
        if hidden:
            how = "up and down" if self.has_focus else "tab here, then up and down"
            lines.append(Line().add(f" {hidden} more: {how}", palette.dim))
        return lines

    def _fitting(self, metrics: Sequence[str], height: int) -> tuple[list[Metric], int]:
        """The metrics that fit, from the one scrolled to, and how many do not."""
        fit = max(1, (height - 2) // (LEAST_ROWS + 1))
        if fit < len(metrics):
            fit = max(1, (height - 3) // (LEAST_ROWS + 1))
        self._top = max(0, min(self._top, len(metrics) - fit))
        shown = [METRICS_BY_NAME[name] for name in metrics[self._top : self._top + fit]]
        return shown, len(metrics) - len(shown)

    def _chart_lines(
        self, metric: Metric, scene: Scene, grid: Grid, rows: int, width: int, *, time_axis: bool
    ) -> list[Line]:
        gpus = (*scene.others, scene.own)
        series = [self._series.columns(gpu.identity.uuid, metric.name, grid) for gpu in gpus]
        ceiling = max(
            (c for gpu in gpus if (c := ceiling_of(metric, gpu)) is not None), default=None
        )
        axis = axis_of(metric, ceiling, series)
        curves = tuple(
            curve(gpu.identity.index, one, axis, rows, band=gpu is scene.own)
            for gpu, one in zip(gpus, series, strict=True)
        )
        labels = axis_labels(metric, axis, rows)
        chart = Chart(grid.columns // 2, rows, labels, curves, time_axis, self.look.ascii_only)
        title = self._title(metric, scene.own, series[-1], width)
        return [title, *self._drawn_lines(metric.name, chart)]

    def _drawn_lines(self, name: str, chart: Chart) -> list[Line]:
        """The chart's lines, drawn again only where something in it changed."""
        drawn, palette = self._drawn.get(name), self.look.palette
        if drawn is None or drawn[0] != chart or drawn[1] is not palette:
            drawn = chart, palette, draw(chart, palette)
            self._drawn[name] = drawn
        return drawn[2]

    def _title(self, metric: Metric, own: GpuSample, columns: Columns, width: int) -> Line:
        """The metric, its value now, and what it was in the time shown."""
        palette = self.look.palette
        line = Line().add(f" {title_of(metric)}", palette.strong)
        value = own.get(metric.name)
        known = [bucket for bucket in columns if bucket]
        parts = [(metric.show(value), palette.hue(own.identity.index))]
        if value is None:
            reason = own.unavailable.get(metric.name, NOT_READ)
            parts = [(own.problem.message if own.problem else reason, palette.dim)]
        if known:
            low, high = min(b.minimum for b in known), max(b.maximum for b in known)
            parts.append((f"  {metric.show(low)} to {metric.show(high)}", palette.dim))
        room = width - line.width - 3
        while parts and sum(cell_len(text) for text, _ in parts) > room:
            parts.pop()
        line.pad_to(width - 1 - sum(cell_len(text) for text, _ in parts))
        for text, style in parts:
            line.add(text, style)
        return line

    def _legend(self, scene: Scene, width: int) -> Line:
        """Which hue is whose; names where all fit, else numbers alone."""
        palette, gpus = self.look.palette, scene.gpus
        names = [f"{gpu.identity.index} {short_name(gpu.identity.name)}" for gpu in gpus]
        if sum(cell_len(name) + 4 for name in names) > width:
            names = [str(gpu.identity.index) for gpu in gpus]
        line = Line().add(" ", palette.dim)
        for gpu, name in zip(gpus, names, strict=True):
            style = palette.strong if gpu is scene.own else palette.dim
            line.add("■", palette.hue(gpu.identity.index)).add(f"{name}  ", style)
        return line

    def _time_line(self, shown: ChartRange, cells: int, now: float) -> Line:
        """How long ago under each mark of the axis, and the clock's time at both ends."""
        end = shown.ends_at(now)
        labels = []
        ticks = time_ticks(cells)
        for number in range(len(ticks)):
            ago = now - end + shown.span * (1 - number / (len(ticks) - 1))
            labels.append("now" if ago < 0.5 else f"−{span_words(ago)}")
        first, last = (self._clock(at, shown.span, now) for at in (end - shown.span, end))
        labels[0], labels[-1] = f"{first} {labels[0]}", f"{labels[-1]} {last}"
        line, style = Line().add(" " * (LABEL + 1), self.look.palette.dim), self.look.palette.dim
        right = LABEL + 1 + cells - len(labels[-1])
        for number, (tick, label) in enumerate(zip(ticks, labels, strict=True)):
            start = LABEL + 1 + tick - len(label) // 2
            start = LABEL + 1 if number == 0 else right if number == len(ticks) - 1 else start
            gap = 1 if number else 0
            if start >= line.width + gap and (start == right or start + len(label) < right):
                line.pad_to(start).add(label, style)
        return line

    def _clock(self, when: float, span: float, now: float) -> str:
        """Seconds in short spans; the day where it is not today."""
        at, today = (time.localtime(self._history.wall_clock(t)) for t in (when, now))
        day = "" if at[:3] == today[:3] else "%a "
        return time.strftime(day + ("%H:%M:%S" if span <= 1800 else "%H:%M"), at)

    def _frame(self) -> None:
        """The border; touched only where it changes, since that repaints everything in it."""
        title = "Charts"
        if self._scene:
            shown = self._scene.state.range
            title = f"Charts · {'last ' if shown.end is None else ''}{span_words(shown.span)}"
        if title != self._framed:
            self._framed = title
            self.border_title = Content(self.look.text(title))


def title_of(metric: Metric) -> str:
    """``Power · draw``; the group alone does not say twice what the label begins with."""
    if metric.label.startswith(metric.group.lower()):
        return metric.label.capitalize()
    return f"{metric.group} · {metric.label}"


def ceiling_of(metric: Metric, gpu: GpuSample) -> float | None:
    """What the metric cannot exceed on that GPU; None where that is not known, or there is no such thing."""
    return gpu.get(metric.ceiling) if isinstance(metric.ceiling, str) else metric.ceiling


def axis_labels(metric: Metric, axis: Axis, rows: int) -> tuple[str, ...]:
    """Its ends, and the middle where a row is free between them; with their unit."""
    middle = [(axis.low + axis.high) / 2] if rows >= 5 else []
    labels = [metric.show(value)[:LABEL] for value in (axis.low, *middle, axis.high)]
    return tuple(label.rjust(LABEL) for label in labels)


def _share(height: int, charts: int) -> list[int]:
    """The rows of each chart, its title among them."""
    each, rest = divmod(max(height, charts * 2), charts)
    return [each + (number < rest) for number in range(charts)]
