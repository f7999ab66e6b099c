"""The source that plays a trace back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gputui.errors import GputuiError
from gputui.gpu.sample import RECORDED, Problem, Snapshot
from gputui.gpu.trace_reader import read_trace

BATCH = 256
"""Snapshots at one call at most: what a call holds in memory is bounded, whatever the speed."""


@dataclass(frozen=True, slots=True)
class EndOfRecording(Problem):
    """No more snapshots come: the trace is over, or damaged from here on."""


END_OF_RECORDING = EndOfRecording("end of the recording", "The last sample stays.")
"""Once, on the last snapshot again, when that has stood for as long as others did."""


class RecordedSource:
    """Plays the trace at ``path``, ``speed`` times as fast as it was recorded, reading it as it goes.

    After the last snapshot comes that one again under an EndOfRecording. A wall clock can be set back
    while recording; playing goes forward only. ``clock`` gives seconds. Raises GputuiError for what
    is no trace, or holds no snapshot.
    """

    name = RECORDED
    live = False

    def __init__(
        self, path: Path, *, speed: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._snapshots: Iterator[Snapshot] = read_trace(path, self.name)
        self._speed = speed
        self._clock = clock
        self._began: float | None = None
        self._end: EndOfRecording | None = None
        self._next: Snapshot | None = next(self._snapshots)
        self._last = self._first = self._next
        self._offset = 0.0
        self._count = 1

    def samples(self) -> Sequence[Snapshot]:
        """What is due by the clock and was not given before, the first snapshot at the first call."""
        now = self._clock()
        if self._began is None:
            self._began = now
        played = (now - self._began) * self._speed
        batch: list[Snapshot] = []
        while self._next is not None and self._offset <= played and len(batch) < BATCH:
            batch.append(self._next)
            self._advance(self._next)
        if not batch and self._end is not None and played >= self._offset + self._pause():
            batch.append(replace(self._last, problem=self._end))
            self._end = None
        return batch

    def close(self) -> None:
        """Close the file."""
        self._next = self._end = None
        self._snapshots = iter(())

    def _advance(self, given: Snapshot) -> None:
        self._last = given
        try:
            self._next = next(self._snapshots, None)
        except GputuiError as error:
            self._next = None
            self._end = EndOfRecording(error.message, error.hint)
            return
        if self._next is None:
            self._end = END_OF_RECORDING
            return
        self._count += 1
        self._offset = max(self._offset, self._next.taken_at - self._first.taken_at)

    def _pause(self) -> float:
        """How long the last snapshot stands: as long as one does on average."""
        return self._offset / max(1, self._count - 1)
