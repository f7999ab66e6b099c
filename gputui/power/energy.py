"""The energy of one GPU over a session: by its own counter where it has one, else from its draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """Where an amount of energy comes from."""

    MEASURED = "measured by the GPU"
    INTEGRATED = "integrated from the draw"
    MIXED = "partly measured by the GPU, partly integrated from the draw"


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy since the session began. ``joules`` and ``method`` are None while nothing is known.

    ``seconds`` is the time that ``joules`` are of, ``missing_seconds`` the time in which nothing was
    known: it is in no figure.
    """

    joules: float | None = None
    method: Method | None = None
    seconds: float = 0.0
    missing_seconds: float = 0.0

    @property
    def mean_watts(self) -> float | None:
        """The mean draw over the time that is known; None where there is none."""
        return self.joules / self.seconds if self.joules is not None and self.seconds > 0 else None


def total(parts: tuple[Energy, ...]) -> Energy:
    """The sum of several GPUs' energy: as long as the longest, lacking what any of them lacks."""
    known = [part for part in parts if part.joules is not None]
    methods = {part.method for part in known if part.method is not None}
    method = next(iter(methods)) if len(methods) == 1 else Method.MIXED if methods else None
    return Energy(
        sum(part.joules or 0.0 for part in known) if known else None,
        method,
        max((part.seconds for part in known), default=0.0),
        max((part.missing_seconds for part in parts), default=0.0),
    )


_SLACK_SECONDS = 5.0
_MOST_WATTS = 2000.0
"""Above what any GPU draws, where it does not say its own highest limit."""


class EnergyMeter:
    """Adds one GPU's energy up, sample by sample; times are seconds of any one clock.

    Between two readings of ``total_energy_consumption`` the difference counts: the GPU measures that
    itself, however long the time between. Until the next reading, and where there is no such counter,
    the draw is integrated (trapezoids between neighbouring samples, nvidia-smi's ``power.draw``); the
    counter's next reading takes the place of that estimate. A counter that went back (the driver was
    loaded again), or grew by more than the GPU can draw, is not believed: the estimate stands, and the
    counter begins anew. One that stands still says nothing, since no GPU draws nothing. Neither an
    unknown draw nor more than ``longest_gap`` seconds (they may change) between two samples is bridged:
    that time is missing.
    """

    def __init__(self, longest_gap: float) -> None:
        self.longest_gap = longest_gap
        self._last: tuple[float, float | None] | None = None
        self._counter: float | None = None
        self._measured = _Part()
        self._integrated = _Part()
        self._pending = _Part()  # since the counter was read last
        self._missing = 0.0
        self._pending_missing = 0.0

    @property
    def energy(self) -> Energy:
        """All energy so far."""
        seconds = self._measured.seconds + self._integrated.seconds + self._pending.seconds
        missing = self._missing + self._pending_missing
        if seconds <= 0:
            return Energy(missing_seconds=missing)
        joules = self._measured.joules + self._integrated.joules + self._pending.joules
        return Energy(joules, self._method, seconds, missing)

    @property
    def _method(self) -> Method:
        """The tail after the counter's newest reading makes no difference yet."""
        if self._measured.seconds <= 0:
            return Method.INTEGRATED
        estimated = self._integrated.seconds > 0 or self._pending.seconds > self.longest_gap
        return Method.MIXED if estimated else Method.MEASURED

    def add(
        self, at: float, draw: float | None, counter: float | None, most: float | None = None
    ) -> None:
        """One sample: draw in watts, the GPU's counter in joules, the highest draw it can have.

        A sample of the same moment as the last one is the last one again, and adds nothing. What is no
        finite number is not known.
        """
        draw, counter = _finite(draw), _finite(counter)
        if self._last is not None:
            before, draw_before = self._last
            if at == before:
                return
            self._integrate(at - before, draw_before, draw)
        self._last = at, draw
        if counter is not None:
            self._count(counter, most or _MOST_WATTS)

    def _integrate(self, passed: float, before: float | None, now: float | None) -> None:
        """A clock that was set back has no time pass."""
        if passed <= 0:
            return
        if before is None or now is None or passed > self.longest_gap:
            self._pending_missing += passed
        else:
            self._pending.add((before + now) / 2 * passed, passed)

    def _count(self, counter: float, most: float) -> None:
        passed = self._pending.seconds + self._pending_missing
        grown = None if self._counter is None else counter - self._counter
        if grown == 0:
            return
        self._counter = counter
        if grown is not None and 0 <= grown <= 1.5 * most * (passed + _SLACK_SECONDS):
            self._measured.add(grown, passed)
        else:
            self._integrated.add(self._pending.joules, self._pending.seconds)
            self._missing += self._pending_missing
        self._pending, self._pending_missing = _Part(), 0.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(slots=True)
class _Part:
    joules: float = 0.0
    seconds: float = 0.0

    def add(self, joules: float, seconds: float) -> None:
        self.joules += joules
        self.seconds += seconds
