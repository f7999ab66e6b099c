"""Medians, percentiles, ratios, and how they are written."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

UNKNOWN = "–"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of them lie, between two of them by the straight line.

    >>> percentile([1, 2, 3, 4, 5], 0.5)
    3.0
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (high - low) * (place - int(place))


def median(values: Sequence[float | None]) -> float | None:
    """The median, None where there is no value or one of them is not known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


def ratio(one: float | None, other: float | None) -> float | None:
    """Their quotient, None where it is not known."""
    return None if one is None or not other else one / other


def written(value: float | None, digits: int = 1) -> str:
    """A number, a dash where it is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def with_spread(values: Sequence[float | None], digits: int = 1) -> str:
    """The median, and in brackets the least and the most where they are not written alike."""
    middle = median(values)
    if middle is None:
        return UNKNOWN
    known = [value for value in values if value is not None]
    low, high = written(min(known), digits), written(max(known), digits)
    return written(middle, digits) + (f" ({low}–{high})" if low != high else "")


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table that is also read as it stands: first column left, the others right."""
    widths = [max(len(row[at]) for row in (titles, *rows)) for at in range(len(titles))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join((first, *others)) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(titles), line(rule), *(line(row) for row in rows)]
