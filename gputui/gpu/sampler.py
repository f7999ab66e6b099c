"""The one thread that reads GPUs, and the watchdog that says when it waits for a driver in vain."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from gputui.gpu.history import History
from gputui.gpu.sample import Problem, Snapshot
from gputui.gpu.source import Source
from gputui.host import HostSample
from gputui.text import clean_line

_REPLAY_SECONDS = 0.25
"""A source with a time of its own is looked at so often, however long the interval."""

_HUNG_HINT = "A call hangs in the driver. See the kernel log (dmesg | grep -i -e nvrm -e xid)."


class Sampler:
    """Samples ``source`` every ``interval`` seconds and tells ``listener``, on threads of its own.

    ``listener`` must return soon. It gets every sample in order, after the sample is in ``history``.
    A source that is not live gives all that is due, and puts nothing into the history that it gives
    under a Problem: that was read before. While a sample is awaited for longer than ``patience``
    seconds (three intervals, at least 3 s), the listener gets the latest one about once a second, with
    a Problem that says since when. The threads are daemons and ``stop`` does not wait for them: a
    driver that never answers holds neither it nor the exit.
    ``host`` gives the machine around the GPUs, for a source that says nothing of it; it must not block.
    Whatever fails on the way of a sample is told as a Problem, and the next sample comes all the same.
    ``keep_history`` is False where nobody looks back: then it takes no memory.
    """

    def __init__(
        self,
        source: Source,
        interval: float,
        listener: Callable[[Snapshot], None],
        *,
        patience: float | None = None,
        keep_history: bool = True,
        host: Callable[[], HostSample | None] | None = None,
    ) -> None:
        self.history = History() if keep_history else History(ticks=1, buckets=1)
        self._source = source
        self._interval = interval if source.live else min(interval, _REPLAY_SECONDS)
        self._listener = listener
        self._host = host
        self._patience = max(3 * interval, 3.0) if patience is None else patience
        self._latest: Snapshot | None = None
        self._waiting_since: float | None = None
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._telling = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)
        self._watchdog = threading.Thread(target=self._watch, name="gpu-watchdog", daemon=True)

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot, with a Problem while the driver does not answer; None before any."""
        return self._latest

    @property
    def interval(self) -> float:
        """Seconds between two samples now."""
        return self._interval

    def start(self) -> None:
        """Begin, with a first sample at once. Once only."""
        self._thread.start()
        self._watchdog.start()

    def set_interval(self, interval: float) -> None:
        """One sample every ``interval`` seconds from now on, from any thread; a trace keeps its own time.

        A shorter one brings a sample at once, so that nobody waits for what was due much later; a longer
        one holds from the next sample on.
        """
        if not self._source.live or interval == self._interval:
            return
        hurries, self._interval = interval < self._interval, interval
        if hurries:
            self._hurry.set()

    def stop(self, wait: float = 0.0) -> None:
        """Sample no more; the sampler thread closes the source. Idempotent.

        Waits for that at most ``wait`` seconds, by default not at all.
        """
        self._stopped.set()
        self._hurry.set()
        if wait and self._thread.ident is not None:
            self._thread.join(wait)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            while self._take() and not self._source.live and not self._stopped.is_set():
                pass  # more may be due
            interval = self._interval
            late = time.monotonic() - due
            missed = max(0, int(late / interval))
            if missed and self._source.live:
                self.history.skip(missed)
            due += (missed + 1) * interval
            if self._hurry.wait(max(0.0, due - time.monotonic())):
                self._hurry.clear()
                due = time.monotonic()
        self._source.close()

    def _take(self) -> bool:
        """Publish what the source gives now; whether that was anything."""
        self._waiting_since = time.monotonic()
        what = "reading the GPUs failed"
        try:
            batch = self._source.samples()
            what = "passing a sample on failed"
            self._publish(batch)
        except Exception as error:  # noqa: BLE001  the thread's boundary: told, and tried again
            words = clean_line(f"{what}: {type(error).__name__}: {error}")
            self._fail(Problem(words, "Please report this."))
            return False
        return bool(batch)

    def _publish(self, batch: Sequence[Snapshot]) -> None:
        with self._telling:
            self._waiting_since = None
            for snapshot in batch:
                if snapshot.host is None:
                    snapshot = replace(snapshot, host=self._around())
                if self._source.live or snapshot.problem is None:
                    self.history.append(snapshot, self._interval if self._source.live else None)
                self._tell(snapshot)

    def _around(self) -> HostSample | None:
        """The machine, None where it cannot be read: no reason to miss a GPU."""
        try:
            return self._host() if self._host else None
        except Exception:  # noqa: BLE001  a machine that cannot be read is not known
            return None

    def _fail(self, problem: Problem) -> None:
        with self._telling, contextlib.suppress(Exception):
            self._waiting_since = None
            self.history.skip(1)
            self._tell(self._stale(problem))

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._patience / 2)):
            with self._telling:
                since = self._waiting_since
                waited = 0.0 if since is None else time.monotonic() - since
                if waited > self._patience:
                    message = f"the driver has not answered for {waited:.0f} s"
                    self._tell(self._stale(Problem(message, _HUNG_HINT)))

    def _tell(self, snapshot: Snapshot) -> None:
        self._latest = snapshot
        if not self._stopped.is_set():
            self._listener(snapshot)

    def _stale(self, problem: Problem) -> Snapshot:
        """The latest snapshot, as old as it is, under a Problem."""
        latest = self._latest or Snapshot(source=self._source.name, taken_at=time.time())
        return replace(latest, problem=problem)
