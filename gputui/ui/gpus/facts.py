"""Every reading of a GPU, one a row, by group; a gauge can be chosen for the charts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.style import Style
from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.message import Message

from gputui.gpu.metrics import METRICS, Kind, Metric, throttle_words
from gputui.gpu.sample import NOT_READ, GpuSample, Snapshot
from gputui.text import UNKNOWN
from gputui.ui.cells import CellView, Line, Run
from gputui.ui.palette import Look, Palette

GROUP = 12
"""Columns of the groups' names, which take as many rows as they need."""
WIDEST = 76
"""Columns at most: a value further away from its label is not read as one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One row. ``metric`` is None for what is no reading; ``known`` is False where ``value`` is a reason."""

    group: str
    label: str
    value: str
    known: bool = True
    alarming: bool = False
    metric: Metric | None = None

    @property
    def chartable(self) -> bool:
        """Whether it has a history."""
        return self.metric is not None and self.metric.kind is Kind.GAUGE


def facts_of(snapshot: Snapshot, sample: GpuSample) -> tuple[Fact, ...]:
    """All that is known of a GPU: every metric of the table, and what it is."""
    return tuple(_reading(metric, sample) for metric in METRICS) + _identity(snapshot, sample)


def _reading(metric: Metric, sample: GpuSample) -> Fact:
    value = sample.get(metric.name)
    if value is None:
        reason = sample.unavailable.get(metric.name, "")
        if sample.problem:
            reason = reason or sample.problem.message
        return Fact(metric.group, metric.label, reason or NOT_READ, known=False, metric=metric)
    alarming = metric.name == "throttle_reasons" and bool(throttle_words(value))
    return Fact(metric.group, metric.label, metric.show(value), alarming=alarming, metric=metric)


def _identity(snapshot: Snapshot, sample: GpuSample) -> tuple[Fact, ...]:
    gpu = sample.identity
    versions = [
        ("driver", snapshot.driver_version),
        ("CUDA", snapshot.cuda_version),
    ]
    words = ", ".join(f"{name} {version or UNKNOWN}" for name, version in versions)
    return (
        Fact("Identity", "", gpu.name),
        Fact("Identity", "UUID", gpu.uuid),
        Fact("Identity", "PCI bus id", gpu.pci_bus_id),
        Fact("Identity", "software", words),
    )


def fact_lines(fact: Fact, width: int, mark: Run, style: Style, palette: Palette) -> list[Line]:
    """A fact at that width: on one line, or its value beneath where it is too long for that.

    ``mark`` says whether it is in the charts, ``style`` is the value's; the first ``GROUP`` columns
    are left free.
    """
    width = min(width, WIDEST)
    line = Line().pad_to(GROUP + 2)
    if fact.metric is not None:
        line.add(*mark).add(" ", palette.dim)
    line.add(fact.label, palette.dim)
    if line.width + 2 + cell_len(fact.value) < width:
        return [line.pad_to(width - 1 - cell_len(fact.value)).add(fact.value, style)]
    rows = _wrapped(fact.value, width - GROUP - 3)
    lines = [line] if fact.label else []
    return lines + [Line().pad_to(width - 1 - cell_len(row)).add(row, style) for row in rows]


def _wrapped(text: str, width: int) -> list[str]:
    """By words, and within one where wide characters make it too long."""
    rows = textwrap.wrap(text, max(8, width)) or [""]
    return [part for row in rows for part in (chop_cells(row, max(8, width)) or [""])]


class FactsView(CellView, can_focus=True):
    """The facts with a cursor."""

    BINDINGS = [
        Binding("space,enter", "choose", "Chart it", key_display="space", id="facts.choose"),
        Binding("up,k", "move(-1)", "Up", show=False, id="facts.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="facts.down"),
        Binding("pageup", "move(-10)", "Ten up", show=False, id="facts.page_up"),
        Binding("pagedown", "move(10)", "Ten down", show=False, id="facts.page_down"),
    ]

    class ChooseRequested(Message):
        """The cursor's fact is to be in the charts, or no longer."""

        def __init__(self, fact: Fact) -> None:
            super().__init__()
            self.fact = fact

    def __init__(self, look: Look, *, id: str) -> None:
        super().__init__(look, id=id)
        self._facts: Sequence[Fact] = ()
        self._chosen: Sequence[str] = ()
        self._gpu_index = 0
        self._stale = False
        self._cursor = 0
        self._top = 0
        self._rows: list[int] = []
        self._where = ""

    def update_facts(
        self, facts: Sequence[Fact], chosen: Sequence[str], gpu_index: int, *, stale: bool = False
    ) -> None:
        """Show ``facts`` of that GPU; ``chosen`` are the metrics in the charts. Dim where ``stale``."""
        self._facts, self._chosen = facts, chosen
        self._gpu_index, self._stale = gpu_index, stale
        self.redraw()

    def action_move(self, by: int) -> None:
        """The cursor by so many rows."""
        self._cursor = max(0, min(len(self._facts) - 1, self._cursor + by))
        self.redraw()

    def action_choose(self) -> None:
        """Ask for the cursor's fact to be charted, or not any more."""
        if self._cursor < len(self._facts):
            self.post_message(self.ChooseRequested(self._facts[self._cursor]))

    def on_click(self, event: Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and self._top + place.y < len(self._rows):
            self.action_move(self._rows[self._top + place.y] - self._cursor)

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def lines(self, width: int) -> Sequence[Line]:
        if not self._facts:
            self._rows = []
            return []
        self._cursor = min(self._cursor, len(self._facts) - 1)
        lines, groups = self._all_lines(width)
        height = max(1, self.content_size.height)
        first = self._rows.index(self._cursor)
        last = first + self._rows.count(self._cursor) - 1
        self._top = max(min(self._top, first, len(lines) - height), last - height + 1, 0)
        shown = lines[self._top : self._top + height]
        self._name_groups(shown, groups[self._top : self._top + height])
        self._say_where(height)
        return shown

    def _all_lines(self, width: int) -> tuple[list[Line], list[str]]:
        """Every line, and the group of each."""
        palette = self.look.palette
        lines: list[Line] = []
        groups: list[str] = []
        self._rows = []
        for number, fact in enumerate(self._facts):
            new = fact_lines(fact, width, self._box(fact), self._style(fact), palette)
            if number == self._cursor:
                self._mark(new, width)
            lines += new
            groups += [fact.group] * len(new)
            self._rows += [number] * len(new)
        return lines, groups

    def _box(self, fact: Fact) -> Run:
        """Full where the fact is in the charts, empty where it could be."""
        if fact.metric is not None and fact.metric.name in self._chosen:
            return "■", self.look.palette.hue(self._gpu_index)
        return "□" if fact.chartable else " ", self.look.palette.dim

    def _style(self, fact: Fact) -> Style:
        palette = self.look.palette
        if self._stale or not fact.known:
            return palette.dim
        return palette.warning if fact.alarming else palette.value

    def _mark(self, lines: list[Line], width: int) -> None:
        palette = self.look.palette
        lines[0].runs[0] = ("▸" + lines[0].runs[0][0][1:], palette.strong)
        for line in lines:
            if self.has_focus:
                line.pad_to(min(width, WIDEST))
                line.runs = [(text, style + palette.cursor) for text, style in line.runs]

    def _name_groups(self, lines: Sequence[Line], groups: Sequence[str]) -> None:
        """The group's name beside the first of its rows that are in sight, word under word."""
        words: list[str] = []
        for number, (line, group) in enumerate(zip(lines, groups, strict=True)):
            if number == 0 or group != groups[number - 1]:
                words = textwrap.wrap(group, GROUP)
            if words:
                blank, style = line.runs[0]
                named = f"{blank[0]}{words.pop(0):<{GROUP}}{blank[GROUP + 1 :]}"
                line.runs[0] = (named, self.look.palette.value + style)

    def _say_where(self, height: int) -> None:
        """How much of the list is in sight; nothing where all of it is."""
        text = ""
        if len(self._rows) > height:
            below = len(set(self._rows[self._top + height :]))
            text = f"{below} more below" if below else "the end"
        if text != self._where:  # setting it repaints everything
            self._where = text
            self.border_subtitle = Content(text)
