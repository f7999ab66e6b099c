"""Who started the processes on the GPUs, and what they started."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gputui import processes
from gputui.gpu.host_processes import HostProcesses, LocalProcess


class Family:
    """The ancestors and descendants of processes; one thread at a time uses it.

    Reads a file for each process of the machine: some milliseconds a thousand.
    """

    def __init__(self) -> None:
        self._host = HostProcesses()

    def look(self, pids: Collection[int]) -> Mapping[int, LocalProcess]:
        """Those of ``pids`` that are here, all their ancestors and all their descendants, by pid."""
        return self._host.look(relatives(pids, _parents()))


def relatives(pids: Collection[int], parents: Mapping[int, int]) -> frozenset[int]:
    """``pids``, their ancestors and their descendants, as ``parents`` (by pid) tells."""
    related = set(pids)
    for pid in pids:
        parent = parents.get(pid, 0)
        while parent in parents and parent not in related:
            related.add(parent)
            parent = parents[parent]
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    waiting, met = list(pids), set(pids)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in met:
                met.add(child)
                waiting.append(child)
    return frozenset(related | met)


def _parents() -> Mapping[int, int]:
    import psutil

    found = ((pid, processes.look(pid)) for pid in psutil.pids())
    return {pid: stat.parent for pid, stat in found if stat is not None}
