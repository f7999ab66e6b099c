"""Where samples come from: one protocol, several sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gputui.gpu.sample import Snapshot


class Source(Protocol):
    """A source of snapshots. One thread calls it; a call may block, even for good.

    ``live``: each snapshot is of the moment in which it was asked for, so that a tick at which nobody
    asked is a gap. Else (a trace) the time is the snapshots' own.
    """

    name: str
    live: bool

    def samples(self) -> Sequence[Snapshot]:
        """All snapshots since the last call, oldest first. Never raises: what fails is a Problem or
        a reason in a snapshot.

        A live source gives exactly one: all GPUs now. Another gives what is due by now, in bounded
        batches, and () where nothing is. The first call opens what the source needs; a source that
        cannot be opened says why in ``Snapshot.problem`` and tries again at a later call, with
        back-off.
        """
        ...

    def close(self) -> None:
        """Give back what ``samples`` opened. Idempotent."""
        ...
