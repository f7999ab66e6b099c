"""Very long texts compared by whole lines: the words in them are not looked at."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

from gputui.chat.reading.compared import Comparison, Row, whole


def compare_lines(a: Sequence[str], b: Sequence[str], check: Callable[[], None]) -> Comparison:
    """Whole lines compared, the white space in them aside; words are what stands between blanks.
    ``check`` raises where it is to end."""
    keys = [[_line_key(line) for line in side] for side in (a, b)]
    pairs = list(_equal_lines(keys[0], keys[1], check))
    rows: list[Row] = []
    both = i = j = 0
    for k, m in [*pairs, (len(a), len(b))]:
        check()
        for left, right in zip_longest(a[i:k], b[j:m]):
            rows.append(Row(whole(left, same=False), whole(right, same=False)))
        if k < len(a):
            rows.append(Row(whole(a[k], same=True), whole(b[m], same=True)))
            both += len(keys[0][k]) - 1
        i, j = k + 1, m + 1
    words = [sum(len(key) - 1 for key in side) for side in keys]
    return Comparison(tuple(rows), both, words[0] - both, words[1] - both, whole=False)


def _line_key(line: str) -> tuple[str, ...]:
    """Its indentation, and its words."""
    words = line.split()
    return (line[: len(line) - len(line.lstrip())] if words else "", *words)


def _equal_lines(
    a: Sequence[object], b: Sequence[object], check: Callable[[], None]
) -> Iterator[tuple[int, int]]:
    """The pairs of equal lines, in order: those at both ends, those that are there once, and those around
    these."""
    start = end = 0
    most = min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    while end < most - start and a[-end - 1] == b[-end - 1]:
        end += 1
    i, j = start, start
    yield from ((at, at) for at in range(start))
    last = (len(a) - end, len(b) - end)
    unique = anchors(a[start : last[0]], b[start : last[1]])
    for k, m in [*((start + k, start + m) for k, m in unique), last]:
        check()
        if k < i:
            continue
        back = 0
        while back < min(k - i, m - j) and a[k - back - 1] == b[m - back - 1]:
            back += 1
        yield from ((k - at, m - at) for at in range(back, 0, -1))
        if (k, m) == last:
            break
        i, j = k, m
        while i < last[0] and j < last[1] and a[i] == b[j]:
            yield i, j
            i, j = i + 1, j + 1
    yield from ((len(a) - at, len(b) - at) for at in range(end, 0, -1))


def anchors(a: Sequence[object], b: Sequence[object]) -> list[tuple[int, int]]:
    """Places of what is exactly once in both, as many as can be in the same order."""
    counts_a, counts_b = Counter(a), Counter(b)
    at = {item: j for j, item in enumerate(b) if counts_b[item] == 1}
    pairs = [(i, at[item]) for i, item in enumerate(a) if counts_a[item] == 1 and item in at]
    ends: list[int] = []  # of the increasing runs of each length, the least last place
    places: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        ends[length:] = [j, *ends[length + 1 :]] if length < len(ends) else [j]
        places[length:] = [number, *places[length + 1 :]] if length < len(places) else [number]
        before.append(places[length - 1] if length else -1)
    run, number = [], places[-1] if places else -1
    while number >= 0:
        run.append(pairs[number])
        number = before[number]
    return run[::-1]
