"""Tokens per joule of one instance: what it generated over what its GPUs used meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from gputui.instances.status import InstanceStatus, State


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Tokens generated per joule this session; None where not known, ``reason`` says why then.

    ``tokens`` and ``joules`` are the sums it is the ratio of.
    """

    tokens_per_joule: float | None
    reason: str = ""
    tokens: int = 0
    joules: float = 0.0


@dataclass(frozen=True, slots=True)
class Used:
    """What an instance's GPUs have used by now in joules, and for how many seconds that is missing."""

    joules: float
    missing_seconds: float


@dataclass(frozen=True, slots=True)
class _Mark:
    tokens: int
    used: Used


class Account:
    """One instance's tokens and joules, from looks at it and samples of its GPUs in turn.

    A server counts the tokens of a request when that request ends, so an amount of tokens is held
    against energy only from one moment at which it was idle to the next one: what was generated in
    between was asked for in between. The idle draw of a moment on both sides is counted in, the idle
    time between two such stretches is not. While a stretch lasts, it counts up to the last request
    that ended. Requests that are broken off count no tokens; a stretch with nothing else is left out,
    and so is one in which energy is missing, the server was restarted, or its GPUs were shared.
    """

    def __init__(self) -> None:
        self._tokens = 0
        self._joules = 0.0
        self._server: tuple[object, ...] | None = None
        self._edge: _Mark | None = None  # the last moment at which it was idle
        self._latest: _Mark | None = None  # the last request that ended since
        self._seen: int | None = None
        self._busy = False  # at a look since the edge
        self._ended = False
        self._reason = ""
        self._shared = ""

    def observed(self, status: InstanceStatus, used: Used | None, shared: str) -> None:
        """A look at the instance: what its GPUs have used (None: not known), and why a part of that
        is not its own ("" where all is)."""
        server = (status.pid, status.started_at, status.gpus)
        metrics = status.metrics
        tokens, busy = metrics.tokens_generated, metrics.requests_processing
        self._shared = shared
        self._reason = _why_not(status, used)
        unsure = shared or self._reason or status.state is not State.READY
        if server != self._server or unsure:
            self._server = server
            self._forget()
        if unsure or used is None or tokens is None or busy is None:
            return
        if self._seen is not None and tokens < self._seen:
            self._forget()
        now = _Mark(tokens, used)
        if busy:
            self._work(now)
        else:
            self._rest(now)
        self._seen = tokens

    def sampled(self, used: Used | None) -> None:
        """A sample of its GPUs: a stretch that is over reaches to the first sample after it."""
        if not self._ended or self._seen is None or used is None:
            return
        end = _Mark(self._seen, used)
        self._tokens, self._joules = self._with(end)
        self._edge, self._latest, self._busy, self._ended = end, None, False, False

    @property
    def efficiency(self) -> Efficiency:
        """The ratio so far."""
        tokens, joules = self._with(self._latest)
        if self._shared:
            return Efficiency(None, self._shared, tokens, joules)
        if not tokens:
            return Efficiency(None, self._reason or "no request has ended in this session")
        return Efficiency(tokens / joules, "", tokens, joules)

    def _work(self, now: _Mark) -> None:
        self._busy, self._ended = True, False
        if self._seen is not None and now.tokens > self._seen:
            if self._edge is None:  # never idle since it is watched: a request's end will do
                self._edge = now
            self._latest = now

    def _rest(self, now: _Mark) -> None:
        if self._edge is not None and (self._busy or now.tokens > self._edge.tokens):
            self._ended = True
        else:
            self._edge, self._busy = now, False

    def _with(self, end: _Mark | None) -> tuple[int, float]:
        """The sums with the stretch up to ``end``, where that counts."""
        if end is None or self._edge is None:
            return self._tokens, self._joules
        tokens = end.tokens - self._edge.tokens
        joules = end.used.joules - self._edge.used.joules
        lacking = end.used.missing_seconds != self._edge.used.missing_seconds
        if tokens <= 0 or joules <= 0 or lacking:
            return self._tokens, self._joules
        return self._tokens + tokens, self._joules + joules

    def _forget(self) -> None:
        """What has been going on until now is held against nothing."""
        self._edge, self._latest, self._seen = None, None, None
        self._busy = self._ended = False


def _why_not(status: InstanceStatus, used: Used | None) -> str:
    """Why nothing is known of what it uses, "" where it is."""
    if status.pinned is False:
        return "it runs on the CPU"
    if not status.gpus:
        return "its GPUs are not known" if status.state is State.READY else "it does not run"
    return "the energy of its GPUs is not known" if used is None else ""
