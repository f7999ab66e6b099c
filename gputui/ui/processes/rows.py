"""The rows of the table of processes: put together, sorted, filtered. No widget, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gputui.gpu.family import relatives
from gputui.gpu.host_processes import LocalProcess
from gputui.gpu.sample import GpuProcess, HostProcess, ProcessType, Snapshot
from gputui.identity import GpuIdentity
from gputui.text import UNKNOWN, number, size

FOREIGN = "not visible here: it ended, or is another container's"
NOT_RECORDED = "not in the recording"

SortKey = float | str | None
"""What a column sorts by; None is not known."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process on one GPU, or in the tree one without a GPU (``gpu`` and ``type`` are then None).

    ``host`` is None for a foreign pid. ``instance`` is the name where it is ours, else "". ``branch``
    is what stands before the command in the tree.
    """

    pid: int
    name: str
    gpu: GpuIdentity | None = None
    type: ProcessType | None = None
    gpu_memory: int | None = None
    utilization_sm: float | None = None
    host: HostProcess | None = None
    instance: str = ""
    instead: str = FOREIGN
    branch: str = ""

    @property
    def key(self) -> tuple[int, str]:
        """What the cursor stays on."""
        return self.pid, self.gpu.uuid if self.gpu else ""

    @property
    def node(self) -> int:
        """Its place in the tree: the pid here; a foreign pid is no pid here."""
        return self.pid if self.host else -self.pid

    @property
    def command(self) -> str:
        """The command line, else the name, else why there is neither."""
        return (self.host.command if self.host else "") or self.name or self.instead


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Those of the highest ``rank`` go first when the terminal is narrow.

    ``falling``: the largest comes first when the column is chosen. ``text`` gets the time too, in Unix
    seconds. A ``width`` of 0 takes what the others leave.
    """

    title: str
    width: int
    rank: int
    right: bool
    text: Callable[[ProcessRow, float], str]
    key: Callable[[ProcessRow], SortKey]
    falling: bool = False


def age(seconds: float | None) -> str:
    """How long ago, coarsely, so that the screen stays calm: ``45 s``, ``12 min``, ``3 h 05``, ``2 d 04``."""
    if seconds is None:
        return UNKNOWN
    total = max(0, int(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min"
    hours, minutes = divmod(total // 60, 60)
    return f"{hours} h {minutes:02}" if hours < 48 else f"{hours // 24} d {hours % 24:02} h"


def _user(row: ProcessRow) -> str | None:
    return (row.host.user or None) if row.host else None


def _cpu(row: ProcessRow) -> float | None:
    return row.host.cpu_percent if row.host else None


def _host_memory(row: ProcessRow) -> float | None:
    return row.host.memory if row.host else None


def _started_at(row: ProcessRow) -> float | None:
    return row.host.started_at if row.host else None


def _age(row: ProcessRow, now: float) -> str:
    started = _started_at(row)
    return age(None if started is None else now - started)


def _born(row: ProcessRow) -> float | None:
    """Larger is older, as the column shows it."""
    started = _started_at(row)
    return None if started is None else -started


COLUMNS: tuple[Column, ...] = (
    Column("GPU", 3, 0, False, lambda row, _: f"■{row.gpu.index}" if row.gpu else "",
           lambda row: row.gpu.index if row.gpu else None),
    Column("PID", 7, 0, True, lambda row, _: str(row.pid), lambda row: row.pid),
    Column("user", 9, 4, False, lambda row, _: _user(row) or UNKNOWN, _user),
    Column("type", 4, 8, False, lambda row, _: str(row.type or ""),
           lambda row: row.type and str(row.type)),
    Column("GPU memory", 10, 0, True,
           lambda row, _: size(row.gpu_memory) if row.gpu else "",
           lambda row: row.gpu_memory, falling=True),
    Column("SM %", 4, 1, True,
           lambda row, _: number(row.utilization_sm) if row.gpu else "",
           lambda row: row.utilization_sm, falling=True),
    Column("CPU %", 5, 2, True, lambda row, _: number(_cpu(row)), _cpu, falling=True),
    Column("host memory", 11, 5, True, lambda row, _: size(_host_memory(row)), _host_memory,
           falling=True),
    Column("age", 9, 6, True, _age, _born, falling=True),
    Column("instance", 14, 3, False, lambda row, _: row.instance, lambda row: row.instance or None),
    Column("command", 0, 0, False, lambda row, _: row.command,
           lambda row: row.command if row.host else None),
)  # fmt: skip

COLUMNS_BY_TITLE: Mapping[str, Column] = {column.title: column for column in COLUMNS}
GAP = 2
COMMAND_LEAST = 20


def fitting_columns(width: int, without: Collection[str] = ()) -> tuple[Column, ...]:
    """The columns shown at that width, in the table's order; the least important go first."""
    chosen = [column for column in COLUMNS if column.title not in without]
    while sum(c.width + GAP for c in chosen) - GAP + COMMAND_LEAST > width:
        last = max(chosen, key=lambda column: column.rank)
        if last.rank == 0:
            break
        chosen.remove(last)
    return tuple(chosen)


def rows_of(
    snapshot: Snapshot, instances: Mapping[int, str], uuid: str | None = None
) -> tuple[ProcessRow, ...]:
    """All processes of ``snapshot``, or those on the GPU with ``uuid``; the largest first on each GPU.

    ``instances`` gives the name of ours by pid; a foreign process is none, whatever its pid is here.
    """
    instead = FOREIGN if snapshot.live else NOT_RECORDED
    names = instances if snapshot.live else {}
    rows = [
        _row(process, gpu.identity, names, instead)
        for gpu in snapshot.gpus
        if uuid in (None, gpu.identity.uuid)
        for process in sorted(gpu.processes, key=lambda p: -(p.used_gpu_memory or 0))
    ]
    return tuple(rows)


def not_listed(snapshot: Snapshot, uuid: str | None = None) -> str:
    """Of which GPUs the processes are not known, and why; "" where all are."""
    why: dict[str, list[str]] = {}
    for gpu in snapshot.gpus:
        if gpu.processes_problem is not None and uuid in (None, gpu.identity.uuid):
            why.setdefault(gpu.processes_problem, []).append(str(gpu.identity.index))
    said = "; ".join(
        f"processes on GPU {', '.join(numbers)} are not known: {reason}"
        for reason, numbers in why.items()
    )
    return said[:1].upper() + said[1:]


def _row(
    process: GpuProcess, gpu: GpuIdentity, instances: Mapping[int, str], instead: str
) -> ProcessRow:
    return ProcessRow(
        pid=process.pid,
        name=process.name,
        gpu=gpu,
        type=process.type,
        gpu_memory=process.used_gpu_memory,
        utilization_sm=process.utilization_sm,
        host=process.host,
        instance=instances.get(process.pid, "") if process.host else "",
        instead=instead,
    )


def sort_rows(rows: Iterable[ProcessRow], column: Column, falling: bool) -> list[ProcessRow]:
    """Sorted by ``column``; equal ones stay as they stood, and what is not known comes last."""
    known: list[tuple[float | str, ProcessRow]] = []
    unknown: list[ProcessRow] = []
    for row in rows:
        key = column.key(row)
        if key is None:
            unknown.append(row)
        else:
            known.append((key.casefold() if isinstance(key, str) else key, row))
    known.sort(key=lambda pair: pair[0], reverse=falling)
    return [row for _, row in known] + unknown


def shows(row: ProcessRow, words: str, now: float) -> bool:
    """Whether each of ``words`` stands somewhere in the row, in any column, shown or not."""
    text = " ".join(column.text(row, now) for column in COLUMNS).casefold()
    return all(word in text for word in words.casefold().split())


def with_relatives(
    rows: Sequence[ProcessRow], family: Mapping[int, LocalProcess], instances: Mapping[int, str]
) -> tuple[ProcessRow, ...]:
    """``rows`` and, after them, each of their relatives that is on no GPU."""
    on_gpu = {row.pid for row in rows if row.host}
    parents = {pid: process.parent for pid, process in family.items()}
    others = sorted(relatives(on_gpu, parents) - on_gpu)
    return (
        *rows,
        *(
            ProcessRow(pid, one.name, host=one.host, instance=instances.get(pid, ""))
            for pid in others
            if (one := family.get(pid)) is not None
        ),
    )
