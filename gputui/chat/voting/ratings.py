"""Ratings from votes: Bradley-Terry by maximum likelihood, on Elo's scale, with 95 % intervals.

The model: A beats B with probability 1 / (1 + 10^((R_B − R_A) / 400)) (Bradley and Terry 1952; Elo's
scale). A tie counts as half a win for each. So does "both bad", as in Chatbot Arena's own analysis
(FastChat, fastchat/serve/monitor/elo_analysis.py).

A prior is laid on every rating: normal around the mean of 1000, with a standard deviation of 400. It is
weak (two models 400 apart win ten of eleven), and gives whoever won or lost all a finite rating.

Intervals are ± 1.96 standard errors by the observed information at the maximum, prior included. Not by
bootstrap: votes drawn again from a row of wins are always wins, and the interval would be the narrower
the less is known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

MEAN = 1000.0
SCALE = 400 / math.log(10)
"""Points of Elo's scale to one unit of log odds."""
PRIOR_DEVIATION = 400.0
Z = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""
_PRECISION = (SCALE / PRIOR_DEVIATION) ** 2
_MOST_STEPS = 100
_CLOSE = 1e-9

Player = TypeVar("Player")
Score = tuple[float, float]
"""Of one pair: the wins of the first and of the second; a tie is half a win for each."""


@dataclass(frozen=True, slots=True)
class Rating:
    """On Elo's scale, against the others of the same ``group``: who was ever compared, at least through
    others. ``low`` and ``high`` are the 95 % interval. Ratings of two groups cannot be compared."""

    value: float
    low: float
    high: float
    group: int


class Scores(Generic[Player]):
    """Results summed up by pair: all that a rating depends on."""

    def __init__(self) -> None:
        self._scores: dict[Player, dict[Player, float]] = defaultdict(lambda: defaultdict(float))

    def add(self, first: Player, second: Player, share: float, times: float = 1.0) -> None:
        """``times`` comparisons, of which the first won ``share``; of one with itself nothing is learnt."""
        if first != second:
            self._scores[first][second] += share * times
            self._scores[second][first] += (1 - share) * times

    def ratings(self) -> Mapping[Player, Rating]:
        """Of everyone who was compared with another one; groups by size, the largest is 0."""
        found: dict[Player, Rating] = {}
        for number, members in enumerate(self._groups()):
            values, errors = _fit([[self._score(one, two) for two in members] for one in members])
            for member, value, error in zip(members, values, errors, strict=True):
                points, margin = MEAN + SCALE * value, Z * SCALE * error
                found[member] = Rating(points, points - margin, points + margin, number)
        return found

    def _score(self, first: Player, second: Player) -> float:
        return self._scores[first].get(second, 0.0)

    def _groups(self) -> Sequence[Sequence[Player]]:
        """Connected components, each in an order that the order of the votes has no part in."""
        left, groups = set(self._scores), []
        while left:
            group, to_visit = set(), [next(iter(left))]
            while to_visit:
                one = to_visit.pop()
                if one not in group:
                    group.add(one)
                    to_visit += self._scores[one]
            left -= group
            groups.append(sorted(group, key=repr))
        return sorted(groups, key=lambda group: (-len(group), repr(group)))


def interval_of_share(won: float, of: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); (0, 1) of nothing."""
    if of <= 0:
        return 0.0, 1.0
    share, square = won / of, Z * Z / of
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


_Matrix = list[list[float]]


def _fit(wins: _Matrix) -> tuple[list[float], list[float]]:
    """The strengths in log odds, which sum to 0, and their standard errors.

    Newton's method on the posterior's logarithm, which is strictly concave: a step is halved until it
    climbs. The gradient's sum is −precision · Σ strengths, so that at the maximum they sum to 0.
    """
    strengths = [0.0] * len(wins)
    height = _height(wins, strengths)
    for _ in range(_MOST_STEPS):
        step = _solve(_information(wins, strengths), _gradient(wins, strengths))
        size = max(map(abs, step))
        length = 1.0
        while True:
            tried = [s + length * d for s, d in zip(strengths, step, strict=True)]
            climbed = _height(wins, tried)
            if climbed >= height or length * size < _CLOSE:  # at the top, rounding alone decides
                break
            length /= 2
        strengths, height = tried, climbed
        if length * size < _CLOSE:
            break
    return strengths, _errors(_information(wins, strengths))


def _pairs(wins: _Matrix) -> Iterable[tuple[int, int]]:
    return ((i, j) for i in range(len(wins)) for j in range(i) if wins[i][j] or wins[j][i])


def _chance(difference: float) -> float:
    """Of the stronger by ``difference``; without overflow."""
    return 0.5 * (1 + math.tanh(difference / 2))


def _log_chance(difference: float) -> float:
    return min(difference, 0.0) - math.log1p(math.exp(-abs(difference)))


def _height(wins: _Matrix, strengths: Sequence[float]) -> float:
    """The logarithm of the posterior, but for a constant."""
    height = -_PRECISION / 2 * sum(s * s for s in strengths)
    for i, j in _pairs(wins):
        apart = strengths[i] - strengths[j]
        height += wins[i][j] * _log_chance(apart) + wins[j][i] * _log_chance(-apart)
    return height


def _gradient(wins: _Matrix, strengths: Sequence[float]) -> list[float]:
    gradient = [-_PRECISION * strength for strength in strengths]
    for i, j in _pairs(wins):
        played = wins[i][j] + wins[j][i]
        surprise = wins[i][j] - played * _chance(strengths[i] - strengths[j])
        gradient[i] += surprise
        gradient[j] -= surprise
    return gradient


def _information(wins: _Matrix, strengths: Sequence[float]) -> _Matrix:
    """The observed information: minus the second derivatives."""
    size = len(wins)
    matrix = [[_PRECISION if i == j else 0.0 for j in range(size)] for i in range(size)]
    for i, j in _pairs(wins):
        chance = _chance(strengths[i] - strengths[j])
        weight = (wins[i][j] + wins[j][i]) * chance * (1 - chance)
        matrix[i][i] += weight
        matrix[j][j] += weight
        matrix[i][j] -= weight
        matrix[j][i] -= weight
    return matrix


def _factor(matrix: _Matrix) -> _Matrix:
    """Cholesky's lower triangle of a positive definite matrix."""
    size = len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - math.fsum(
                a * b for a, b in zip(lower[i][:j], lower[j][:j], strict=True)
            )
            lower[i][j] = math.sqrt(rest) if i == j else rest / lower[j][j]
    return lower


def _solve(matrix: _Matrix, values: Sequence[float]) -> list[float]:
    lower, size = _factor(matrix), len(matrix)
    halfway: list[float] = []
    for i in range(size):
        done = sum(lower[i][k] * halfway[k] for k in range(i))
        halfway.append((values[i] - done) / lower[i][i])
    solved = [0.0] * size
    for i in reversed(range(size)):
        done = sum(lower[k][i] * solved[k] for k in range(i + 1, size))
        solved[i] = (halfway[i] - done) / lower[i][i]
    return solved


def _errors(information: _Matrix) -> list[float]:
    """Standard errors against the group's mean, which no vote tells anything of: the variance along it,
    1 / (precision · size) in each entry of the inverse, is left out."""
    size = len(information)
    lower = _factor(information)
    variances = [0.0] * size  # of the inverse: columns of the inverted triangle, squared
    for column in range(size):
        inverse = [0.0] * size
        inverse[column] = 1 / lower[column][column]
        for i in range(column + 1, size):
            done = sum(lower[i][k] * inverse[k] for k in range(column, i))
            inverse[i] = -done / lower[i][i]
        variances[column] = sum(value * value for value in inverse)
    common = 1 / (_PRECISION * size)
    return [math.sqrt(max(0.0, variance - common)) for variance in variances]
