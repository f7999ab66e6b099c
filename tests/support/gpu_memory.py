"""The memory of GPUs as a driver would tell it, given back as late as a test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from gputui.identity import GpuMemory
from gputui.processes import ProcessIdentity, matches

GIB = 2**30


class LateMemory:
    """One GPU. A process holds ``held`` bytes from ``load`` on, and until ``free`` after its end.

    ``names_pids``: the driver lists who holds how much; else its list is not known.
    """

    def __init__(self, uuid: str, total: float = 96 * GIB, *, names_pids: bool = True) -> None:
        self.uuid = uuid
        self.total = total
        self.names_pids = names_pids
        self.base = 0.5 * GIB
        self._lock = threading.Lock()
        self._held: dict[ProcessIdentity, float] = {}
        self.readings: list[float] = []  # what was used, reading by reading

    def load(self, process: ProcessIdentity, held: float) -> None:
        with self._lock:
            self._held[process] = held

    def free(self) -> None:
        """What the processes that ended held is free."""
        with self._lock:
            self._held = {one: held for one, held in self._held.items() if matches(one)}

    def read(self) -> Mapping[str, GpuMemory]:
        with self._lock:
            used = self.base + sum(self._held.values())
            listed = {one.pid: held for one, held in self._held.items() if matches(one)}
        self.readings.append(used)
        pids = listed if self.names_pids else None
        return {self.uuid: GpuMemory(time.time(), self.total, used, pids)}
