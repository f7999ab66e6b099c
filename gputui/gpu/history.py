"""What the GPUs did lately: one ring buffer a GPU and metric."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from gputui.gpu.sample import Snapshot

_UNKNOWN = math.nan


class _Ring:
    """Values by tick. One slot more than is ever read: the slot being written is in no window."""

    __slots__ = ("known_at", "values")

    def __init__(self, slots: int) -> None:
        self.values = array("d", [_UNKNOWN]) * slots
        self.known_at = 0

    def put(self, tick: int, value: float | None) -> None:
        if value is None:
            self.values[tick % len(self.values)] = _UNKNOWN
        else:
            self.values[tick % len(self.values)] = value
            self.known_at = tick


class History:
    """The last ``capacity`` samples of every GPU and metric, by GPU uuid.

    One thread appends, any thread reads. A GPU or metric that was not known for ``capacity`` ticks
    takes no memory; one that comes back finds its gap unknown.
    """

    def __init__(self, capacity: int = 3600) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self._rings: dict[tuple[str, str], _Ring] = {}
        self._ticks = 0

    @property
    def ticks(self) -> int:
        """How many samples were taken or missed so far; grows by more than one after a gap."""
        return self._ticks

    def append(self, snapshot: Snapshot) -> None:
        """Add one tick: what ``snapshot`` knows; every other series is unknown at it."""
        self._append({gpu.identity.uuid: gpu.values for gpu in snapshot.gpus})

    def skip(self, ticks: int) -> None:
        """Add ``ticks`` at which nothing is known, so that a gap in time is a gap in a graph."""
        self._ticks += max(0, ticks - self.capacity)
        for _ in range(min(ticks, self.capacity)):
            self._append({})

    def window(self, uuid: str, metric: str, count: int) -> list[float | None]:
        """The last ``count`` values in base units, newest last; None where not known or too long ago."""
        ring = self._rings.get((uuid, metric))
        if ring is None:
            return [None] * count
        values, end = ring.values, self._ticks
        kept = min(count, end, self.capacity)
        slots = len(values)
        known = [values[tick % slots] for tick in range(end - kept, end)]
        return [None] * (count - kept) + [None if math.isnan(value) else value for value in known]

    def _append(self, known: Mapping[str, Mapping[str, float]]) -> None:
        tick = self._ticks
        for uuid, values in known.items():
            for metric in values:
                if (uuid, metric) not in self._rings:
                    self._rings[uuid, metric] = _Ring(self.capacity + 1)
        forgotten = []
        for (uuid, metric), ring in self._rings.items():
            ring.put(tick, known.get(uuid, {}).get(metric))
            if tick - ring.known_at >= self.capacity:
                forgotten.append((uuid, metric))
        for key in forgotten:
            del self._rings[key]
        self._ticks = tick + 1
