"""Whether a running server got what it was configured for, found out once for each process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gputui.identity import GpuMemory, MemoryReader
from gputui.instances.records import Record
from gputui.instances.status import InstanceStatus, State
from gputui.llama.fitted import lowered_context, lowered_layers, whole_context
from gputui.llama.probe import Reading

_HEAD = 256 << 10
"""Bytes of a log in which its load is told."""
_SETTLED_SECONDS = 3.0
"""Seconds after a load that a list of processes needs to show all that it took."""


@dataclass(slots=True)
class _Known:
    process: tuple[int, int]
    context: str
    layers: str
    done: bool


class Fittings:
    """What ``--fit`` lowered of each instance. Its methods block: for a thread."""

    def __init__(self, memory: MemoryReader) -> None:
        self._memory = memory
        self._known: dict[str, _Known] = {}

    def needs(self, record: Record, status: InstanceStatus, reading: Reading) -> bool:
        """Whether there is anything to find out yet; cheap."""
        if status.state is not State.READY or reading.props is None or reading.meta is None:
            return False
        known = self._known.get(record.name)
        return known is None or known.process != _process(record) or not known.done

    def find(self, record: Record, reading: Reading) -> None:
        """Find out what can be found out now."""
        props, meta = reading.props, reading.meta
        if props is None or meta is None:
            return
        context = lowered_context(record.argv, record.settings, props, meta)
        held, settled = self._held(record)
        layers = lowered_layers(record.argv, record.settings, meta, _head(record), held)
        self._known[record.name] = _Known(_process(record), context, layers, settled)

    def told(self, record: Record, status: InstanceStatus, reading: Reading) -> InstanceStatus:
        """The status with the context that it has, and what was lowered."""
        if reading.props is not None:
            status = replace(status, context=whole_context(record.argv, reading.props))
        known = self._known.get(record.name)
        if known is None or known.process != _process(record):
            return status
        return replace(status, lowered=", ".join(filter(None, (known.context, known.layers))))

    def _held(self, record: Record) -> tuple[float | None, bool]:
        """The bytes that it holds on its GPUs, None where not known, and whether that is all of them."""
        if not record.gpus or record.settings.get("n_gpu_layers") not in (None, "auto"):
            return None, True
        memory = self._memory()
        if not memory:
            return None, False
        late = (record.ready_at or time.time()) + _SETTLED_SECONDS
        if any(memory[uuid].taken_at < late for uuid in record.gpus if uuid in memory):
            return None, False
        return _sum(record, memory), True


def _sum(record: Record, memory: Mapping[str, GpuMemory]) -> float | None:
    total, seen = 0.0, False
    for uuid in record.gpus:
        gpu = memory.get(uuid)
        if gpu is None or gpu.by_pid is None or gpu.shared:
            return None
        if record.pid in gpu.by_pid:
            held = gpu.by_pid[record.pid]
            if held is None:
                return None
            total, seen = total + held, True
    return total if seen else None  # seen on none of them: its pid may be another one there


def _process(record: Record) -> tuple[int, int]:
    return record.pid, record.start_ticks


def _head(record: Record) -> bytes:
    try:
        with Path(record.log).open("rb") as log:
            return log.read(_HEAD)
    except OSError:
        return b""
