"""What a GPU panel shows, as lines of cells: pure functions of a view and a width."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.style import Style

from gputui.gpu.metrics import throttle_words
from gputui.gpu.sample import GpuSample
from gputui.identity import GpuIdentity, short_bus_id, short_name
from gputui.text import UNKNOWN, gibibytes, number
from gputui.ui.alerts.marks import AlertMark
from gputui.ui.cells import Line
from gputui.ui.graph import ASCII_BLOCKS, BLOCKS, bar, sparkline, window_size
from gputui.ui.palette import Palette

LABEL = 6
"""Columns of a row's label."""
VALUE = 16
"""Columns of a row's numbers, so that all graphs of a panel begin in one column."""
BAR = 12
TAIL = 14
"""Columns at the end of a one-line GPU for what runs there, or what throttles it."""
TEMPERATURE_RANGE = (20.0, 100.0)
"""Degrees Celsius from the lowest to the highest block of a temperature graph."""


@dataclass(frozen=True)
class GpuView:
    """One GPU as a panel needs it. ``window`` gives the newest values of a metric; ``ticks`` counts
    the samples so far; ``instances`` are the names of those pinned to this GPU; ``alert`` is what
    fires for it."""

    sample: GpuSample
    ticks: int
    window: Callable[[str, int], Sequence[float | None]]
    instances: tuple[str, ...] = ()
    stale: bool = False
    ascii_only: bool = False
    alert: AlertMark | None = None

    def graph(self, metric: str, low: float, high: float, width: int) -> str:
        """The metric's newest values as a graph of ``width`` columns."""
        if width <= 0:
            return ""
        values = self.window(metric, window_size(width, self.ticks))
        return sparkline(values, low, high, width, ASCII_BLOCKS if self.ascii_only else BLOCKS)


def title(view: GpuView) -> str:
    """``0  RTX PRO 6000 Blackwell · 01:00.0``."""
    return gpu_title(view.sample.identity)


def gpu_title(gpu: GpuIdentity) -> str:
    """The same of a GPU whose readings do not matter."""
    bus = short_bus_id(gpu)
    return f"{gpu.index}  {short_name(gpu.name)}" + (f" · {bus}" if bus else "")


def tag(view: GpuView) -> str:
    """The right end of a panel's title: what runs here, and a warning that the GPU is not real."""
    words = [", ".join(view.instances)] if view.instances else []
    if view.sample.identity.simulated:
        words.append("SIMULATED")
    return " · ".join(words)


def _whole_words(text: str, width: int) -> str:
    """``text`` cut to the width, at the end of a word where one ends in its second half."""
    cut = text[:width]
    space = cut.rfind(" ") if len(text) > width and text[width] != " " else -1
    return cut[:space] if space > width // 2 else cut


def full_lines(view: GpuView, width: int, palette: Palette) -> list[Line]:
    """The five rows of a full panel: four metrics with graphs, one of everything else."""
    sample, hue = view.sample, _hue(view, palette)
    if sample.problem:
        return problem_lines(sample.problem.message, sample.problem.hint, width, palette)
    graph = width - LABEL - VALUE
    used, total = sample.get("memory_used"), sample.get("memory_total")
    limit = sample.get("power_limit")
    memory = _row("mem", f"{gibibytes(used)}/{gibibytes(total)}", "GiB", palette)
    memory.add(view.graph("memory_used", 0, total or 0, graph - BAR - 7), hue)
    full, rest = bar(_ratio(used, total), BAR, ascii_only=view.ascii_only)
    memory.add(f"{_percent(used, total):>6} ", palette.value).add(full, hue).add(
        rest, palette.track
    )
    rows = [
        _row("util", number(sample.get("utilization_gpu")), "%", palette).add(
            view.graph("utilization_gpu", 0, 100, graph), hue
        ),
        memory,
        _row("power", f"{number(sample.get('power_draw'))}/{number(limit)}", "W", palette).add(
            view.graph("power_draw", 0, limit or 600, graph), hue
        ),
        _row("temp", number(sample.get("temperature_gpu")), "°C", palette).add(
            view.graph("temperature_gpu", *TEMPERATURE_RANGE, graph), hue
        ),
    ]
    return [*rows, _details(view, width, palette)]


def one_line(view: GpuView, width: int, palette: Palette) -> Line:
    """A whole GPU on one line, for small terminals and many GPUs."""
    sample, hue = view.sample, _hue(view, palette)
    line = Line().add(f"{sample.identity.index:>2} ", hue)
    wide = 14 if width >= 70 else 8
    line.add(f"{_whole_words(short_name(sample.identity.name), wide):<{wide}} ", palette.value)
    if sample.problem:
        return line.add(sample.problem.message, palette.error)
    used, total = sample.get("memory_used"), sample.get("memory_total")
    line.add(f"{number(sample.get('utilization_gpu')):>3}", palette.value).add("% ", palette.dim)
    ends = [
        (f"{gibibytes(used)}/{gibibytes(total, 0)}".rjust(10), "G"),
        (f" {number(sample.get('power_draw')):>3}", "W"),
        (number(sample.get("temperature_gpu")).rjust(4), "°"),
    ]
    tail = TAIL if width >= 64 else TAIL // 2
    graph = min(
        40, width - line.width - sum(len(text) + len(unit) for text, unit in ends) - tail - 1
    )
    line.add(view.graph("utilization_gpu", 0, 100, graph), hue)
    for text, unit in ends:
        line.add(text, palette.value).add(unit, palette.dim)
    warn = palette.warning if throttle_words(sample.get("throttle_reasons")) else hue
    return line.add(" " + _tail(view, tail), view.alert.style(palette) if view.alert else warn)


def problem_lines(message: str, hint: str, width: int, palette: Palette) -> list[Line]:
    """What is wrong, then what to do, each wrapped to the width."""
    wide = max(10, width - 2)
    lines = [Line().add(f" {text}", palette.error) for text in textwrap.wrap(message, wide)]
    return lines + [Line().add(f" {text}", palette.value) for text in textwrap.wrap(hint, wide)]


def _hue(view: GpuView, palette: Palette) -> Style:
    return palette.dim if view.stale else palette.hue(view.sample.identity.index)


def _row(label: str, numbers: str, unit: str, palette: Palette) -> Line:
    line = Line().add(f" {label:<{LABEL - 1}}", palette.dim)
    line.add(f"{numbers:>{VALUE - 5}}", palette.value)
    return line.add(f" {unit:<4}", palette.dim)


def _details(view: GpuView, width: int, palette: Palette) -> Line:
    """Clocks, fan, link and what holds the clocks down; what does not fit is left out from the end."""
    sample = view.sample
    line = Line().add(" ", palette.dim)
    throttled = throttle_words(sample.get("throttle_reasons"))
    parts: list[tuple[str, str, Style]] = []
    if throttled:
        mark = "!" if view.ascii_only else "▲"
        parts.append(("", f"{mark} {', '.join(throttled)}", palette.warning))
    parts += [
        ("SM ", f"{_mhz(sample, 'clocks_sm')}/{_mhz(sample, 'clocks_sm_max')} MHz", palette.value),
        ("PCIe ", _link(sample), _link_style(sample, palette)),
        ("", _throughput(sample, view.ascii_only), palette.value),
        ("fan ", f"{number(sample.get('fan_speed')):>2} %", palette.value),
        ("P", number(sample.get("pstate")), palette.value),
        (
            "mem ",
            f"{_mhz(sample, 'clocks_mem')}/{_mhz(sample, 'clocks_mem_max')} MHz",
            palette.value,
        ),
    ]
    for label, text, style in parts:
        gap = 0 if line.width == 1 else 2
        if line.width + gap + len(label) + len(text) > width:
            continue
        line.add(" " * gap, palette.dim).add(label, palette.dim).add(text, style)
    return line


def _link(sample: GpuSample) -> str:
    """``5.0×16`` at its best, ``5.0×8 of ×16`` narrower, ``1.0×16 of 5.0`` while it saves power."""
    gen, width = sample.get("pcie_link_gen"), sample.get("pcie_link_width")
    best_gen, best_width = sample.get("pcie_link_gen_max"), sample.get("pcie_link_width_max")
    now = f"{number(gen, 1)}×{number(width)}"
    best = [f"{number(best_gen, 1)}"] if best_gen and gen and gen < best_gen else []
    if best_width and width and width < best_width:
        best.append(f"×{number(best_width)}")
    return f"{now} of {''.join(best)}" if best else now


def _link_style(sample: GpuSample, palette: Palette) -> Style:
    """A link narrower than it could be is worth a look at any time; a lower generation is not."""
    width, best = sample.get("pcie_link_width"), sample.get("pcie_link_width_max")
    return palette.warning if width and best and width < best else palette.value


def _throughput(sample: GpuSample, ascii_only: bool) -> str:
    down, up = ("rx", "tx") if ascii_only else ("↓", "↑")
    return f"{down}{_rate(sample.get('pcie_rx'))} {up}{_rate(sample.get('pcie_tx'))} GB/s"


def _rate(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value / 1e9:4.1f}"


def _mhz(sample: GpuSample, metric: str) -> str:
    value = sample.get(metric)
    return f"{UNKNOWN:>4}" if value is None else f"{value / 1e6:4.0f}"


def _tail(view: GpuView, width: int) -> str:
    """What ends a one-line GPU: what fires, what throttles it, or what runs there; simulated ones say so."""
    throttled = throttle_words(view.sample.get("throttle_reasons"))
    mark = "! " if view.ascii_only else "▲ "
    words = mark + throttled[0] if throttled else ", ".join(view.instances)
    words = mark + view.alert.words if view.alert else words
    end = " SIM" if view.sample.identity.simulated else ""
    width -= len(end)
    return (words if len(words) <= width else words[: width - 1] + "…") + end


def _ratio(value: float | None, total: float | None) -> float | None:
    return None if value is None or not total else value / total


def _percent(value: float | None, total: float | None) -> str:
    share = _ratio(value, total)
    return f"{UNKNOWN} %" if share is None else f"{share * 100:.0f} %"
