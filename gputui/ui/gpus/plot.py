"""plotext as a canvas: axes, ticks and marks in, characters out. Nothing else here knows plotext.

A figure of its own for each drawing (as textual-plotext does it), so that plotext's module-wide figure
is never touched; its matrix is read directly, since its text would have to be parsed for colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AXES = -1
"""The layer of what plotext adds: axes, ticks, labels."""

Marks = Mapping[tuple[int, int], tuple[str, int]]
"""A character and its layer, by column and row of the canvas from its lower left corner."""

_FIRST_COLOR = 16

Run = tuple[str, int | None]
"""Text of one layer, None for blanks."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Its size in cells, without axes, and where the axes have marks: by cell, on the left with labels
    of equal width. ``ticks`` None leaves the lower axis out."""

    columns: int
    rows: int
    labels: Mapping[int, str]
    ticks: Sequence[int] | None

    @property
    def label_width(self) -> int:
        """Columns of the labels on the left."""
        return max((len(label) for label in self.labels.values()), default=0)

    @property
    def left(self) -> int:
        """The column at which the canvas begins: after the labels and the axis."""
        return self.label_width + 1

    @property
    def lower(self) -> int:
        """Rows below the canvas: the axis and its labels."""
        return 0 if self.ticks is None else 2


def plot(canvas: Canvas, marks: Marks) -> list[list[Run]]:
    """The lines of the plot, from top to bottom."""
    figure = _figure(canvas)
    marks = marks or {(0, 0): (" ", AXES)}  # without data plotext draws no axes
    columns, rows = zip(*marks, strict=True)
    texts = [text for text, _ in marks.values()]
    colors = [_color(layer) for _, layer in marks.values()]
    figure.scatter(columns, rows, marker=texts, color=colors)
    figure._set_sizes()
    figure._build_matrix()
    matrix = figure.monitor.matrix
    last = min(canvas.lower, 1)  # the row of labels is empty: there are none
    downwards = range(matrix.rows - 1, last - 1, -1)
    return [list(_runs(matrix.marker[row], matrix.fullground[row])) for row in downwards]


def _figure(canvas: Canvas) -> Any:
    # Only now: the program's start does not wait for what charts alone need.
    from plotext._figure import _figure_class

    figure = _figure_class()
    figure._limit_size(False, False)
    figure._set_size(canvas.columns + canvas.left, canvas.rows + canvas.lower)
    figure.canvas_color("default")
    figure.axes_color("default")
    figure.ticks_color(_color(AXES))
    figure.xlim(0, max(1, canvas.columns - 1))
    figure.ylim(0, max(1, canvas.rows - 1))
    figure.yaxes(True, False)
    figure.xaxes(canvas.ticks is not None, False)
    figure.yticks(list(canvas.labels), list(canvas.labels.values()))
    figure.xticks(list(canvas.ticks or ()), ["" for _ in canvas.ticks or ()])
    return figure


def _color(layer: int) -> int:
    """plotext carries colours and no names: a colour code (past the 16 that have names) says the layer."""
    return _FIRST_COLOR + 1 + layer


def _runs(marks: Sequence[str], colors: Sequence[object]) -> Iterator[Run]:
    text, layer = "", None
    for mark, color in zip(marks, colors, strict=True):
        layer_here = color - _FIRST_COLOR - 1 if isinstance(color, int) else None
        here = None if mark == " " else layer_here
        if here != layer and text:
            yield text, layer
            text = ""
        text, layer = text + mark, here
    yield text, layer
