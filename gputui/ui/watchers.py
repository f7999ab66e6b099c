"""What watches all that is seen, and may fail without stopping anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gputui.errors import GputuiError
from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceStatus
from gputui.text import clean_line
from gputui.ui.services import Watcher


class Watchers:
    """All watchers as one. One that fails keeps nothing from the others; ``tell`` is told of it once."""

    def __init__(self, watchers: Sequence[Watcher], tell: Callable[[GputuiError], object]) -> None:
        self._watchers = watchers
        self._tell = tell
        self._told: set[str] = set()

    def sampled(self, snapshot: Snapshot) -> None:
        """See Watcher; on the sampler's thread."""
        for watcher in self._watchers:
            try:
                watcher.sampled(snapshot)
            except Exception as error:  # noqa: BLE001  a watcher's boundary: told, and asked again
                self._failed(watcher, error)

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        """See Watcher; on the event loop's thread."""
        for watcher in self._watchers:
            try:
                watcher.observed(statuses)
            except Exception as error:  # noqa: BLE001  a watcher's boundary: told, and asked again
                self._failed(watcher, error)

    def _failed(self, watcher: Watcher, error: Exception) -> None:
        who = type(watcher).__name__
        if who not in self._told:
            self._told.add(who)
            what = clean_line(f"{who} failed: {type(error).__name__}: {error}")
            self._tell(GputuiError(what, "The rest goes on. Please report this."))
