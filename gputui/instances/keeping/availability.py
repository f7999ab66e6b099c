"""How much of the time in which an instance was wanted it was ready.

It is wanted from when it was first ready after a start by the user until the user stops it, it is unloaded,
or the machine goes down: nothing is started by itself after a boot. So the first load does not count,
nor does a start that never became ready; a crash does, with the wait, the load after it, and the time
until the user stops or starts what is failed for good. A hung server counts as ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Run:
    """One process of an instance, in Unix time.

    ``again``: started after a crash, not by the user. ``ready_at`` is None where it never was.
    ``ended_at`` is None while it lives, or where nobody could write its end down; ``wanted_until`` where
    it was wanted on after its end.
    """

    started_at: float
    ready_at: float | None = None
    ended_at: float | None = None
    wanted_until: float | None = None
    again: bool = False
    alive: bool = False


def availability(runs: Iterable[Run], now: float, window: float = WINDOW_SECONDS) -> float | None:
    """The share, 0 to 1, of the last ``window`` seconds; None where it was not wanted in them.

    A run that neither lives nor has an end says nothing, and is left out.
    """
    known = sorted(
        (run for run in runs if run.alive or run.ended_at is not None),
        key=lambda run: run.started_at,
    )
    wanted = ready = 0.0
    sessions = list(_sessions(known))
    for number, session in enumerate(sessions):
        following = sessions[number + 1][0].started_at if number + 1 < len(sessions) else now
        began = next((run.ready_at for run in session if run.ready_at is not None), None)
        if began is None:
            continue
        end = _end(session[-1], min(following, now))
        span = max(began, now - window), end
        wanted += max(0.0, span[1] - span[0])
        ready += sum(_ready(run, span, now) for run in session)
    return min(1.0, ready / wanted) if wanted > 0 else None


def _sessions(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The runs from one start by the user to the next."""
    session: list[Run] = []
    for run in runs:
        if session and not run.again:
            yield session
            session = []
        session.append(run)
    if session:
        yield session


def _end(last: Run, latest: float) -> float:
    """Until when a session was wanted, at most ``latest``."""
    if last.alive or last.wanted_until is None:
        return latest
    return min(last.wanted_until, latest)


def _ready(run: Run, span: tuple[float, float], now: float) -> float:
    """For how long of ``span`` a run was ready."""
    if run.ready_at is None:
        return 0.0
    end = now if run.alive or run.ended_at is None else run.ended_at
    return max(0.0, min(end, span[1]) - max(run.ready_at, span[0]))
