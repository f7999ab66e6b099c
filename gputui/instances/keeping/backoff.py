"""When a crashed instance is started again, and when no more.

Exponential, as systemd's RestartSteps and Kubernetes have it, without jitter: one machine has one
server of a name, so there is no herd to spread, and every session counts down to the same second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.instances.records import Record


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a crash, and when to stop trying. All in seconds but the counts.

    The first wait is ``first``; each further crash in a row doubles it, up to ``longest``. A row ends once
    the server has been ready for ``good``. After ``most`` crashes within ``window``, or ``most`` loads in a
    row that never became ready (one load of a large model can take longer than the window), nothing
    more is tried. ``refused`` is the wait after a try that could not begin.
    """

    first: float = 2.0
    longest: float = 60.0
    good: float = 600.0
    most: int = 5
    window: float = 600.0
    refused: float = 15.0

    def wait(self, streak: int) -> float:
        """Seconds until the next try after ``streak`` crashes in a row, at least one."""
        doublings = min(max(streak, 1) - 1, 32)  # far beyond any cap, and no overflow
        return float(min(self.longest, self.first * 2**doublings))

    def gives_up(self, failures: Sequence[float], failed_loads: int) -> bool:
        """Whether crashes at these Unix times, the newest last, are enough."""
        recent = [at for at in failures if failures[-1] - at <= self.window]
        return len(recent) >= self.most or failed_loads >= self.most


DEFAULT = Backoff()
KEPT_FAILURES = 100
"""Times of crashes that a record keeps, the newest."""


@dataclass(frozen=True, slots=True)
class Crash:
    """What a crash makes of a record: its counters, and when to try again (None: not)."""

    failures: tuple[float, ...]
    streak: int
    failed_loads: int
    restart_at: float | None
    gave_up: bool = False


def judge(record: Record, at: float, *, again: bool, backoff: Backoff = DEFAULT) -> Crash:
    """The crash of a recorded process at ``at`` in Unix time; ``again``: another try is wanted."""
    failures = (*record.failures, at)[-KEPT_FAILURES:]
    was_ready = record.ready_at is not None
    was_good = record.ready_at is not None and at - record.ready_at >= backoff.good
    streak = 1 if was_good else record.streak + 1
    failed_loads = 0 if was_ready else record.failed_loads + 1
    if not again:
        return Crash(failures, streak, failed_loads, None)
    if backoff.gives_up(failures, failed_loads):
        return Crash(failures, streak, failed_loads, None, gave_up=True)
    return Crash(failures, streak, failed_loads, at + backoff.wait(streak))
