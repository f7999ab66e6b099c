"""How near vectors are: cosine similarity, as a matrix and as shades."""

from __future__ import annotations

import heapq
import math
import operator
from collections.abc import Sequence

from gputui.errors import GputuiError

Vector = Sequence[float]
Matrix = Sequence[Sequence[float]]

SHADES = 4
"""How many shades there are, from the farthest pair to the nearest."""


def normalised(vector: Vector, which: str) -> list[float]:
    """The vector at length 1. Raises GputuiError, which names it, where it has no direction."""
    if not all(map(math.isfinite, vector)):
        raise GputuiError(
            f"The vector of {which} holds numbers that are none (NaN, infinity)",
            "The model's file may be damaged, or its KV cache type too coarse.",
        )
    most = max(map(abs, vector), default=0.0)
    if most == 0.0:
        raise GputuiError(f"The vector of {which} is all zeros: it has no direction")
    scaled = [one / most for one in vector]  # so that no square overflows, or vanishes
    length = math.hypot(*scaled)
    return [one / length for one in scaled]


def similarity(vectors: Sequence[Vector]) -> list[list[float]]:
    """The cosine of each pair of vectors of length 1, -1 to 1: symmetric, with ones on the diagonal.

    Raises GputuiError where they are not of one dimension.
    """
    if len({len(vector) for vector in vectors}) > 1:
        dimensions = ", ".join(str(one) for one in sorted({len(vector) for vector in vectors}))
        raise GputuiError(
            f"The vectors have different dimensions: {dimensions}",
            "Did another server answer in between? Try again.",
        )
    matrix = [[1.0] * len(vectors) for _ in vectors]
    for row, one in enumerate(vectors):
        for column in range(row):
            cosine = sum(map(operator.mul, one, vectors[column]))
            matrix[row][column] = matrix[column][row] = max(-1.0, min(1.0, cosine))
    return matrix


def closest(matrix: Matrix, count: int) -> list[tuple[int, int, float]]:
    """The nearest pairs, nearest first: two places, the first the smaller one, and their similarity."""
    pairs = ((one, two, matrix[one][two]) for two in range(len(matrix)) for one in range(two))
    return heapq.nsmallest(count, pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def shades(matrix: Matrix) -> list[list[int]]:
    """The shade of each cell, 0 to ``SHADES`` - 1: from the farthest pair to the nearest. A text
    with itself has none, so that the eye meets the pairs; where all pairs are alike they have the darkest."""
    pairs = [matrix[one][two] for one in range(len(matrix)) for two in range(one)]
    low, high = (min(pairs), max(pairs)) if pairs else (1.0, 1.0)
    return [
        [0 if row == column else _shade(value, low, high) for column, value in enumerate(line)]
        for row, line in enumerate(matrix)
    ]


def _shade(value: float, low: float, high: float) -> int:
    if high <= low:
        return SHADES - 1
    return min(SHADES - 1, int((value - low) / (high - low) * SHADES))
