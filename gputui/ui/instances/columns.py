"""A row of the table of instances: what it holds, its columns and their cells, its state in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style

from gputui.chat.health import EndpointState, EndpointStatus
from gputui.instances.status import HUNG_SECONDS, RUNNING, InstanceStatus, State, retry_words
from gputui.text import UNKNOWN, number, seconds, size, tokens_per_joule, uptime
from gputui.ui.alerts.marks import AlertMark
from gputui.ui.cells import Line, cut
from gputui.ui.graph import bar
from gputui.ui.palette import Look, Palette

BAR, NAME = 6, 16
"""Cells of a loading bar, and of a name."""


@dataclass(frozen=True)
class InstanceRow:
    """One instance as the table shows it. ``gpu_memory``: bytes on all GPUs, None where not known.

    ``alert`` is what fires for it. ``endpoint``: it is no instance, but this. ``observed`` is False of what
    is configured while nobody has looked at it yet: its state is not known.
    """

    status: InstanceStatus
    key: str
    gpu_indexes: tuple[int, ...]
    gpu_memory: int | None
    uptime: float | None
    alert: AlertMark | None = None
    tokens_per_joule: float | None = None
    endpoint: EndpointStatus | None = None
    observed: bool = True


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


def _name(row: InstanceRow) -> str:
    """Of a server of others the port stays where the name is cut: that is how one finds it."""
    name = row.status.name
    head, colon, port = name.rpartition(":")
    if row.status.external and colon and cell_len(name) > NAME:
        return cut(head, NAME - len(port) - 1) + colon + port
    return name


def role_words(status: InstanceStatus) -> str:
    """What it can do, where that is not chat alone: ``embed``, ``rerank``, ``vision``."""
    if status.role != "chat":
        return "embed" if status.role == "embedding" else str(status.role)
    return "vision" if status.sees else ""


COLUMNS: tuple[Column, ...] = (
    Column("key", 3, 0, False, lambda row: row.key),
    Column("name", NAME, 0, False, _name),
    Column("model", 24, 7, False, lambda row: row.status.model),
    Column("role", 6, 3, False, lambda row: role_words(row.status)),
    Column("GPU", 6, 1, False, lambda row: ""),
    Column("port", 5, 5, True, lambda row: str(row.status.port)),
    Column("state", 20, 0, False, lambda row: ""),
    Column("tok/s", 6, 2, True, _metric("generation_tokens_per_second", 1)),
    Column("tok/J", 6, 10, True, lambda row: tokens_per_joule(row.tokens_per_joule)),
    Column("slots", 5, 6, True, _slots),
    Column("queue", 5, 8, True, _metric("requests_deferred")),
    Column("memory", 14, 4, True, _memory),
    Column("uptime", 10, 9, True, lambda row: uptime(row.uptime)),
)
GAP = 2


def fitting_columns(width: int, *, roles: bool = False) -> tuple[Column, ...]:
    """The columns shown at that width, in the table's order; the least important go first.

    ``roles``: some row is for something else than chat alone.
    """
    chosen: list[Column] = []
    for column in sorted(COLUMNS, key=lambda c: c.rank):
        if column.title == "role" and not roles:
            continue
        if column.rank and sum(c.width + GAP for c in (*chosen, column)) > width:
            continue
        chosen.append(column)
    return tuple(column for column in COLUMNS if column in chosen)


def cell(line: Line, text: str, column: Column, extra: int, style: Style) -> None:
    """A column's text; ``extra`` cells more for the model."""
    width = column.width + (extra if column.title == "model" else 0)
    line.cell(text, width, style, right=column.right, gap=GAP)


def gpu_cell(line: Line, row: InstanceRow, width: int, look: Look) -> None:
    """The GPUs' badges; CPU only where that is known, a question mark where the pin is not."""
    end = line.width + width
    if row.endpoint is not None:
        line.add(UNKNOWN, look.palette.dim)
    elif not row.gpu_indexes:
        line.add("CPU" if row.status.pinned is False else "?", look.palette.dim)
    for index in row.gpu_indexes[:3]:
        line.add(f"■{index}", look.palette.hue(index))
    line.pad_to(end)


def state_cell(line: Line, row: InstanceRow, width: int, look: Look) -> None:
    """The state in words, and what fires; colour only repeats what the words say."""
    end = line.width + width
    status, palette = row.status, look.palette
    if not row.observed:
        line.add(UNKNOWN, palette.dim)
    elif row.endpoint is not None:
        _endpoint_state(line, row.endpoint, palette)
    else:
        line.add(cut(state_words(status), width - GAP), state_style(status, palette))
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
    if hangs(status):
        return "hung"
    if status.unloaded:
        return "unloaded"
    if status.state is State.FAILED and status.restart_at is not None:
        return f"failed, {retry_words(status, time.time()).removeprefix('next ')}"
    if waits(status):
        return "waiting"
    return str(status.state)


def is_others(status: InstanceStatus) -> bool:
    """Whether a server that gputui did not start runs there: it is never signalled."""
    return status.state in RUNNING and not status.owned and not waits(status)


def waits(status: InstanceStatus) -> bool:
    """Whether its start waits for something, which its note says."""
    return status.state is State.STARTING and status.pid is None and bool(status.note)


def state_style(status: InstanceStatus, palette: Palette) -> Style:
    """The colour of a state; the words say the same."""
    styles: Mapping[State, Style] = {
        State.READY: palette.success,
        State.FAILED: palette.error,
        State.STOPPED: palette.dim,
    }
    if hangs(status):
        return palette.warning
    return styles.get(status.state, palette.value)


def hangs(status: InstanceStatus) -> bool:
    """Whether it has been busy for so long without a token that nobody would wait on."""
    return status.stalled_seconds is not None and status.stalled_seconds > HUNG_SECONDS
