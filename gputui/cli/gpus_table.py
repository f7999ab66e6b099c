"""The table of ``gputui gpus``: a pure function of a snapshot and a width."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gputui.cli.tables import GAP, Column, Line, cell_width, fitted, grid
from gputui.config import PowerConfig
from gputui.gpu.metrics import METRICS_BY_NAME, throttle_words
from gputui.gpu.power_limit import power_range
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Problem, Snapshot
from gputui.identity import short_bus_id, short_name
from gputui.power.cost import costs, money
from gputui.text import UNKNOWN, clean_line, gibibytes, number, size, uptime

RECORDED = "recorded"
INDENT = "     "
LEAST_NAME, LEAST_COMMAND = 14, 24
"""Cells that a GPU's name and a command keep in a narrow terminal."""


@dataclass(frozen=True)
class Shown:
    """What the table is made of. ``instances`` are our instances' names by pid, ``host_name`` is this
    machine's; ``session`` says what was used so far, "" where nothing is to be said."""

    snapshot: Snapshot
    instances: Mapping[int, str] = field(default_factory=dict)
    power: PowerConfig = field(default_factory=PowerConfig)
    host_name: str = ""
    session: str = ""


def table(shown: Shown, width: int) -> list[Line]:
    """All lines. What cannot be made narrower is cut by whoever prints it."""
    snapshot = shown.snapshot
    gpus = grid(GPU_COLUMNS, snapshot.gpus, width)
    names = {} if snapshot.source == RECORDED else shown.instances  # its pids are of another time
    named = [
        NamedProcess(process, _instance(process, names), snapshot.taken_at)
        for gpu in snapshot.gpus
        for process in gpu.processes
    ]
    ours = any(one.instance for one in named)
    columns = [c for c in PROCESS_COLUMNS if c.heading != "instance" or ours]
    processes = grid(columns, named, width - len(INDENT))
    lines = [_title(shown, width)]
    if snapshot.problem is not None:
        lines += _problem(snapshot.problem, "", width)
    if snapshot.gpus:
        lines.append(gpus.heading)
    if named:
        lines.append([(INDENT, ""), *processes.heading])
    shown_metrics = [metric for column in gpus.columns for metric in SHOWS.get(column.heading, ())]
    limited = any(column.heading == "limited by" for column in gpus.columns)
    rest = iter(processes.lines)
    for gpu, row in zip(snapshot.gpus, gpus.lines, strict=True):
        lines.append(row)
        lines += _notes(gpu, shown_metrics, width, limited_is_shown=limited)
        lines += [[(INDENT, ""), *next(rest)] for _ in gpu.processes]
    return [*lines, *_totals(shown, width)]


# ── columns ──────────────────────────────────────────────────────────────────────────────────


def _known(metric: str) -> Callable[[GpuSample], str]:
    return lambda gpu: number(gpu.get(metric))


def _pair(now: str, most: str, scale: float = 1.0) -> Callable[[GpuSample], str]:
    def text(gpu: GpuSample) -> str:
        values = (gpu.get(now), gpu.get(most))
        return "/".join(number(None if value is None else value / scale) for value in values)

    return text


def _name(gpu: GpuSample) -> str:
    return short_name(gpu.identity.name)


def _memory(gpu: GpuSample) -> str:
    used = gibibytes(gpu.get("memory_used"))
    return f"{used} shared" if gpu.shared_memory else f"{used}/{gibibytes(gpu.get('memory_total'))}"


def _pcie(gpu: GpuSample) -> str:
    """``5×16`` at its best, else ``4×8 of 5×16``: generation and lanes."""
    now, most = (
        "×".join(number(gpu.get(metric + end)) for metric in ("pcie_link_gen", "pcie_link_width"))
        for end in ("", "_max")
    )
    return now if now == most or UNKNOWN in most else f"{now} of {most}"


def _limited_by(gpu: GpuSample) -> str:
    return ", ".join(throttle_words(gpu.get("throttle_reasons")))


def _hue(gpu: GpuSample) -> str:
    return f"gpu{gpu.identity.index}"


GPU_COLUMNS: tuple[Column[GpuSample], ...] = (
    Column("GPU", 0, lambda gpu: str(gpu.identity.index), role=_hue),
    Column("name", 0, _name, left=True, least=LEAST_NAME, shrinks_at=4, role=_hue),
    Column("bus", 8, lambda gpu: short_bus_id(gpu.identity), left=True),
    Column("util %", 1, _known("utilization_gpu"), role=lambda gpu: "strong"),
    Column("memory GiB", 1, _memory),
    Column("power W", 2, _pair("power_draw", "power_limit")),
    Column("temp °C", 3, _known("temperature_gpu")),
    Column("fan %", 6, _known("fan_speed")),
    Column("SM MHz", 7, _pair("clocks_sm", "clocks_sm_max", 1e6)),
    Column("mem MHz", 10, _pair("clocks_mem", "clocks_mem_max", 1e6)),
    Column("PCIe", 9, _pcie),
    Column("pstate", 11, _known("pstate")),
    Column("limited by", 4, _limited_by, left=True, role=lambda gpu: "warning"),
)

SHOWS: Mapping[str, tuple[str, ...]] = {
    "util %": ("utilization_gpu",),
    "memory GiB": ("memory_used", "memory_total"),
    "power W": ("power_draw", "power_limit"),
    "temp °C": ("temperature_gpu",),
    "fan %": ("fan_speed",),
    "SM MHz": ("clocks_sm",),
    "mem MHz": ("clocks_mem",),
    "PCIe": ("pcie_link_gen", "pcie_link_width"),
    "pstate": ("pstate",),
    "limited by": ("throttle_reasons",),
}
"""The metrics that a column shows: where one is not known, the reason is told below."""


@dataclass(frozen=True, slots=True)
class NamedProcess:
    """A process at Unix time ``at``; ``instance`` is the name of ours that it is, "" for none."""

    process: GpuProcess
    instance: str
    at: float

    @property
    def age(self) -> float | None:
        """Seconds since it was started, None where that is not known."""
        return self.at - self.process.host.started_at if self.process.host else None


def _of_host(fact: Callable[[HostProcess], str]) -> Callable[[NamedProcess], str]:
    """A fact of this host; a dash for a foreign process, and where it is not known."""
    return lambda named: (fact(named.process.host) if named.process.host else "") or UNKNOWN


def _command(named: NamedProcess) -> str:
    """A foreign pid is a process that this host does not show, a container's for one."""
    process = named.process
    return (process.host and process.host.command) or process.name or "(not visible here)"


PROCESS_COLUMNS: tuple[Column[NamedProcess], ...] = (
    Column("pid", 0, lambda named: str(named.process.pid)),
    Column("user", 4, _of_host(lambda host: host.user), left=True),
    Column("type", 6, lambda named: str(named.process.type), left=True),
    Column("GPU memory", 1, lambda named: size(named.process.used_gpu_memory)),
    Column("SM %", 2, lambda named: number(named.process.utilization_sm)),
    Column("CPU %", 3, _of_host(lambda host: number(host.cpu_percent))),
    Column("memory", 7, _of_host(lambda host: size(host.memory))),
    Column("age", 5, lambda named: uptime(named.age)),
    Column("instance", 1, lambda named: named.instance, left=True, role=lambda named: "strong"),
    Column("command", 0, _command, left=True, least=LEAST_COMMAND),
)


def _instance(process: GpuProcess, instances: Mapping[int, str]) -> str:
    """A foreign pid is no instance of ours, whatever has that pid here."""
    return instances.get(process.pid, "") if process.host or process.name else ""


# ── around them ──────────────────────────────────────────────────────────────────────────────


def _title(shown: Shown, width: int) -> Line:
    """Where and when, driver and CUDA, and how the machine does."""
    snapshot, host = shown.snapshot, shown.snapshot.host
    parts = [shown.host_name, "recorded" if snapshot.source == RECORDED else ""]
    parts.append("SIMULATED GPUs" if any(i.simulated for i in snapshot.identities) else "")
    parts.append(f"driver {snapshot.driver_version}" if snapshot.driver_version else "")
    parts.append(f"CUDA {snapshot.cuda_version}" if snapshot.cuda_version else "")
    if host is not None and host.cpu_percent is not None:
        parts.append(f"CPU {host.cpu_percent:.0f} %")
    if host is not None and host.memory_used is not None:
        whole = gibibytes(host.memory_total, 0)
        parts.append(f"RAM {gibibytes(host.memory_used, 0)}/{whole} GiB")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.taken_at))
    text = GAP.join(part for part in parts if part)
    room = width - len(when) - len(GAP)
    if cell_width(text) > room:
        return [(fitted(text, width), "strong")]
    return [(text, "strong"), (" " * (room - cell_width(text)) + GAP, ""), (when, "dim")]


def _problem(problem: Problem, indent: str, width: int) -> list[Line]:
    """What is wrong, then the remedy, wrapped."""
    return [
        *_wrapped(f"! {problem.message}", "error", indent, width),
        *_wrapped(problem.hint, "", indent + "  ", width),
    ]


def _notes(
    gpu: GpuSample, metrics: list[str], width: int, *, limited_is_shown: bool
) -> Iterator[Line]:
    """What is to be said of a GPU beside its numbers."""
    if gpu.problem is not None:
        yield from _problem(gpu.problem, INDENT, width)
        return
    limits = power_range(gpu)
    if limits.limit and limits.default and limits.limit < limits.default:
        words = f"power limit {limits.limit:g} W of {limits.default:g} W by default"
        yield [(INDENT, ""), (words, "dim")]
    if not limited_is_shown and (reasons := _limited_by(gpu)):
        yield [(INDENT, ""), (f"limited by {reasons}", "warning")]
    if errors := gpu.get("ecc_uncorrected"):
        words = f"! {errors:.0f} uncorrected ECC error{'s' * (errors != 1)}"
        yield [(INDENT, ""), (words, "error")]
    yield from _wrapped(_reasons(gpu, metrics), "dim", INDENT, width)


def _reasons(gpu: GpuSample, metrics: list[str]) -> str:
    """``not supported: fan; no permission: GPU clock``: why there are dashes."""
    why: dict[str, list[str]] = {}
    for name in metrics:
        if gpu.get(name) is None and not (gpu.shared_memory and name == "memory_total"):
            label = METRICS_BY_NAME[name].label
            why.setdefault(gpu.unavailable.get(name, "not known"), []).append(label)
    if gpu.processes_problem is not None:
        why.setdefault(gpu.processes_problem, []).append("processes")
    return "; ".join(f"{clean_line(reason)}: {', '.join(labels)}" for reason, labels in why.items())


def _wrapped(text: str, role: str, indent: str, width: int) -> Iterator[Line]:
    for part in textwrap.wrap(text, max(20, width - len(indent))):
        yield [(indent, ""), (part, role)]


def _totals(shown: Shown, width: int) -> Iterator[Line]:
    """The sum of what is drawn, held against the PSU, and its cost; the memory of all GPUs."""
    gpus, power = shown.snapshot.gpus, shown.power
    draws = [draw for gpu in gpus if (draw := gpu.get("power_draw")) is not None]
    if not draws or shown.snapshot.problem is not None:
        return
    draw, parts = sum(draws), []
    of = (
        f" of {power.psu_watts:.0f} W, {100 * draw / power.psu_watts:.0f} %"
        if power.psu_watts
        else " W"
    )
    part = f" ({len(draws)} of {len(gpus)} GPUs)" if len(draws) < len(gpus) else ""
    parts.append(f"{draw:.0f}{of}{part}")
    over = costs(draw, power.price_per_kwh)
    if over is not None:
        hour, day = money(over.hour, power.currency), money(over.day, power.currency)
        parts.append(f"{hour} an hour, {day} a day")
    used = [gpu.get("memory_used") for gpu in gpus]
    whole = [gpu.get("memory_total") for gpu in gpus]
    if len(gpus) > 1 and None not in used and None not in whole:
        memory = (sum(value or 0 for value in values) for values in (used, whole))
        parts.append("/".join(gibibytes(value) for value in memory) + " GiB")
    if shown.session:
        parts.append(shown.session)
    label = "together  " if len(gpus) > 1 else ""
    while len(parts) > 1 and cell_width(label + "   ".join(parts)) > width:
        parts.pop()
    yield [(label, "dim"), ("   ".join(parts), "")]
