"""What the power screen shows, as lines of cells: pure functions of a view and a width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from rich.style import Style

from gputui.config import PowerConfig
from gputui.config.power_limits import window_words
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.power_limit import PowerRange, power_range
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.identity import short_name
from gputui.instances.status import InstanceStatus
from gputui.power.cost import DAYS_PER_MONTH, cost, costs, money
from gputui.power.energy import Energy
from gputui.power.meter import MEAN_AFTER_SECONDS, GpuPower, PowerReport
from gputui.power.schedule import Planned
from gputui.text import UNKNOWN, clean_line, number, tokens_per_joule, uptime
from gputui.ui.cells import Line
from gputui.ui.graph import bar
from gputui.ui.palette import Palette

NAME, GAP = 26, 2
LABEL, CELL = 32, 11
"""Columns of a row's label at most, and of each of its three numbers, in the sections below the GPUs."""
BAR, WIDEST_BAR = 12, 48
_ENERGY = METRICS_BY_NAME["total_energy_consumption"]


@dataclass(frozen=True)
class PowerView:
    """Everything the screen shows. ``samples`` are the newest by UUID; ``selected`` is a GPU's place in
    ``report``; ``instances`` are the names in the table's order; ``gpus_of`` their GPUs' indexes."""

    report: PowerReport
    samples: Mapping[str, GpuSample]
    power: PowerConfig
    plan: Sequence[Planned] = ()
    instances: Sequence[str] = ()
    gpus_of: Mapping[str, Sequence[int]] = field(default_factory=dict)
    selected: int = 0
    ascii_only: bool = False


def power_view(
    report: PowerReport,
    snapshot: Snapshot | None,
    power: PowerConfig,
    plan: Sequence[Planned],
    statuses: Sequence[InstanceStatus],
    *,
    selected: int = 0,
    ascii_only: bool = False,
) -> PowerView:
    """The view of what is known now."""
    samples = {gpu.identity.uuid: gpu for gpu in snapshot.gpus} if snapshot else {}
    indexes = {uuid: gpu.identity.index for uuid, gpu in samples.items()}
    return PowerView(
        report,
        samples,
        power,
        plan,
        [status.name for status in statuses],
        {s.name: [indexes[uuid] for uuid in s.gpus if uuid in indexes] for s in statuses},
        selected,
        ascii_only,
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of GPUs; those of the highest ``rank`` go first in a narrow terminal."""

    title: str
    width: int
    rank: int


_COLUMNS = (
    _Column("draw", 7, 0),
    _Column("", BAR, 6),
    _Column("limit", 7, 1),
    _Column("default", 7, 4),
    _Column("range", 12, 3),
    _Column("energy", 9, 2),
    _Column("cost", 9, 5),
)


def power_lines(view: PowerView, width: int, palette: Palette) -> list[Line]:
    """The GPUs, what they cost, what the instances make of it, and the limits by the time of day."""
    page = _Page(view, width, palette)
    lines: list[Line] = []
    for section in (page.gpus(), page.costs(), page.efficiencies(), page.schedules()):
        found = list(section)
        lines += [Line(), *found] if lines and found else found
    return lines


@dataclass(frozen=True)
class _Page:
    """The sections, drawn for one width."""

    view: PowerView
    width: int
    palette: Palette

    # ── GPUs ─────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def columns(self) -> Sequence[_Column]:
        """Those that fit; the bar takes what is left."""
        chosen = list(_COLUMNS)
        room = self.width - NAME - 2
        while (used := sum(column.width + GAP for column in chosen)) > room and len(chosen) > 1:
            chosen.remove(max(chosen, key=lambda column: column.rank))
        wide = min(WIDEST_BAR, BAR + room - used)
        return [replace(column, width=wide) if not column.title else column for column in chosen]

    def gpus(self) -> Iterator[Line]:
        head = Line().add(f"  {'GPU':<{NAME}}", self.palette.strong)
        for column in self.columns:
            head.add(" " * GAP + column.title.rjust(column.width), self.palette.dim)
        yield head
        for place, gpu in enumerate(self.view.report.gpus):
            yield self._gpu(gpu, marked=place == self.view.selected)
            if gpu.reason:
                yield Line().add(f"     {gpu.reason}", self.palette.dim)
        if self.view.report.gpus:
            yield self._all()
            yield from self._how(self.view.report.energy)
        else:
            yield Line().add("  No GPU has been seen yet.", self.palette.dim)

    def _gpu(self, gpu: GpuPower, *, marked: bool) -> Line:
        palette, sample = self.palette, self.view.samples.get(gpu.identity.uuid)
        limits = PowerRange() if sample is None else power_range(sample)
        simulated = " SIM" if gpu.identity.simulated else ""
        name = clean_line(short_name(gpu.identity.name), NAME - 2 - len(simulated)) + simulated
        hue = palette.hue(gpu.identity.index)
        line = Line().add("▸" if marked else " ", palette.strong)
        line.add(f"{gpu.identity.index:>2} ", hue)
        line.add(f"{name:<{NAME - 2}}", palette.strong if marked else palette.value)
        texts = self._texts(gpu.draw, gpu.energy) | {
            "limit": _watts(limits.limit),
            "default": _watts(limits.default),
            "range": _range(limits),
        }
        share = gpu.draw / limits.limit if gpu.draw is not None and limits.limit else None
        for column in self.columns:
            line.add(" " * GAP, palette.dim)
            if not column.title:
                self._bar(line, share, column.width, hue)
                continue
            lowered = column.title == "limit" and _is_lowered(limits)
            style = palette.strong if lowered else palette.value
            line.add(texts[column.title].rjust(column.width), style)
        return line

    def _all(self) -> Line:
        """The sums; the draw against the PSU, where its watts are configured. The words for that take
        the place of the limits."""
        report, psu = self.view.report, self.view.power.psu_watts
        share = report.draw / psu if psu and report.draw is not None else None
        line = Line().add(f"   {'together':<{NAME - 1}}", self.palette.dim)
        texts, end = self._texts(report.draw, report.energy), NAME + 2
        for column in self.columns:
            end += GAP + column.width
            if not column.title:
                self._bar(line.add("  ", self.palette.dim), share, column.width, self.palette.value)
            elif column.title == "limit":
                line.add("  " + self._of_what(share), self.palette.dim)
            elif column.title in texts:
                line.pad_to(end - column.width)
                line.add(texts[column.title].rjust(column.width), self.palette.strong)
        return line

    def _of_what(self, share: float | None) -> str:
        """What the sum is to be held against: ``of 2000 W, 42 %``."""
        report, psu = self.view.report, self.view.power.psu_watts
        known, gpus = len(report.draws), len(report.gpus)
        part = f"of {known} GPUs" if 0 < known < gpus else ""
        psu_words = f"of {psu:.0f} W" if psu else part
        room = sum(c.width + GAP for c in self.columns if c.title in ("limit", "default", "range"))
        words = psu_words if share is None else f"{psu_words}, {share * 100:.0f} %"
        return next((text for text in (words, psu_words) if len(text) + GAP <= room), "")

    def _texts(self, draw: float | None, energy: Energy) -> dict[str, str]:
        return {
            "draw": _watts(draw),
            "energy": _ENERGY.show(energy.joules),
            "cost": self._money(cost(energy.joules, self.view.power.price_per_kwh)),
        }

    def _bar(self, line: Line, share: float | None, width: int, style: Style) -> None:
        full, rest = bar(share, width, ascii_only=self.view.ascii_only)
        line.add(full, style).add(rest, self.palette.track)

    def _how(self, energy: Energy) -> Iterator[Line]:
        """Where the energy is from, and what is not in it."""
        if energy.method is None:
            return
        words = f"energy over {uptime(energy.seconds)}, {energy.method}"
        if energy.missing_seconds >= 1:
            words += f"; nothing is known of {uptime(energy.missing_seconds)} more"
        yield Line().add("     " + clean_line(words, self.width - 5), self.palette.dim)

    # ── costs, tokens, schedules ─────────────────────────────────────────────────────────────

    def costs(self) -> Iterator[Line]:
        price, report = self.view.power.price_per_kwh, self.view.report
        if price is None:
            words = "set price_per_kwh under [power] in the configuration"
            yield Line().add("  Cost  ", self.palette.strong).add(words, self.palette.dim)
            return
        title = f"Cost at {clean_line(self.view.power.currency)}{price:g} per kWh"
        yield self._note(self._title(title, "an hour", "a day", "a month"), f"{DAYS_PER_MONTH} d")
        later = f"from {MEAN_AFTER_SECONDS / 60:.0f} minutes of session on"
        yield self._cost("at the draw of now", report.draw, "it is not known")
        yield self._cost("at the mean of this session", report.mean_watts, later)

    def _cost(self, label: str, watts: float | None, why: str) -> Line:
        over = costs(watts, self.view.power.price_per_kwh)
        if over is None:
            return self._note(self._row(label, UNKNOWN), why)
        amounts = (self._money(amount) for amount in (over.hour, over.day, over.month))
        return self._note(self._row(label, *amounts), f"{number(watts)} W")

    def efficiencies(self) -> Iterator[Line]:
        if self.view.instances:
            yield self._title("Tokens per joule, this session", "tok/J", "tokens", "energy")
        for name in self.view.instances:
            found = self.view.report.efficiencies.get(name)
            badges = self.view.gpus_of.get(name, ())[:2]
            ratio = found.tokens_per_joule if found else None
            cells = [tokens_per_joule(ratio)]
            if found is not None and ratio is not None:
                cells += [str(found.tokens), _ENERGY.show(found.joules)]
            row = self._row(name, *cells, badges=badges)
            yield row if found is None or ratio is not None else self._note(row, found.reason)

    def schedules(self) -> Iterator[Line]:
        if self.view.plan:
            yield self._title("Limits by the time of day", "limit")
        for planned in self.view.plan:
            for table in planned.tables:
                badges = (planned.gpu.index,)
                row = self._row(window_words(table), f"{table.watts:g} W", badges=badges)
                if table is planned.now and planned.words:
                    style = self.palette.success if planned.in_force else self.palette.warning
                    row.add("  " + clean_line(planned.words, self.width - row.width - 2), style)
                yield row
            if planned.trouble:
                yield Line().add(f"   not applied: {planned.trouble}", self.palette.warning)

    @property
    def _label(self) -> int:
        return max(16, min(LABEL, self.width - 3 * CELL))

    def _title(self, text: str, *headings: str) -> Line:
        line = Line().add("  " + _cut(text, self._label - 2), self.palette.strong)
        for heading in headings:
            line.add(heading.rjust(CELL), self.palette.dim)
        return line

    def _row(self, label: str, *cells: str, badges: Sequence[int] = ()) -> Line:
        """A label, the GPUs that it is of, and numbers."""
        line = Line().add("   ", self.palette.dim)
        line.add(_cut(label, self._label - 3 - 5 * bool(badges)), self.palette.value)
        for index in badges:
            line.add(f"■{index}", self.palette.hue(index))
        line.pad_to(self._label)
        for cell in cells:
            line.add(cell.rjust(CELL), self.palette.value)
        return line

    def _note(self, line: Line, words: str) -> Line:
        """The words behind the line, as far as there is room."""
        room = self.width - line.width - 2
        return line.add("  " + clean_line(words, room), self.palette.dim) if room > 3 else line

    def _money(self, amount: float | None) -> str:
        return money(amount, self.view.power.currency)


def _cut(text: str, width: int) -> str:
    return f"{clean_line(text, width):<{width}}"


def _is_lowered(limits: PowerRange) -> bool:
    known = limits.limit is not None and limits.default is not None
    return known and (limits.limit or 0) < (limits.default or 0)


def _watts(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f} W"


def _range(limits: PowerRange) -> str:
    if limits.lowest is None and limits.highest is None:
        return UNKNOWN
    return f"{number(limits.lowest)}–{number(limits.highest)} W"
