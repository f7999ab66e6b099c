"""What the power screen shows, as lines of cells: pure functions of a view and a width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gputui.config import PowerConfig
from gputui.config.power_limits import window_words
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.power_limit import PowerRange, power_range
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.instances.status import InstanceStatus
from gputui.power.cost import DAYS_PER_MONTH, cost, costs, money
from gputui.power.energy import Energy
from gputui.power.meter import MEAN_AFTER_SECONDS, GpuPower, PowerReport
from gputui.power.schedule import Planned
from gputui.text import UNKNOWN, clean_line, number, uptime
from gputui.ui.cells import Line
from gputui.ui.gpu_lines import short_name
from gputui.ui.graph import bar
from gputui.ui.palette import Palette

NAME, GAP = 26, 2
LABEL, CELL = 32, 11
"""Columns of a row's label and of each of its numbers, in the sections below the GPUs."""
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
    blocks = [
        _gpus(view, width, palette),
        _costs(view, palette),
        _efficiencies(view, width, palette),
        _schedules(view, palette),
    ]
    lines: list[Line] = []
    for block in blocks:
        found = list(block)
        lines += [Line(), *found] if lines and found else found
    return lines


def _columns(width: int) -> Sequence[_Column]:
    """Those that fit; the bar takes what is left."""
    chosen = list(_COLUMNS)
    room = width - NAME - 2
    while (used := sum(column.width + GAP for column in chosen)) > room:
        chosen.remove(max(chosen, key=lambda column: column.rank))
    wide = min(WIDEST_BAR, BAR + room - used)
    return [replace(column, width=wide) if not column.title else column for column in chosen]


def _gpus(view: PowerView, width: int, palette: Palette) -> Iterator[Line]:
    columns = _columns(width)
    head = Line().add(f"  {'GPU':<{NAME}}", palette.strong)
    for column in columns:
        head.add(" " * GAP + column.title.rjust(column.width), palette.dim)
    yield head
    for place, gpu in enumerate(view.report.gpus):
        yield _gpu(view, gpu, columns, place == view.selected, palette)
        if gpu.reason:
            yield Line().add(f"     {gpu.reason}", palette.dim)
    if not view.report.gpus:
        yield Line().add("  No GPU has been seen yet.", palette.dim)
        return
    yield _all(view, columns, palette)
    yield from _how(view.report.energy, palette)


def _gpu(
    view: PowerView, gpu: GpuPower, columns: Sequence[_Column], marked: bool, palette: Palette
) -> Line:
    sample, hue = view.samples.get(gpu.identity.uuid), palette.hue(gpu.identity.index)
    limits = PowerRange() if sample is None else power_range(sample)
    joules = gpu.energy.joules
    texts = {
        "draw": _watts(gpu.draw),
        "limit": _watts(limits.limit),
        "default": _watts(limits.default),
        "range": _range(limits),
        "energy": _ENERGY.show(joules),
        "cost": _money(view, cost(joules, view.power.price_per_kwh)),
    }
    simulated = " SIM" if gpu.identity.simulated else ""
    line = Line().add("▸" if marked else " ", palette.strong)
    line.add(f"{gpu.identity.index:>2} ", hue)
    name = clean_line(short_name(gpu.identity.name), NAME - 2 - len(simulated)) + simulated
    line.add(f"{name:<{NAME - 2}}", palette.strong if marked else palette.value)
    for column in columns:
        line.add(" " * GAP, palette.dim)
        if column.title:
            lowered = column.title == "limit" and _below(limits)
            style = palette.strong if lowered else palette.value
            line.add(texts[column.title].rjust(column.width), style)
            continue
        share = gpu.draw / limits.limit if gpu.draw is not None and limits.limit else None
        full, rest = bar(share, column.width, ascii_only=view.ascii_only)
        line.add(full, hue).add(rest, palette.track)
    return line


def _below(limits: PowerRange) -> bool:
    return limits.limit is not None and limits.default is not None and limits.limit < limits.default


def _all(view: PowerView, columns: Sequence[_Column], palette: Palette) -> Line:
    """The sums; the draw against the PSU, where its watts are configured."""
    report, psu = view.report, view.power.psu_watts
    joules = report.energy.joules
    line = Line().add(f"   {'together':<{NAME - 1}}", palette.dim)
    texts = {
        "draw": _watts(report.draw),
        "energy": _ENERGY.show(joules),
        "cost": _money(view, cost(joules, view.power.price_per_kwh)),
    }
    share = report.draw / psu if psu and report.draw is not None else None
    known, gpus = len(report.draws), len(report.gpus)
    of = f"of {known} GPUs" if 0 < known < gpus else ""
    if psu:
        of = f"of {psu:.0f} W" + ("" if share is None else f", {share * 100:.0f} %")
    for column in columns:
        if column.title == "limit" and of:
            # The words take the place of this column and of those up to the energy.
            line.add(" " * GAP + of, palette.dim)
        elif column.title in texts:
            end = sum(c.width + GAP for c in columns[: columns.index(column) + 1]) + NAME + 2
            line.pad_to(end - column.width)
            line.add(texts[column.title].rjust(column.width), palette.strong)
        elif not column.title:
            full, rest = bar(share, column.width, ascii_only=view.ascii_only)
            line.add(" " * GAP, palette.dim).add(full, palette.value).add(rest, palette.track)
    return line


def _how(energy: Energy, palette: Palette) -> Iterator[Line]:
    """Where the energy is from, and what is not in it."""
    if energy.method is None:
        return
    words = f"     energy over {uptime(energy.seconds)}, {energy.method}"
    if energy.missing_seconds >= 1:
        words += f"; nothing is known of {uptime(energy.missing_seconds)} more"
    yield Line().add(words, palette.dim)


def _costs(view: PowerView, palette: Palette) -> Iterator[Line]:
    price, report = view.power.price_per_kwh, view.report
    if price is None:
        words = "set price_per_kwh under [power] in the configuration"
        yield _title("Cost", (), palette).add(words, palette.dim)
        return
    title = f"Cost at {clean_line(view.power.currency)}{price:g} per kWh"
    heading = _title(title, ("an hour", "a day", "a month"), palette)
    yield heading.add(f"  of {DAYS_PER_MONTH} days", palette.dim)
    yield _cost(view, "at the draw of now", report.draw, "it is not known", palette)
    minutes = MEAN_AFTER_SECONDS / 60
    later = f"from {minutes:.0f} minutes of session on"
    yield _cost(view, "at the mean of this session", report.mean_watts, later, palette)


def _cost(view: PowerView, label: str, watts: float | None, why: str, palette: Palette) -> Line:
    line = Line().add(f"   {label:<{LABEL - 3}}", palette.value)
    over = costs(watts, view.power.price_per_kwh)
    if over is None:
        return line.add(UNKNOWN.rjust(CELL), palette.value).add(f"  {why}", palette.dim)
    for amount in (over.hour, over.day, over.month):
        line.add(_money(view, amount).rjust(CELL), palette.value)
    return line.add(f"  {number(watts)} W", palette.dim)


def _efficiencies(view: PowerView, width: int, palette: Palette) -> Iterator[Line]:
    if view.instances:
        headings = ("tok/J", "tokens", "energy")
        yield _title("Tokens per joule, this session", headings, palette)
    for name in view.instances:
        found = view.report.efficiencies.get(name)
        line = Line().add("   ", palette.dim).add(f"{clean_line(name, 22):<22} ", palette.value)
        for index in view.gpus_of.get(name, ())[:2]:
            line.add(f"■{index}", palette.hue(index))
        line.pad_to(LABEL)
        ratio = found.tokens_per_joule if found else None
        line.add(tokens_per_joule(ratio).rjust(CELL), palette.value)
        if found is None or ratio is None:
            why = found.reason if found else ""
            yield line.add(f"  {clean_line(why, max(2, width - line.width - 2))}", palette.dim)
            continue
        for text in (str(found.tokens), _ENERGY.show(found.joules)):
            line.add(text.rjust(CELL), palette.value)
        yield line


def _schedules(view: PowerView, palette: Palette) -> Iterator[Line]:
    if view.plan:
        yield _title("Limits by the time of day", ("limit",), palette)
    for planned in view.plan:
        hue = palette.hue(planned.gpu.index)
        for table in planned.tables:
            line = Line().add("   ", palette.dim).add(f"■{planned.gpu.index:<3}", hue)
            line.add(window_words(table), palette.value).pad_to(LABEL)
            line.add(f"{table.watts:g} W".rjust(CELL), palette.value)
            if table is planned.now and not planned.trouble:
                line.add("  in force", palette.success)
            yield line
        if planned.trouble:
            yield Line().add(f"   not applied: {planned.trouble}", palette.warning)


def _title(text: str, headings: Sequence[str], palette: Palette) -> Line:
    line = Line().add(f"  {text:<{LABEL - 2}}", palette.strong)
    for heading in headings:
        line.add(heading.rjust(CELL), palette.dim)
    return line


def tokens_per_joule(value: float | None) -> str:
    """Three digits that count: ``0.031``, ``1.24``, ``12.4``."""
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _watts(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f} W"


def _range(limits: PowerRange) -> str:
    if limits.lowest is None and limits.highest is None:
        return UNKNOWN
    return f"{number(limits.lowest)}–{number(limits.highest)} W"


def _money(view: PowerView, amount: float | None) -> str:
    return money(amount, view.power.currency)
