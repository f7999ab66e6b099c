"""What the details of an instance say, in lines of cells: one function a section."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.style import Style

from gputui.config.cpus import format_cpus
from gputui.identity import GpuIdentity
from gputui.instances.details import InstanceDetails, Setting
from gputui.instances.status import InstanceStatus, State
from gputui.llama.inspection import SlotFacts
from gputui.text import UNKNOWN, number, sentences, size, uptime
from gputui.ui.cells import Line, cut
from gputui.ui.graph import bar
from gputui.ui.instances.columns import BAR, InstanceRow, state_style, state_words
from gputui.ui.palette import Look

LABEL = 14
"""Columns of the labels, with a blank before and behind."""
SLOT_BAR = 12
LONGEST = 8000
"""Characters of one value that are shown at most."""


@dataclass(frozen=True, slots=True)
class DetailsView:
    """All that is known of the instance: its row and its GPUs from the dashboard, and its details.

    ``row`` is None where it is gone, ``details`` until they are known; ``now`` is Unix time.
    """

    name: str
    row: InstanceRow | None
    gpus: Mapping[str, GpuIdentity]
    details: InstanceDetails | None
    now: float


def left_lines(view: DetailsView, width: int, look: Look) -> list[Line]:
    """How it is, how it was started, how it is configured."""
    return _sections(
        _state(view, width, look), _command(view, width, look), _configuration(view, width, look)
    )


def lines_of_all(view: DetailsView, width: int, look: Look) -> list[Line]:
    """All of it in one column: first what one looks for, last what is long."""
    return _sections(
        _state(view, width, look),
        _slots(view, width, look),
        _requests(view, width, look),
        _command(view, width, look),
        _configuration(view, width, look),
        _server(view, width, look),
    )


def right_lines(view: DetailsView, width: int, look: Look) -> list[Line]:
    """What its server does and says of itself."""
    return _sections(
        _slots(view, width, look), _requests(view, width, look), _server(view, width, look)
    )


def _sections(*sections: Sequence[Line]) -> list[Line]:
    lines: list[Line] = []
    for section in sections:
        if section:
            lines += [*([Line()] if lines else []), *section]
    return lines


def _title(text: str, look: Look, note: str = "") -> Line:
    line = Line().add(f" {text}", look.palette.strong)
    return line.add(f"  {note}", look.palette.dim) if note else line


def fact(label: str, value: str, width: int, look: Look, style: Style | None = None) -> list[Line]:
    """A label and its value, which takes as many rows as it needs; nothing for no value."""
    rows = wrapped(value, width - LABEL - 1) if value else []
    return [
        Line()
        .cell(f" {label}" if not place else "", LABEL, look.palette.dim)
        .add(row, style or look.palette.value)
        for place, row in enumerate(rows)
    ]


def wrapped(text: str, width: int) -> list[str]:
    """By words where that is possible, each row of at most ``width`` cells."""
    width, text = max(12, width), text[:LONGEST]
    rows = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    return [part for row in rows or [""] for part in (chop_cells(row, width) or [""])]


# ── how it is ────────────────────────────────────────────────────────────────────────────────────


def _state(view: DetailsView, width: int, look: Look) -> list[Line]:
    row, palette = view.row, look.palette
    if row is None:
        return [
            Line().add(
                f" {view.name} is gone: nothing of that name runs or is configured", palette.dim
            )
        ]
    status = row.status
    line = Line().cell(" state", LABEL, palette.dim)
    line.add(state_words(status), state_style(status, palette))
    if status.state is State.LOADING and status.load_progress is not None:
        full, rest = bar(status.load_progress, BAR, ascii_only=look.ascii_only)
        line.add(" ", palette.dim).add(full, palette.value).add(rest, palette.track)
        line.add(f" ~{status.load_progress * 100:.0f} %", palette.value)
    lines = [_title("State", look), line]
    if status.last_error:
        told = sentences(status.last_error, status.hint)
        lines += fact("why", told, width, look, palette.error)
    lines += fact("note", status.note, width, look)
    if row.alert is not None:
        alert = sentences(row.alert.message, row.alert.hint)
        lines += fact("alert", alert, width, look, row.alert.style(palette))
    lines += fact("ended", status.exit_words, width, look)
    for place, words in enumerate(status.evidence):
        lines += fact("" if place else "its log says", words, width, look)
    lines += _gpus(view, status, width, look)
    for label, value in _facts(status, row, view.now):
        lines += fact(label, value, width, look)
    if view.details is not None and view.details.scope:
        lines += fact("login", f"in its own systemd scope {view.details.scope}", width, look)
    differing = [s.key for s in view.details.settings if s.differs] if view.details else []
    words = f"other values: {', '.join(differing)}" if differing else ""
    return lines + fact("on restart", words, width, look, palette.warning)


def _gpus(view: DetailsView, status: InstanceStatus, width: int, look: Look) -> list[Line]:
    """A row for each GPU, in its hue; its UUID where the GPU is not known here."""
    palette = look.palette
    if not status.gpus:
        words = "none, it runs on the CPU" if status.pinned is False else "not known"
        return [Line().cell(" GPU", LABEL, palette.dim).add(words, palette.value)]
    lines = []
    for place, uuid in enumerate(status.gpus):
        line, gpu = Line().cell("" if place else " GPU", LABEL, palette.dim), view.gpus.get(uuid)
        if gpu is None:
            line.add(uuid, palette.value)
        else:
            words = cut(f"■{gpu.index} {gpu.name}", width - LABEL)
            line.add(words, palette.hue(gpu.index))
        lines.append(line)
    return lines


def _facts(status: InstanceStatus, row: InstanceRow, now: float) -> Iterable[tuple[str, str]]:
    sees = ", vision" if status.sees else ""
    yield "model", status.model
    yield "role", f"{status.role}{sees}"
    yield "url", status.url
    if status.pid is not None:
        yield "process", f"pid {status.pid}, up {uptime(row.uptime)}"
    if status.context is not None:
        yield "context", f"{status.context} tokens in all slots"
    yield "lowered", status.lowered
    host = status.metrics.memory_bytes
    held = ((row.gpu_memory, "on GPUs"), (host, "of the host"))
    yield (
        "memory",
        ", ".join(f"{size(value)} {where}" for value, where in held if value is not None),
    )
    node = f"NUMA node {status.numa_node}" if status.numa_node is not None else ""
    yield "CPUs", ", ".join(part for part in (format_cpus(status.cpus), node) if part)
    known = status.availability
    share = "not known yet" if known is None else f"{known * 100:.2f} % of 30 days"
    yield "availability", share
    again = (
        ""
        if status.restart_at is None
        else f", next try in {max(0.0, status.restart_at - now):.0f} s"
    )
    if status.failures or again:
        yield "crashes", f"{status.failures} since its start{again}"
    if status.stalled_seconds is not None:
        yield "stalled", f"busy without a token for {status.stalled_seconds:.0f} s"


# ── how it was started ───────────────────────────────────────────────────────────────────────────


def _command(view: DetailsView, width: int, look: Look) -> list[Line]:
    details, palette = view.details, look.palette
    if details is None:
        return []
    note = "as it would be started" if details.planned else "as it was started"
    lines = [_title("Command", look, f"{note}; y copies it" if details.argv else "")]
    if details.trouble:
        lines += fact("not known", details.trouble, width, look, palette.warning)
    for place, text in enumerate(wrapped(details.shell_line, width - 3) if details.argv else ()):
        lines.append(Line().add(" " if place == 0 else "   ", palette.dim).add(text, palette.value))
    return lines


def _configuration(view: DetailsView, width: int, look: Look) -> list[Line]:
    details, palette = view.details, look.palette
    if details is None or not details.settings:
        return []
    gone = all(setting.configured is None for setting in details.settings)
    note = "it is configured no more; it was started with" if gone else ""
    lines = [_title("Configuration", look, note), Line().add(" [[instances]]", palette.dim)]
    for setting in details.settings:
        text, differs = setting_words(setting)
        style = palette.warning if differs else palette.value
        for place, words in enumerate(wrapped(text, width - 3)):
            lines.append(Line().add(" " if place == 0 else "   ", palette.dim).add(words, style))
    return lines


def setting_words(setting: Setting) -> tuple[str, bool]:
    """A key as TOML; of one that differs what runs, and what comes on restart. Whether it does."""
    if not setting.differs:
        return f"{setting.key} = {setting.configured or setting.running}", False
    running, configured = setting.running or "default", setting.configured or "default"
    return f"{setting.key} = {running} → {configured} on restart", True


# ── what its server does ─────────────────────────────────────────────────────────────────────────


def _slots(view: DetailsView, width: int, look: Look) -> list[Line]:
    slots = view.details.inspection.slots if view.details else None
    if slots is None:
        return []
    busy = sum(slot.busy for slot in slots)
    return [
        _title("Slots", look, f"{busy} of {len(slots)} busy"),
        *(_slot(slot, look) for slot in slots),
    ]


def _slot(slot: SlotFacts, look: Look) -> Line:
    palette = look.palette
    style = palette.value if slot.busy else palette.dim
    line = Line().cell(f" {slot.id:>3}", 5, palette.dim)
    line.cell(_doing(slot), 12, palette.success if slot.busy else palette.dim, gap=1)
    share = slot.used / slot.context if slot.used is not None and slot.context else None
    full, rest = bar(share, SLOT_BAR, ascii_only=look.ascii_only)
    line.add(full, style).add(rest, palette.track)
    line.cell(f"{number(slot.used)}/{number(slot.context)}", 14, style, right=True, gap=2)
    if slot.busy:
        line.cell(f"{number(slot.tokens_per_second, 1)} tok/s", 12, style, right=True, gap=2)
        line.add(f"{number(slot.decoded)} decoded", palette.dim)
    return line


def _doing(slot: SlotFacts) -> str:
    if not slot.busy:
        return "idle"
    return (
        "generating"
        if slot.prompt_progress is None
        else f"prompt {slot.prompt_progress * 100:.0f} %"
    )


def _requests(view: DetailsView, width: int, look: Look) -> list[Line]:
    if view.row is None or view.row.status.pid is None:
        return []
    metrics = view.row.status.metrics
    rates = (
        ("generation", f"{number(metrics.generation_tokens_per_second, 1)} tok/s"),
        ("prompt", f"{number(metrics.prompt_tokens_per_second, 1)} tok/s"),
        (
            "in work",
            f"busy {number(metrics.requests_processing)}, queue {number(metrics.requests_deferred)}",
        ),
        ("requests", f"{number(metrics.requests_total)}, {number(metrics.requests_failed)} failed"),
        ("generated", f"{number(metrics.tokens_generated)} tokens since its start"),
    )
    return [
        _title("Requests", look),
        *(line for label, words in rates for line in fact(label, words, width, look)),
    ]


def _server(view: DetailsView, width: int, look: Look) -> list[Line]:
    server = view.details.inspection.server if view.details else None
    if server is None:
        return []
    takes = "not known" if server.modalities is None else ", ".join(("text", *server.modalities))
    slots = f"{number(server.slots)} slots of {number(server.context)} tokens"
    if view.row and server.context and server.context == view.row.status.context:
        slots = f"{number(server.slots)} slots in one pool of {server.context} tokens"
    template = (
        f"like {server.template}'s" if server.template else ("its own" * bool(server.template_line))
    )
    facts = (
        ("model", server.model or UNKNOWN),
        ("type", server.ftype),
        ("slots", slots),
        ("takes", takes),
        ("template", cut(template or "none", width - LABEL - 1)),
        ("", cut(server.template_line, width - LABEL - 1)),
        ("build", server.build),
        ("sleeping", "the next request loads the model" if server.sleeping else ""),
    )
    return [
        _title("Server", look),
        *(line for label, words in facts for line in fact(label, words, width, look)[:4]),
    ]


def head_line(view: DetailsView, width: int, look: Look) -> Line:
    """Name, state, GPUs and port on one line, for the top of the screen."""
    palette, row = look.palette, view.row
    line = Line().add(f" {view.name}", palette.strong)
    if row is None:
        return line
    line.add("  ", palette.dim).add(state_words(row.status), state_style(row.status, palette))
    for index in row.gpu_indexes:
        line.add(f" ■{index}", palette.hue(index))
    rest = f"  {row.status.model}  port {row.status.port}"
    if cell_len(rest) + line.width <= width:
        line.add(rest, palette.dim)
    return line
