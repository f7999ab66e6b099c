"""How long kept conversations take to open, list and search, beside the targets.

    python -m tests.bench.conversations [--turns 10000] [--words 300] [--runs 15]

Twice: all turns in one conversation, and spread over a thousand. Two answers a turn, with words as
unevenly common as those of a language. Each number is the median of some runs, and the first of them.
A bench, no test: nothing passes or fails.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gputui.chat.keeping.store import Store

MANY = 1000
PAGE = 40
OPEN_MS, SEARCH_MS = 300, 100
RARE = "zanzibar"
NOWHERE = "qwertzuiop"


def words(count: int) -> Iterator[str]:
    """Words without end, by Zipf's law."""
    chance = random.Random(1)  # noqa: S311
    known = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 9))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(known) + 1)))
    while True:
        yield from chance.choices(known, cum_weights=weights, k=count)


def fill(path: Path, turns: int, conversations: int, length: int) -> str:
    """Write them as older versions did, by SQL: the index has it all to do. The commonest word."""
    source = words(length)
    Store(path).summaries()
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO conversations (id, created_at) VALUES (?, ?)",
            ((one + 1, float(one)) for one in range(conversations)),
        )
        for turn in range(turns):
            prompt = " ".join(itertools.islice(source, 20)) + f" {RARE}" * (turn == turns // 3)
            connection.execute(
                "INSERT INTO turns (id, conversation_id, prompt, created_at) VALUES (?, ?, ?, ?)",
                (turn + 1, turn % conversations + 1, prompt, float(turn)),
            )
            connection.executemany(
                "INSERT INTO answers (turn_id, side, name, model, text, reasoning, hint)"
                " VALUES (?, ?, ?, ?, ?, '', '')",
                (
                    (
                        turn + 1,
                        side,
                        f"name-{side}",
                        "model",
                        " ".join(itertools.islice(source, length)),
                    )
                    for side in "AB"
                ),
            )
    connection.close()
    sample = list(itertools.islice(source, 5000))
    return max(set(sample), key=sample.count)


def median(what: str, act: Callable[[], object], runs: int, target: int | None = None) -> None:
    """Print the median and the first of some runs."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1e3)
    beside = "" if target is None else f"{target:8}"
    print(f"  {what:<34}{statistics.median(times):9.1f}{times[0]:9.1f}{beside}")


def measure(folder: Path, conversations: int, options: argparse.Namespace) -> None:
    """Print the lines of one database."""
    path = folder / f"{conversations}.db"
    common = fill(path, options.turns, conversations, options.words)
    print(
        f"{options.turns} turns in {conversations} conversations, {options.words} words an answer,"
        f" {path.stat().st_size / 2**20:.0f} MiB\n  {'':<34}{'median':>9}{'first':>9}{'target':>8}  ms"
    )
    began = time.perf_counter()
    (store := Store(path)).search(RARE)
    print(f"  {'index it all, once':<34}{'':9}{(time.perf_counter() - began) * 1e3:9.0f}")
    store.close()
    big = path.stat().st_size / 2**20

    def opened() -> None:
        with_nothing = Store(path)
        with_nothing.turns(1, newest=PAGE)
        with_nothing.close()

    median(f"open the newest {PAGE} turns", opened, options.runs, OPEN_MS)
    middle = store.turn_ids(1)[len(store.turn_ids(1)) // 2]
    median("the page before", lambda: store.turns(1, newest=PAGE, before=middle), options.runs)
    median("the ids of all its turns", lambda: store.turn_ids(1), options.runs)
    median("list the newest 50", store.summaries, options.runs, OPEN_MS)
    median("500 prompts", lambda: store.prompts(500), options.runs)
    for what, query in (
        ("a common word", common),
        ("two common words", f"{common} {common}"),
        ("a common word's beginning", common[:2]),
        ("one letter", common[:1]),
        ("a rare word", RARE),
        ("a word that is nowhere", NOWHERE),
        ("a phrase that is nowhere", f'"{common} {common} {RARE}"'),
    ):
        median(f"search {what}", lambda query=query: store.search(query), options.runs, SEARCH_MS)  # type: ignore[misc]
    median("search signs alone (no index)", lambda: store.search("->"), 3)
    began = time.perf_counter()
    store.delete([1])
    print(
        f"  {'delete the first conversation':<34}{'':9}{(time.perf_counter() - began) * 1e3:9.0f}"
    )
    print(f"  with its index the file has {big:.0f} MiB")
    store.close()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for conversations in (1, MANY):
            measure(Path(folder), conversations, options)


if __name__ == "__main__":
    main()
