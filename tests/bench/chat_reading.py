"""What the terminal showed while two answers streamed: which token when, each key's echo, the stalls."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.bench.figures import percentile
from tests.bench.streams import WORD, Stream
from tests.support.pty_terminal import Emulator, Written

IN_TIME_SECONDS = 0.25
"""A token is shown in time when it, or a later one of its side, is on the screen so long after it went
out from the server: two drawings at ten a second, and the way of a byte."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key: when it was pressed, and what the prompt holds from then on."""

    pressed: float
    prompt: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person saw of one run.

    ``delays``: seconds from each token's going out to its being on the screen, the tokens never seen
    left out. ``share``: of the tokens, those shown when the last one had gone out and the time to be in
    time was over; ``in_time``: those shown in time. ``first``: seconds from the first token to a token on
    the screen, of the later side, None for never. ``stall``: after that, the longest time without a new
    token on a side. ``keys``: seconds from each key to its echo; ``keys_lost``: those without one.
    """

    share: float
    in_time: float
    delays: tuple[float, ...]
    first: float | None
    stall: float
    keys: tuple[float, ...]
    keys_lost: int


@dataclass(slots=True)
class _Side:
    """How far one side is on the screen."""

    places: Mapping[str, int]
    sent: Sequence[float]
    newest: int = -1
    steps: list[tuple[float, int]] = field(default_factory=list)

    def see(self, words: Sequence[str], when: float) -> None:
        """These are on the screen; a token that did not go out yet cannot be there."""
        known = [place for word in words if (place := self.places.get(word)) is not None]
        newest = min(max(known, default=-1), bisect_right(self.sent, when) - 1)
        if newest > self.newest:
            self.newest = newest
            self.steps.append((when, newest))

    def shown_at(self) -> list[float | None]:
        """When each token was first on the screen, None for never."""
        times: list[float | None] = []
        for when, newest in self.steps:
            times += [when] * (newest + 1 - len(times))
        return times + [None] * (len(self.sent) - len(times))

    def first(self) -> float | None:
        """Seconds from the first token to the first step."""
        return self.steps[0][0] - self.sent[0] if self.steps else None

    def stall(self) -> float:
        """The longest time between two steps, of those that tokens came in."""
        end = self.sent[-1] + IN_TIME_SECONDS
        stops = [when for when, _ in self.steps if when < end] or [self.sent[0]]
        if self.newest < len(self.sent) - 1:
            stops.append(end)
        return max((b - a for a, b in pairwise(stops)), default=0.0)


def read(
    reads: Sequence[Written],
    size: tuple[int, int],
    streams: Mapping[str, Stream],
    sent: Mapping[str, Sequence[float]],
    keys: Sequence[Key],
) -> Shown:
    """Go through what a program wrote, from its start on."""
    emulator = Emulator(size)
    sides = [_Side(streams[name].places, sent[name]) for name in streams]
    echoes: list[float] = []
    for when, data in reads:
        emulator.feed(data)
        rows = changed_rows(emulator)
        words = WORD.findall("\n".join(rows))
        for side in sides:
            side.see(words, when)
        while len(echoes) < len(keys) and _echoed(keys[len(echoes)], rows, when):
            echoes.append(when - keys[len(echoes)].pressed)
    return _sum_up(sides, echoes, len(keys))


def changed_rows(emulator: Emulator) -> list[str]:
    """The rows that were written to since the last time."""
    screen = emulator.screen
    rows = [
        "".join(screen.buffer[row][column].data for column in range(screen.columns))
        for row in sorted(screen.dirty)
        if row < screen.lines
    ]
    screen.dirty.clear()
    return rows


def _echoed(key: Key, rows: Sequence[str], when: float) -> bool:
    return when >= key.pressed and any(key.prompt in row for row in rows)


def _sum_up(sides: Sequence[_Side], echoes: Sequence[float], keys: int) -> Shown:
    delays: list[float] = []
    firsts = [side.first() for side in sides]
    tokens = share = 0
    for side in sides:
        tokens += len(side.sent)
        end = side.sent[-1] + IN_TIME_SECONDS
        shown = [
            (when, at)
            for when, at in zip(side.shown_at(), side.sent, strict=True)
            if when is not None
        ]
        share += sum(when <= end for when, _ in shown)
        delays += [when - at for when, at in shown]
    return Shown(
        share / tokens,
        sum(delay <= IN_TIME_SECONDS for delay in delays) / tokens,
        tuple(delays),
        None if None in firsts else max(first for first in firsts if first is not None),
        max(side.stall() for side in sides),
        tuple(echoes),
        keys - len(echoes),
    )


def milliseconds(values: Sequence[float], share: float) -> float | None:
    """A percentile of seconds, in milliseconds; None of nothing."""
    return 1000 * percentile(values, share) if values else None
