"""What a day of history costs: memory, time to append a sample, time to read a range.

    python tests/bench/history.py [--gpus 16] [--hours 24] [--interval 1]

Every gauge of the metric table for every GPU, as fast as it goes; the clock is a simulated one.
A bench, no test: nothing passes or fails.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gputui.gpu.history import GAUGES, History  # noqa: E402
from gputui.gpu.sample import GpuSample, Snapshot  # noqa: E402
from gputui.identity import GpuIdentity  # noqa: E402

MIB = 2**20
SPANS = {"1 min": 60, "10 min": 600, "1 h": 3600, "24 h": 86400}
COLUMNS = 200


def snapshots(gpus: int, seconds: float, interval: float) -> Iterator[Snapshot]:
    """Readings that move, one snapshot after the other."""
    identities = [
        GpuIdentity(n, f"GPU-{n:08d}", f"GPU {n}", f"00000000:{n:02X}:00.0") for n in range(gpus)
    ]
    for tick in range(int(seconds / interval)):
        wave = 50 + 40 * math.sin(tick / 60)
        readings = dict.fromkeys(GAUGES, wave)
        yield Snapshot(
            "bench", 1e9 + tick * interval, tuple(GpuSample(one, readings) for one in identities)
        )


def append_all(history: History, gpus: int, seconds: float, interval: float) -> list[float]:
    """Seconds of each append."""
    costs = []
    for snapshot in snapshots(gpus, seconds, interval):
        began = time.perf_counter()
        history.append(snapshot)
        costs.append(time.perf_counter() - began)
    return costs


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpus", type=int, default=16)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between samples")
    return parser.parse_args()


def main() -> None:
    """Fill a history twice: once for time and resident memory, a part of it again under tracemalloc."""
    options = arguments()
    process, seconds = psutil.Process(), options.hours * 3600
    gc.collect()
    before = process.memory_info().rss
    history = History()
    costs = sorted(append_all(history, options.gpus, seconds, options.interval))
    gc.collect()
    resident = process.memory_info().rss - before
    print(
        f"{options.gpus} GPUs × {len(GAUGES)} gauges, {options.hours:g} h every {options.interval:g} s"
    )
    print(f"rings          {history.memory_bytes / MIB:8.1f} MiB")
    print(f"resident more  {(resident - sys.getsizeof(costs)) / MIB:8.1f} MiB")
    print(f"traced         {traced(options) / MIB:8.1f} MiB (peak, an hour)")
    print(
        f"append         {statistics.fmean(costs) * 1e6:8.0f} µs mean,"
        f" {costs[len(costs) // 2] * 1e6:.0f} median, {costs[int(len(costs) * 0.999)] * 1e6:.0f} p99.9"
    )
    now = history.now or 0.0
    for name, span in SPANS.items():
        began = time.perf_counter()
        for gpu in range(options.gpus):
            history.series(f"GPU-{gpu:08d}", "power_draw", now - span, now, COLUMNS)
        cost = (time.perf_counter() - began) * 1e3
        print(f"read {name:<9} {cost:8.1f} ms for {options.gpus} series of {COLUMNS} columns")


def traced(options: argparse.Namespace) -> int:
    """Bytes at most that Python allocated for an hour; more time takes no more."""
    gc.collect()
    tracemalloc.start()
    append_all(History(), options.gpus, 3600.0, options.interval)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main()
