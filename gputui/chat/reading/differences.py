"""Two texts compared: lines that belong together beside each other, and in these the words that differ.

Lines are paired as in the alignment of Needleman and Wunsch (1970), scored by the words that two lines
share, in the order in which they stand. What is too long for that is first cut at lines that are in both
texts exactly once (patience diff, Bram Cohen), and so are the words of very long lines. The work is bounded:
it is done in Python, beside which nothing else of the program runs at its pace. Of very long texts only
whole lines are compared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import groupby, pairwise, zip_longest

from gputui.chat.reading.compared import Comparison, Part, Parts, Row, whole
from gputui.chat.reading.whole_lines import anchors, compare_lines

LEAST_ALIKE = 0.3
"""Dice's coefficient of the words of two lines from which on they are taken for two versions of one."""
MOST_CELLS = 200_000
"""Pairs of lines that are looked at in all; more is compared by equal lines alone."""
MOST_WORD_CELLS = 4_000_000
"""Pairs of words that are looked at in all."""
MOST_CHARACTERS = 80_000
"""Of both texts together, some ten thousand words; in more, whole lines are compared."""
_PHRASE = 4
_ISLAND = 2
"""As few words as both sides share between two longer differences are chance."""

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")
_WORD = re.compile(r"\w")


class StoppedError(Exception):
    """Nobody wants the comparison any more."""


@dataclass
class _Budget:
    """The work that may still be done, as long as it is not to stop."""

    stop: Callable[[], bool]
    lines: int = MOST_CELLS
    words: int = MOST_WORD_CELLS
    whole: bool = True

    def check(self) -> None:
        if self.stop():
            raise StoppedError

    def for_lines(self, cells: int) -> bool:
        enough = cells <= self.lines
        self.lines -= cells if enough else 0
        return enough

    def for_words(self, cells: int) -> bool:
        enough = cells <= self.words
        self.words -= cells if enough else 0
        self.whole = self.whole and enough
        return enough


@dataclass(frozen=True)
class _Line:
    """A line as its tokens: each with the white space before it, the last one with that behind it too.

    ``keys`` are what is compared: the first one with its indentation, the others without white space.
    """

    text: str
    pieces: tuple[str, ...] = field(init=False)
    keys: tuple[str, ...] = field(init=False)
    words: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        pieces: list[str] = []
        keys: list[str] = []
        end = 0
        for found in _TOKEN.finditer(self.text):
            pieces.append(self.text[end : found.end()])
            keys.append(found[0] if keys else pieces[0])
            end = found.end()
        if end < len(self.text):
            pieces[-1:] = [(pieces[-1] if pieces else "") + self.text[end:]]
            keys = keys or [""]
        object.__setattr__(self, "pieces", tuple(pieces))
        object.__setattr__(self, "keys", tuple(keys))
        object.__setattr__(self, "words", Counter(key.strip() for key in keys))


def compare(left: str, right: str, stop: Callable[[], bool] = lambda: False) -> Comparison:
    """What two texts have in common. Takes up to a second: not for the event loop. Both texts can be had
    again from the rows, to the letter. Raises StoppedError soon after ``stop`` says so."""
    budget = _Budget(stop)
    if len(left) + len(right) > MOST_CHARACTERS:
        return compare_lines(left.split("\n"), right.split("\n"), budget.check)
    a, b = ([_Line(line) for line in text.split("\n")] for text in (left, right))
    rows = tuple(_rows(a, b, list(_aligned(a, b, budget)), budget))
    both, only_left = _words(row.left for row in rows)
    _, only_right = _words(row.right for row in rows)
    return Comparison(rows, both, only_left, only_right, budget.whole)


def _words(side: Iterator[Parts | None]) -> tuple[int, int]:
    """How many words of a side the other one has too, and how many it has not."""
    counts = [0, 0]
    for parts in side:
        for part in parts or ():
            words = sum(1 for found in _TOKEN.finditer(part.text) if _WORD.match(found[0]))
            counts[0 if part.same else 1] += words
    return counts[0], counts[1]


# ── lines ────────────────────────────────────────────────────────────────────────────────────────


def _aligned(a: Sequence[_Line], b: Sequence[_Line], budget: _Budget) -> Iterator[tuple[int, int]]:
    """The pairs of lines that belong together, in order."""
    keys_a, keys_b = [line.keys for line in a], [line.keys for line in b]
    waiting = [(0, len(a), 0, len(b))]
    while waiting:
        budget.check()
        a1, a2, b1, b2 = waiting.pop()
        while a1 < a2 and b1 < b2 and keys_a[a1] == keys_b[b1]:
            yield a1, b1
            a1, b1 = a1 + 1, b1 + 1
        end = 0
        while a1 < a2 - end and b1 < b2 - end and keys_a[a2 - end - 1] == keys_b[b2 - end - 1]:
            end += 1
        if end:  # what is between comes first
            waiting.append((a2 - end, a2, b2 - end, b2))
            waiting.append((a1, a2 - end, b1, b2 - end))
        elif a1 < a2 and b1 < b2:
            if budget.for_lines((a2 - a1) * (b2 - b1)):
                yield from _paired(a, b, (a1, a2, b1, b2))
                continue
            budget.whole = False
            unique = anchors(keys_a[a1:a2], keys_b[b1:b2])
            starts = [(a1 + i, b1 + j) for i, j in unique]
            if not starts:
                yield from _alike(a, b, (a1, a2, b1, b2))
            else:
                edges = [(a1, b1), *starts, (a2, b2)]
                parts = [(*first, *second) for first, second in pairwise(edges)]
                waiting += [(i, k, j, m) for i, j, k, m in reversed(parts)]


def _alike(
    a: Sequence[_Line], b: Sequence[_Line], block: tuple[int, int, int, int]
) -> Iterator[tuple[int, int]]:
    """The lines of a block at the same place that share a word."""
    a1, a2, b1, b2 = block
    for i, j in zip(range(a1, a2), range(b1, b2), strict=False):
        if not a[i].words.keys().isdisjoint(b[j].words):
            yield i, j


def _paired(
    a: Sequence[_Line], b: Sequence[_Line], block: tuple[int, int, int, int]
) -> Iterator[tuple[int, int]]:
    """The pairs of a block with the most words in common, in order."""
    a1, a2, b1, b2 = block
    shared = [_shared(a[i], b, b1, b2) for i in range(a1, a2)]
    width = b2 - b1
    best = [[0.0] * (width + 1)]
    for scores in shared:
        above, row = best[-1], [0.0]
        for j in range(width):
            value = above[j + 1] if above[j + 1] >= row[j] else row[j]
            if j in scores and above[j] + scores[j] > value:
                value = above[j] + scores[j]
            row.append(value)
        best.append(row)
    pairs, i, j = [], a2 - a1, width
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((a1 + i, b1 + j))
    yield from reversed(pairs)


def _shared(line: _Line, b: Sequence[_Line], b1: int, b2: int) -> dict[int, float]:
    """How many words that line shares with each one of ``b``, where they are alike at all."""
    own, found = line.words.total(), {}
    for j in range(b1, b2):
        other = b[j]
        if line.keys == other.keys:
            found[j - b1] = own + 0.5
            continue
        if not own or not other.words or line.words.keys().isdisjoint(other.words):
            continue
        common = sum(
            min(count, other.words[word])
            for word, count in line.words.items()
            if word in other.words
        )
        if 2 * common >= LEAST_ALIKE * (own + other.words.total()):
            found[j - b1] = float(common)
    return found


def _rows(
    a: Sequence[_Line], b: Sequence[_Line], pairs: list[tuple[int, int]], budget: _Budget
) -> Iterator[Row]:
    i = j = 0
    for k, m in [*pairs, (len(a), len(b))]:
        budget.check()
        alone = zip_longest(a[i:k], b[j:m])
        yield from (Row(_all(left, same=False), _all(right, same=False)) for left, right in alone)
        if k < len(a):
            yield _row(a[k], b[m], budget)
        i, j = k + 1, m + 1


def _all(line: _Line | None, *, same: bool) -> Parts | None:
    return whole(line.text if line else None, same=same)


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def _row(a: _Line, b: _Line, budget: _Budget) -> Row:
    if a.keys == b.keys:
        return Row(_all(a, same=True), _all(b, same=True))
    same = _without_islands(list(_equal_runs(a.keys, b.keys, budget)), len(a.keys), len(b.keys))
    in_a = {at for i, _, size in same for at in range(i, i + size)}
    in_b = {at for _, j, size in same for at in range(j, j + size)}
    return Row(_parts(a.pieces, in_a), _parts(b.pieces, in_b))


def _equal_runs(
    a: Sequence[str], b: Sequence[str], budget: _Budget
) -> Iterator[tuple[int, int, int]]:
    """Runs of words that both have, in order: where in each, and how many."""
    if budget.for_words(len(a) * len(b)):
        matcher = SequenceMatcher(None, a, b, autojunk=False)
        yield from ((one.a, one.b, one.size) for one in matcher.get_matching_blocks() if one.size)
        return
    i = j = 0
    for k, m in [*anchors(_phrases(a), _phrases(b)), (len(a), len(b))]:
        if (k - i) * (m - j) <= MOST_WORD_CELLS // 100 and budget.for_words((k - i) * (m - j)):
            matcher = SequenceMatcher(None, a[i:k], b[j:m], autojunk=False)
            for block in matcher.get_matching_blocks():
                if block.size:
                    yield i + block.a, j + block.b, block.size
        if k < len(a):
            yield k, m, 1
        i, j = k + 1, m + 1


def _phrases(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Each word with those behind it: single words are seldom there once only."""
    return list(zip(*(words[at:] for at in range(_PHRASE)), strict=False))


def _without_islands(
    runs: list[tuple[int, int, int]], length_a: int, length_b: int
) -> list[tuple[int, int, int]]:
    """The runs but those of a word or two amid longer differences: they only make them hard to read."""
    kept: list[tuple[int, int, int]] = []
    for number, (i, j, size) in enumerate(runs):
        after = runs[number + 1] if number + 1 < len(runs) else (length_a, length_b, 0)
        end = (kept[-1][0] + kept[-1][2], kept[-1][1] + kept[-1][2]) if kept else (0, 0)
        gaps = (max(i - end[0], j - end[1]), max(after[0] - i - size, after[1] - j - size))
        if size > _ISLAND or min(gaps) <= 2 * size:
            kept.append((i, j, size))
    return kept


def _parts(pieces: Sequence[str], same: set[int]) -> Parts:
    runs = groupby(range(len(pieces)), lambda at: at in same)
    return tuple(Part("".join(pieces[at] for at in run), both) for both, run in runs)
