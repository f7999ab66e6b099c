"""gputui, which writes how many objects of each type it holds whenever SIGUSR2 comes.

    python -m tests.bench.watched FILE [gputui's own arguments]

Only what the garbage collector follows is counted: containers and instances, no plain strings or numbers.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
from collections import Counter
from pathlib import Path


def objects() -> Counter[str]:
    """How many of each type there are, those kept out of collections too."""
    gc.unfreeze()
    gc.collect()
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def grown(before: Counter[str], after: Counter[str], least: int) -> list[tuple[str, int, int]]:
    """Types of which there are at least so many more: name, before, after; the most first."""
    more = [
        (name, before[name], count)
        for name, count in after.items()
        if count - before[name] >= least
    ]
    return sorted(more, key=lambda row: row[1] - row[2])


def main() -> None:
    """Watch, and be gputui."""
    file = Path(sys.argv.pop(1))

    def write(*_: object) -> None:
        new = file.with_suffix(".new")
        new.write_text(json.dumps(objects()))
        new.replace(file)

    signal.signal(signal.SIGUSR2, write)
    from gputui.cli import main as gputui

    gputui()


if __name__ == "__main__":
    main()
