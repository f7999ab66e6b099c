"""What happens to instances, as events: from one look to the next, whichever session did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gputui.instances.status import HUNG_SECONDS, RUNNING, InstanceStatus, State
from gputui.text import sentences, uptime


class Kind(StrEnum):
    """What can happen to an instance."""

    SEEN = "seen"  # it was there already at the first look
    STARTED = "started"
    READY = "ready"
    CRASHED = "crashed"
    RETRY = "retry"
    GAVE_UP = "gave up"
    UNLOADED = "unloaded"
    STOPPED = "stopped"
    HUNG = "hung"
    MOVES = "moves again"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event. ``words`` say it in a line, without the instance's name; ``status`` is of that moment."""

    kind: Kind
    name: str
    words: str
    status: InstanceStatus


@dataclass(slots=True)
class Narrator:
    """Remembers the last look. ``now`` is Unix time throughout."""

    _last: Mapping[str, InstanceStatus] = field(default_factory=dict)
    _hung: set[str] = field(default_factory=set)

    def take(self, statuses: Sequence[InstanceStatus], now: float) -> list[Happening]:
        """What happened since the last look."""
        found: list[Happening] = []
        for status in statuses:
            before = self._last.get(status.name)
            found += _changes(before, status, now)
            found += self._stalls(status)
        self._last = {status.name: status for status in statuses}
        return found

    def _stalls(self, status: InstanceStatus) -> list[Happening]:
        stalled = status.stalled_seconds is not None and status.stalled_seconds > HUNG_SECONDS
        name = status.name
        if stalled and name not in self._hung:
            self._hung.add(name)
            words = f"hung: busy, and no token for {HUNG_SECONDS / 60:.0f} min"
            hint = f"To restart it: gputui restart {name}"
            return [Happening(Kind.HUNG, name, sentences(words, hint), status)]
        if not stalled and name in self._hung:
            self._hung.remove(name)
            if status.state is State.READY:
                return [Happening(Kind.MOVES, name, "gets on again", status)]
        return []


def _changes(before: InstanceStatus | None, status: InstanceStatus, now: float) -> list[Happening]:
    def happening(kind: Kind, words: str) -> Happening:
        return Happening(kind, status.name, words, status)

    if before is None:
        if status.state in RUNNING and status.owned:
            return [happening(Kind.SEEN, f"{status.state} (pid {status.pid}, {status.url})")]
        return [happening(*_failure(status))] if status.state is State.FAILED else []
    found: list[Happening] = []
    new_process = status.pid is not None and status.pid != before.pid
    if new_process and status.owned:
        found.append(happening(Kind.STARTED, f"started (pid {status.pid}, {status.url})"))
    if (
        status.state is State.READY
        and status.owned
        and (new_process or before.state is not State.READY)
    ):
        began = status.started_at
        words = "ready" if began is None else f"ready after {uptime(now - began)}"
        found.append(happening(Kind.READY, words))
    if status.state is State.FAILED and _crashed_since(before, status):
        found.append(happening(*_failure(status)))
        if status.restart_at is not None:
            left = max(0.0, status.restart_at - now)
            found.append(happening(Kind.RETRY, f"next try in {left:.0f} s"))
    if status.state is State.STOPPED and (before.owned or before.state is State.FAILED):
        kind = Kind.UNLOADED if status.unloaded else Kind.STOPPED
        found.append(happening(kind, status.note if status.unloaded else "stopped"))
    return found


def _crashed_since(before: InstanceStatus, status: InstanceStatus) -> bool:
    return before.state is not State.FAILED or before.failures != status.failures


def _failure(status: InstanceStatus) -> tuple[Kind, str]:
    error = status.last_error or "failed"
    kind = Kind.GAVE_UP if error.startswith("gave up") else Kind.CRASHED
    words = error if kind is Kind.GAVE_UP else f"crashed: {error}"
    return kind, sentences(words, status.hint)
