"""Where samples come from: one protocol, several sources."""

from __future__ import annotations

from typing import Protocol

from gputui.gpu.sample import Snapshot


class Source(Protocol):
    """A source of snapshots. One thread calls it; a call may block, even for good."""

    name: str

    def sample(self) -> Snapshot:
        """All GPUs now. Never raises: what fails is a Problem or a reason in the snapshot.

        The first call opens what the source needs; a source that cannot be opened says why in
        ``Snapshot.problem`` and tries again at a later call, with back-off.
        """
        ...

    def close(self) -> None:
        """Give back what ``sample`` opened. Idempotent."""
        ...
