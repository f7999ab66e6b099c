"""Inactive, pending, firing: what becomes of readings over time. No clock, no thread, no file.

As Prometheus has it (``for``, ``keep_firing_for``), with two differences. Only known time counts: the
time between two known readings that say the same and are at most ``LONGEST_STEP`` apart. Beyond that,
while a reading is not known, ``for`` and ``keep_firing_for`` stand still, and only after
``UNKNOWN_SECONDS`` of that is the alert over. And the same alert notifies at most once in
``NOTIFY_SECONDS``; what begins again before is an event without noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from gputui.alerts.rules import Rule, Severity
from gputui.alerts.views import Scope
from gputui.text import uptime

UNKNOWN_SECONDS = 300.0
"""For how long a reading may be not known before its alert is over; Prometheus looks back as far."""
NOTIFY_SECONDS = 600.0
LONGEST_STEP = 10.0
"""More seconds than this between two known readings are time of which nothing is known."""
LATELY_SECONDS = 300.0
"""So long after it began to fire, an alert is no news any more."""
_ROUNDING = 1e-6


class State(StrEnum):
    """The state of a rule for one subject."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Change(StrEnum):
    """What an event says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Ending(StrEnum):
    """Why an alert is over."""

    OVER = "over"
    UNKNOWN = "no longer known"
    GONE = "gone"
    UNWATCHED = "no longer watched"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a reading is of. ``key`` tells it from all others; ``name`` is for people: ``GPU 1``."""

    scope: Scope
    key: str
    name: str


RIG = Subject(Scope.RIG, "rig", "rig")


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule for one subject now: the value, None where not known, and how it reads in a message."""

    rule: Rule
    subject: Subject
    value: float | None
    words: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that fires. ``began_at`` is Unix time; ``lasted`` seconds until now.

    ``value`` and ``message`` are of the newest reading for which the rule held. ``muted``: a worse rule
    fires for the same subject.
    """

    rule: Rule
    subject: Subject
    began_at: float
    lasted: float
    value: float
    message: str
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A beginning or an end, at Unix time ``at``. ``notify``: it is worth noise, not only a line."""

    at: float
    rule: Rule
    subject: Subject
    change: Change
    message: str
    value: float | None
    notify: bool

    @property
    def severity(self) -> Severity:
        """The rule's."""
        return self.rule.severity


@dataclass(slots=True)
class _Track:
    """One rule for one subject. Times in seconds of known time, but ``unknown`` and ``lasted``."""

    rule: Rule
    subject: Subject
    state: State = State.INACTIVE
    before: bool | None = None  # whether it held when last known; None: not known for too long
    since: float = 0.0  # that was
    held: float = 0.0
    quiet: float = 0.0
    unknown: float = 0.0
    began_at: float = 0.0
    lasted: float = 0.0
    value: float = 0.0
    message: str = ""
    told: bool = False

    @property
    def stirs(self) -> bool:
        """Whether it is pending, or fires for less than ``LATELY_SECONDS``."""
        lately = self.state is State.FIRING and self.lasted < LATELY_SECONDS
        return lately or self.state is State.PENDING

    def reset(self) -> None:
        """Nothing is on."""
        self.state = State.INACTIVE
        self.held = self.quiet = 0.0


class Engine:
    """The states of all rules for all subjects, of which one clock is the time. One thread at a time.

    ``longest_step``, in seconds, may change with the pace of the evaluations.
    """

    def __init__(self, longest_step: float = LONGEST_STEP) -> None:
        self.longest_step = longest_step
        self._tracks: dict[tuple[str, str], _Track] = {}
        self._told_at: dict[tuple[str, str], float] = {}
        self._now: float | None = None
        self._elapsed = 0.0

    def evaluate(self, now: float, judged: Iterable[Judged]) -> list[Event]:
        """Take the readings of now, in Unix time; what begins and ends by them.

        A rule and subject that are not among ``judged`` are gone. A clock that went back costs the
        time until it moves on, and nothing else.
        """
        passed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now
        self._elapsed += passed
        events: list[Event] = []
        seen = set()
        for one in judged:
            key = one.rule.name, one.subject.key
            seen.add(key)
            track = self._tracks.setdefault(key, _Track(one.rule, one.subject))
            track.rule, track.subject = one.rule, one.subject
            events += self._advance(track, one, passed)
        for key in [key for key in self._tracks if key not in seen]:
            track = self._tracks.pop(key)
            if track.state is State.FIRING:
                events.append(self._resolve(track, Ending.GONE))
        self._forget_told()
        return events

    def end(self, ending: Ending) -> list[Event]:
        """Everything that fires is over; nothing is known any more."""
        tracks, self._tracks = self._tracks, {}
        firing = [track for track in tracks.values() if track.state is State.FIRING]
        return [self._resolve(track, ending) for track in firing]

    @property
    def now(self) -> float | None:
        """The time of the newest evaluation, None before the first."""
        return self._now

    def state(self, rule: str, subject_key: str) -> State:
        """The state of a rule for a subject."""
        track = self._tracks.get((rule, subject_key))
        return track.state if track else State.INACTIVE

    @property
    def stirring(self) -> bool:
        """Whether any rule is pending, or has begun to fire lately, for any subject: what has fired for long,
        as of a card in a narrow slot, is how this rig is."""
        return any(track.stirs for track in self._tracks.values())

    @property
    def firing(self) -> tuple[Alert, ...]:
        """What fires now, in no order."""
        return tuple(
            Alert(
                track.rule,
                track.subject,
                track.began_at,
                track.lasted,
                track.value,
                track.message,
                self._muted(track),
            )
            for track in self._tracks.values()
            if track.state is State.FIRING
        )

    def _advance(self, track: _Track, one: Judged, passed: float) -> list[Event]:
        holds = None if one.value is None else track.rule.holds(one.value)
        track.since += passed
        if track.state is State.FIRING:
            track.lasted += passed
        if holds is None:
            return self._not_known(track, passed)
        near = track.since <= self.longest_step + _ROUNDING
        known = track.since if near and track.before is holds else 0.0
        track.before, track.since, track.unknown = holds, 0.0, 0.0
        return self._holds(track, one, known) if holds else self._holds_not(track, known)

    def _holds(self, track: _Track, one: Judged, known: float) -> list[Event]:
        track.value = one.value or 0.0
        track.quiet = 0.0
        track.held += known
        ripe = track.held >= track.rule.for_seconds - _ROUNDING
        if ripe or track.state is State.FIRING:
            track.message = track.rule.message(track.subject.name, one.words())
        if track.state is State.FIRING:
            return []
        track.state = State.PENDING
        return [self._fire(track)] if ripe else []

    def _holds_not(self, track: _Track, known: float) -> list[Event]:
        if track.state is not State.FIRING:
            track.reset()
            return []
        track.quiet += known
        if track.quiet < track.rule.keep_firing_seconds - _ROUNDING:
            return []
        return [self._resolve(track, Ending.OVER)]

    def _not_known(self, track: _Track, passed: float) -> list[Event]:
        track.unknown += passed
        if track.unknown < UNKNOWN_SECONDS:
            return []
        track.before = None
        if track.state is State.FIRING:
            return [self._resolve(track, Ending.UNKNOWN)]
        track.reset()
        return []

    def _fire(self, track: _Track) -> Event:
        key = track.rule.name, track.subject.key
        last = self._told_at.get(key)
        track.told = not self._muted(track) and (
            last is None or self._elapsed - last >= NOTIFY_SECONDS
        )
        if track.told:
            self._told_at[key] = self._elapsed
        track.state, track.began_at, track.lasted = State.FIRING, self._now or 0.0, 0.0
        return self._event(track, Change.FIRING, track.message)

    def _resolve(self, track: _Track, ending: Ending) -> Event:
        track.reset()
        how = f"{ending} after {uptime(track.lasted)}"
        return self._event(track, Change.RESOLVED, f"{track.message}: {how}")

    def _event(self, track: _Track, change: Change, message: str) -> Event:
        at = self._now or 0.0
        return Event(at, track.rule, track.subject, change, message, track.value, track.told)

    def _muted(self, track: _Track) -> bool:
        return self.state(track.rule.unless, track.subject.key) is State.FIRING

    def _forget_told(self) -> None:
        """What may be told again anyway takes no memory."""
        due = [k for k, at in self._told_at.items() if self._elapsed - at >= NOTIFY_SECONDS]
        for key in due:
            del self._told_at[key]
