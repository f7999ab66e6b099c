"""What the header says, field by field, and which fields fit: pure functions.

Numbers keep their width, so that no field moves another: what changes each second is then a few cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from rich.cells import cell_len

from gputui.config import PowerConfig
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.sample import Snapshot
from gputui.host import Disk, HostSample
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.power.cost import cost, costs, money
from gputui.power.meter import PowerReport
from gputui.text import UNKNOWN, clean_line, size

GIB = 2**30
SWAP_WORTH_A_WORD = 64 * 2**20
"""Bytes: less than that lies in the swap of any machine that has run for a while."""
FULL_BYTES, FULL_SHARE = 10 * GIB, 0.03
"""A file system with less free than both has no room for a model."""
MOUNT = 20
"""Characters of a mount point."""
GAP = 3
"""Cells between two fields."""


class Place(IntEnum):
    """Where a field stands, from left to right; each place is painted alone."""

    MACHINE = 0
    HOST = 1
    POWER = 2


@dataclass(frozen=True, slots=True)
class Field:
    """One thing the header says: texts, each with its role (``dim`` is a label, ``value``, ``warning``,
    ``error``). Those of the highest ``rank`` go first when the terminal is narrow."""

    place: Place
    rank: int
    parts: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        """Its cells."""
        return sum(cell_len(text) for text, _ in self.parts)


def fields(
    snapshot: Snapshot | None,
    statuses: Sequence[InstanceStatus],
    report: PowerReport,
    power: PowerConfig,
    down: int = 0,
) -> list[Field]:
    """Everything there is to say, in the order in which it stands; ``down`` endpoints give no answer."""
    found = [*_machine(snapshot, statuses, down)]
    if snapshot is not None and snapshot.host is not None:
        found += _host(snapshot.host)
    return [*found, *_power(report, power)]


def fitting(found: Sequence[Field], width: int) -> list[Field]:
    """Those that fit into ``width`` cells together, the most important first; in their order."""
    chosen: list[Field] = []
    for field in sorted(found, key=lambda field: field.rank):
        if GAP + field.width <= width:
            width -= GAP + field.width
            chosen.append(field)
    return [field for field in found if field in chosen]


def _machine(
    snapshot: Snapshot | None, statuses: Sequence[InstanceStatus], down: int
) -> Iterator[Field]:
    if snapshot is not None and snapshot.source != "nvml":
        yield Field(Place.MACHINE, 1, ((snapshot.source, "dim"),))
    statuses = [status for status in statuses if not status.external]
    ready = sum(status.state is State.READY for status in statuses)
    failed = sum(status.state is State.FAILED for status in statuses)
    running = sum(status.state in RUNNING for status in statuses)
    words = [f"{ready} of {len(statuses)} ready"] if statuses else []
    if running > ready:
        words.append(f"{running - ready} on the way")
    parts = [(", ".join(words), "dim")] if words else []
    troubles = [f"{failed} failed"] if failed else []
    if down:
        troubles.append(f"{down} endpoint{'s' * (down > 1)} down")
    if troubles:
        parts.append((", " * bool(parts) + ", ".join(troubles), "error"))
    if parts:
        yield Field(Place.MACHINE, 5, tuple(parts))


def _host(host: HostSample) -> Iterator[Field]:
    """Trouble first: what is as it should be may be left out."""
    if host.cpu_percent is not None:
        yield Field(Place.HOST, 3, (("CPU ", "dim"), (f"{host.cpu_percent:3.0f} %", "value")))
    if host.memory_used is not None and host.memory_total:
        words = _of(host.memory_used, host.memory_total)
        yield Field(Place.HOST, 4, (("RAM ", "dim"), (words, "value"), (" GiB", "dim")))
    if host.swap_used is not None and host.swap_used >= SWAP_WORTH_A_WORD:
        yield Field(Place.HOST, 0, ((f"▲ {size(host.swap_used)} in swap", "warning"),))
    if host.load_average is not None:
        yield Field(Place.HOST, 8, (("load ", "dim"), (f"{host.load_average[0]:5.2f}", "value")))
    disk = min(host.disks, key=lambda disk: disk.free, default=None)
    if disk is not None:
        yield _disk(disk, alone=len(host.disks) == 1)


def _disk(disk: Disk, *, alone: bool) -> Field:
    """The one with the least room; a full one says so, and where."""
    where = clean_line(disk.mount, MOUNT)
    if is_full(disk):
        words = f"▲ {where} almost full: {size(disk.free)} free"
        return Field(Place.HOST, 0, ((words, "warning"),))
    where = "models" if alone else where
    free = f"{disk.free / GIB:.0f}"  # moves slowly
    return Field(Place.HOST, 7, ((f"{where} ", "dim"), (free, "value"), (" GiB free", "dim")))


def is_full(disk: Disk) -> bool:
    """Whether there is no room for a model on a file system."""
    return disk.free < FULL_BYTES and disk.free < FULL_SHARE * max(disk.total, 1)


def _of(used: int, whole: int) -> str:
    """``41/128`` in GiB, always as wide; a small machine has a digit after the point."""
    digits = 0 if whole >= 10 * GIB else 1
    end = f"{whole / GIB:.{digits}f}"
    return f"{used / GIB:>{len(end)}.{digits}f}/{end}"


def _power(report: PowerReport, power: PowerConfig) -> Iterator[Field]:
    if not report.gpus:
        return
    draw, psu = report.draw, power.psu_watts
    end = f" / {psu:.0f} W" if psu else " W"
    digits = len(f"{psu:.0f}") if psu else 4
    known, gpus = len(report.draws), len(report.gpus)
    part = f" ({known} of {gpus} GPUs)" if 0 < known < gpus else ""
    shown = UNKNOWN if draw is None else f"{draw:.0f}"
    yield Field(Place.POWER, 2, ((shown.rjust(digits), "value"), (end + part, "dim")))
    at_now = costs(draw, power.price_per_kwh)
    if at_now is not None:
        hour = f"{clean_line(power.currency)}{at_now.hour:.2f}/h"
        yield Field(Place.POWER, 6, ((hour, "value"),))
    joules = report.energy.joules
    if joules is not None:
        words = METRICS_BY_NAME["total_energy_consumption"].show(joules)
        spent = cost(joules, power.price_per_kwh)
        end = f"  {money(spent, power.currency):>6}" if spent is not None else ""
        parts = (("session ", "dim"), (f"{words:>8}{end}", "value"))
        yield Field(Place.POWER, 9, parts)
