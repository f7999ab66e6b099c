"""How long the header of a model takes to read, beside the ``gguf`` package where that is installed.

    python -m tests.bench.gguf_header [MODEL.gguf]

Without a model: a header with a vocabulary of 150 000 tokens and as many merges is made.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gputui.models.gguf import read_header
from tests.support.gguf_files import llama, write_gguf

_RUNS = 7


def _best(read: Callable[[], object], runs: int = _RUNS) -> float:
    """The shortest of some runs, in milliseconds."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        read()
        times.append((time.perf_counter() - begin) * 1000)
    return min(times)


def _made(folder: Path) -> Path:
    random.seed(1)
    words = ["".join(random.choices("abcdefgh", k=random.randint(1, 14))) for _ in range(150_000)]  # noqa: S311
    metadata, tensors = llama()
    metadata["tokenizer.ggml.tokens"] = words
    metadata["tokenizer.ggml.token_type"] = [1] * 150_000
    metadata["tokenizer.ggml.merges"] = [f"{word[:3]} {word[3:]}" for word in words]
    return write_gguf(folder / "made.gguf", metadata, tensors)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(sys.argv[1]) if len(sys.argv) > 1 else _made(Path(folder))
        ours = _best(lambda: read_header(file))
        print(f"{file.name}: gputui {ours:.1f} ms")
        try:
            import gguf  # type: ignore[import-not-found]
        except ImportError:
            print("the gguf package is not installed")
            return
        theirs = _best(lambda: gguf.GGUFReader(file), 1)
        print(f"gguf {theirs:.0f} ms: {theirs / ours:.0f} times as long")


if __name__ == "__main__":
    main()
