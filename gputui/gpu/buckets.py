"""Samples over time put together: what a metric was over a while, and rings to keep it in."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from itertools import compress
from operator import mul
from typing import NamedTuple, TypeVar

Ring = TypeVar("Ring", "array[float]", "array[int]")


class Bucket(NamedTuple):
    """What a metric was over a while, in its base unit."""

    minimum: float
    mean: float
    maximum: float


class Points(NamedTuple):
    """A series in order of time. Each point is a sample or a bucket.

    ``counts`` says of how many samples a bucket is, 0 where it is not known. It is None where each point
    is one sample: the three values are then one array, in which NaN is not known.
    """

    times: array[float]
    minima: array[float]
    means: array[float]
    maxima: array[float]
    counts: array[int] | None

    def add(self, when: float, bucket: Bucket | None, count: int) -> None:
        """One more bucket at the end; None is not known."""
        assert self.counts is not None  # noqa: S101 - buckets are not mixed with samples
        self.times.append(when)
        self.counts.append(count)
        for ring, value in zip(self[1:4], bucket or (0.0, 0.0, 0.0), strict=True):
            ring.append(value)

    def combined(self, low: int, high: int) -> Bucket | None:
        """The points from ``low`` up to ``high`` as one bucket; None where none of them is known."""
        if self.counts is None:
            return of_samples(self.means[low:high])
        counts = self.counts[low:high]
        total = sum(counts)
        if not total:
            return None
        minimum = min(compress(self.minima[low:high], counts))
        maximum = max(compress(self.maxima[low:high], counts))
        mean = sum(map(mul, self.means[low:high], counts)) / total
        return Bucket(minimum, min(max(mean, minimum), maximum), maximum)  # a mean is rounded


def at(ring: Ring, number: int) -> float:
    """The entry of that number; numbers only grow, and the ring holds the latest."""
    return ring[number % len(ring)]


def entries(ring: Ring, first: int, end: int) -> Ring:
    """The entries from number ``first`` up to ``end``, fewer than the ring has slots, as a copy."""
    if first >= end:
        return ring[:0]
    low, high = first % len(ring), end % len(ring)
    return ring[low:high] if low < high else ring[low:] + ring[:high]


def known(values: array[float]) -> array[float] | list[float]:
    """The values that are not NaN; the array itself where all are."""
    total = sum(values)
    return values if total == total else [value for value in values if value == value]


def of_samples(values: array[float]) -> Bucket | None:
    """The bucket of samples in which NaN is not known; None where none is."""
    if len(values) == 1:
        value = values[0]
        return Bucket(value, value, value) if value == value else None
    kept = known(values)
    if not kept:
        return None
    minimum, mean, maximum = min(kept), sum(kept) / len(kept), max(kept)
    return Bucket(minimum, min(max(mean, minimum), maximum), maximum)


def span_of(times: array[float], start: float, end: float) -> tuple[int, int]:
    """The indexes from the last point before ``start`` (all that share its time) up to ``end``."""
    low = bisect_left(times, start)
    if low:
        low = bisect_left(times, times[low - 1])
    return low, bisect_left(times, end)


Stands = Callable[[int], float]
"""For how many seconds a point stands, by its index."""


def in_columns(
    points: Points, start: float, end: float, columns: int, now: float, stands: Stands
) -> list[Bucket | None]:
    """The points from ``start`` to ``end`` in equal columns.

    A column without a point of its own shows the one before (all that share its time), where that one
    stands through the whole column, and the column has begun by ``now``. ``stands`` gives the seconds for
    which each point stands.
    """
    times = points.times
    width = (end - start) / columns
    edges = [*(start + width * column for column in range(columns)), end]
    firsts = [bisect_left(times, edge) for edge in edges]
    found: list[Bucket | None] = []
    for begin, over, low, high in zip(edges, edges[1:], firsts, firsts[1:], strict=False):
        if low < high:
            found.append(points.combined(low, high))
        elif low and begin <= now and over <= times[low - 1] + stands(low - 1):
            found.append(points.combined(bisect_left(times, times[low - 1]), low))
        else:
            found.append(None)
    return found
