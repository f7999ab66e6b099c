"""From a GPU's history to the lines of a chart: pure functions of what is known and of a size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from rich.style import Style

from gputui.gpu.buckets import Bucket
from gputui.gpu.metrics import Metric, Unit
from gputui.ui.cells import Line
from gputui.ui.gpus.plot import AXES, Canvas, Marks, plot
from gputui.ui.palette import Palette

DOTS = 4
"""Dots above each other in a cell; two are side by side (braille)."""
MARGIN = 3
"""Columns on the right for the numbers of the GPUs, where there are several."""
BAND, ASCII_BAND = "░", ":"

BAND_LAYER = 0
STRETCH = 16
"""Columns of a curve that are drawn, and kept, together: an even number."""

Columns = Sequence[Bucket | None]
Place = tuple[int, int]
"""A cell by column and row, from the lower left corner."""

_MINIMUM, _MAXIMUM = itemgetter(0), itemgetter(2)  # of a Bucket

_BRAILLE = 0x2800
_BITS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))  # left and right dots, from below
_LEAST_SPANS = {
    Unit.BYTES_PER_SECOND: 1e6,
    Unit.BYTES: 2.0**30,
    Unit.HERTZ: 1e8,
    Unit.WATTS: 50.0,
    Unit.NONE: 4.0,
}  # of an axis, in base units: noise is no landscape
_LEAST_SPAN = 20.0
_LARGEST = (
    1e300  # a trace may hold any number: with less than this no sum or product here overflows
)
_SMALLEST = 1e-300  # of a ceiling: nothing that is measured has a lower one
_FINEST = 1e-9  # of the larger end of an axis: an axis that is shorter has no room for its numbers


@dataclass(frozen=True, slots=True)
class Axis:
    """What the lowest and the highest dot of a chart stand for, in base units."""

    low: float
    high: float


def axis_of(metric: Metric, ceiling: float | None, series: Iterable[Columns]) -> Axis:
    """From 0 to ``ceiling`` where there is one, else round numbers around all that was seen."""
    known = [columns for one in series if (columns := [bucket for bucket in one if bucket])]
    low = min((min(map(_MINIMUM, columns)) for columns in known), default=0.0)
    high = max((max(map(_MAXIMUM, columns)) for columns in known), default=0.0)
    low, high = _bounded(low), _bounded(high)
    if ceiling is not None and _SMALLEST < ceiling < _LARGEST:
        return Axis(min(0.0, low), max(ceiling, high))
    least = _LEAST_SPANS.get(metric.unit, _LEAST_SPAN)
    span = max(high - low, least, _FINEST * max(abs(low), abs(high)))
    step = _round_step(span / 4)
    bottom = math.floor((low - span / 20) / step) * step
    if low >= 0 and (bottom < 0 or metric.unit is Unit.BYTES_PER_SECOND):
        bottom = 0.0
    steps = max(4, math.ceil((high + span / 20 - bottom) / step))
    return Axis(
        bottom, bottom + (steps + steps % 2) * step
    )  # even, so that the middle is round too


def _bounded(value: float) -> float:
    return max(-_LARGEST, min(_LARGEST, value))


def _round_step(least: float) -> float:
    """The least of 1, 2, 5, 10, 20 … (and their tenths) that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


@dataclass(frozen=True, slots=True)
class Curve:
    """One GPU in a chart: the dot of each column's mean, two columns a cell, None for a gap.

    ``band`` has, for each cell, its lowest and highest row where the cell's samples differ.
    """

    gpu_index: int
    heights: tuple[int | None, ...]
    band: tuple[tuple[int, int] | None, ...] = ()


def curve(gpu_index: int, columns: Columns, axis: Axis, rows: int, *, band: bool) -> Curve:
    """A GPU's columns in a chart of ``rows``; ``axis`` is one of ``axis_of``."""
    low, scale = axis.low, (rows * DOTS - 1) / (axis.high - axis.low)
    top = rows * DOTS - 1
    heights = tuple(
        None if bucket is None else _height(bucket.mean, low, scale, top) for bucket in columns
    )
    if not band:
        return Curve(gpu_index, heights)
    pairs = zip(columns[::2], columns[1::2], strict=True)
    return Curve(gpu_index, heights, tuple(_band(pair, low, scale, top) for pair in pairs))


def _height(value: float, low: float, scale: float, top: int) -> int:
    """The dot of a value. Sums of wild numbers may lie a little outside of what they are made of."""
    return int(max(0.0, min(top, (_bounded(value) - low) * scale)) + 0.5)


def _band(pair: Columns, low: float, scale: float, top: int) -> tuple[int, int] | None:
    """The rows between the extremes of a cell's columns, None where they do not differ."""
    known = [bucket for bucket in pair if bucket and bucket.minimum < bucket.maximum]
    if not known:
        return None
    least, most = min(map(_MINIMUM, known)), max(map(_MAXIMUM, known))
    return _height(least, low, scale, top) // DOTS, _height(most, low, scale, top) // DOTS


@dataclass(frozen=True, slots=True)
class Chart:
    """All that decides how a chart looks, in numbers that change only where its picture does.

    The last curve is the one the chart is about, and lies on top. ``labels`` are those of the left axis
    from bottom to top.
    """

    cells: int
    rows: int
    labels: tuple[str, ...]
    curves: tuple[Curve, ...]
    time_axis: bool = False
    ascii_only: bool = False

    @property
    def margin(self) -> int:
        """Columns on the right for the GPUs' numbers."""
        return MARGIN if len(self.curves) > 1 else 0


def time_ticks(cells: int) -> tuple[int, ...]:
    """The cells at which the time axis has marks, from the left end to the right one."""
    parts = 4 if cells >= 88 else 2 if cells >= 42 else 1  # as the words under them need
    return tuple(round(part * (cells - 1) / parts) for part in range(parts + 1))


def draw(chart: Chart, palette: Palette) -> list[Line]:
    """The chart's lines: ``rows``, and one more for the time axis."""
    width = max((len(label) for label in chart.labels), default=0)
    places = _label_rows(chart.rows, len(chart.labels))
    labels = {row: text.rjust(width) for row, text in zip(places, chart.labels, strict=True)}
    ticks = time_ticks(chart.cells) if chart.time_axis else None
    canvas = Canvas(chart.cells + chart.margin, chart.rows, labels, ticks)
    marks, styles = _marks(chart, palette)
    lines = []
    for runs in plot(canvas, marks):
        line = Line()
        for text, layer in runs:
            line.add(text, Style.null() if layer is None else styles[layer])
        lines.append(line)
    return lines


def _label_rows(rows: int, labels: int) -> list[int]:
    return [round(number * (rows - 1) / max(1, labels - 1)) for number in range(labels)]


def _marks(chart: Chart, palette: Palette) -> tuple[dict[Place, tuple[str, int]], dict[int, Style]]:
    """What is in each cell, and the style of each layer: from below the band, the curves, their numbers."""
    marks: dict[Place, tuple[str, int]] = {}
    styles = {AXES: palette.dim}
    if chart.curves:
        own = chart.curves[-1]
        styles[BAND_LAYER] = palette.faint(own.gpu_index)
        marks.update(_band_marks(own, chart.ascii_only))
    for one in chart.curves:
        styles[_layer(one.gpu_index)] = palette.hue(one.gpu_index)
        ascii_mark = f"{one.gpu_index:x}"[-1] if one is not chart.curves[-1] else "*"
        mark, before = ascii_mark if chart.ascii_only else "", None
        for first in range(0, len(one.heights), STRETCH):
            heights = one.heights[first : first + STRETCH]
            marks.update(_stretch(heights, before, first, one.gpu_index, mark))
            before = heights[-1]
    if chart.margin:
        taken: set[int] = set()
        for one in reversed(chart.curves):
            marks.update(_number_marks(one, chart, taken))
    return marks, styles


def _layer(gpu_index: int) -> int:
    return BAND_LAYER + 1 + gpu_index


def _band_marks(curve: Curve, ascii_only: bool) -> Marks:
    mark = (ASCII_BAND if ascii_only else BAND), BAND_LAYER
    return {
        (column, row): mark
        for column, band in enumerate(curve.band)
        if band
        for row in range(band[0], band[1] + 1)
    }


@lru_cache(maxsize=1024)
def _stretch(
    heights: tuple[int | None, ...], before: int | None, first: int, gpu_index: int, mark: str
) -> Marks:
    """A stretch of a curve as dots (or as ``mark``), joined from column to column; nothing joins the two
    sides of a gap. ``first`` is its first column, ``before`` the height of the one before that.

    Kept, since from sample to sample only the last stretch of a curve changes.
    """
    cells: dict[Place, int] = {}
    for column, height in enumerate(heights, start=first):
        if height is not None:
            low, high = height, height
            if before is not None:
                low, high = min(height, before + 1), max(height, before - 1)
            bits, cell = _BITS[column % 2], column // 2
            for dot in range(low, high + 1):
                place = cell, dot // DOTS
                cells[place] = cells.get(place, 0) | bits[dot % DOTS]
        before = height
    layer = _layer(gpu_index)
    return {place: (mark or chr(_BRAILLE + bits), layer) for place, bits in cells.items()}


def _number_marks(curve: Curve, chart: Chart, taken: set[int]) -> Marks:
    """The GPU's number where its curve ends, or in the nearest free row; nothing where none is free."""
    ends = [height for height in curve.heights if height is not None]
    free = [row for row in range(chart.rows) if row not in taken]
    if not ends or not free:
        return {}
    row = min(free, key=lambda row: abs(row - ends[-1] // DOTS))
    taken.add(row)
    number, layer = str(curve.gpu_index)[: MARGIN - 1], _layer(curve.gpu_index)
    return {(chart.cells + 1 + place, row): (digit, layer) for place, digit in enumerate(number)}
