"""What a sample costs while a GPU's details are open: CPU time, and cells that are sent again.

    python tests/bench/details.py [--size 160x45] [--samples 60] [--gpus 1 2 16]

Readings are noise over the whole range, the worst that charts can meet. Headless, so no terminal is
measured (see wire.py for bytes). A bench, no test: nothing passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

from textual.geometry import Region

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gputui.gpu.sample import Snapshot  # noqa: E402
from gputui.ui.gpus.chart_view import ChartView  # noqa: E402
from gputui.ui.gpus.details import GpuDetails  # noqa: E402
from gputui.ui.overlay import Seen  # noqa: E402
from tests.ui.harness import make_rig, snapshot, until_shown  # noqa: E402

KEYS = {"10 min": (), "1 min": ("plus",) * 3, "24 h": ("minus",) * 5}
BEFORE = 4000


def noise(gpus: int, tick: int) -> Snapshot:
    """Readings that have nothing to do with those before."""
    chance = random.Random(tick)  # noqa: S311
    taken = snapshot(gpus, tick)
    changed = {"utilization_gpu": 100.0, "power_draw": 575.0, "temperature_gpu": 90.0}
    samples = tuple(
        replace(
            gpu,
            values=dict(gpu.values) | {n: chance.uniform(0, top) for n, top in changed.items()},
        )
        for gpu in taken.gpus
    )
    return replace(taken, gpus=samples)


async def measure(gpus: int, size: tuple[int, int], keys: tuple[str, ...], samples: int) -> None:
    """Print one line: the median and the 90th centile of a sample, and the mean of cells."""
    one = make_rig(snapshots=[noise(gpus, tick) for tick in range(BEFORE)])
    async with one.app.run_test(size=size) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("g", *keys)
        await pilot.pause(0.3)
        details = one.app.screen
        assert isinstance(details, GpuDetails)
        charts = details.query_one(ChartView)
        sent: list[Region] = []
        refresh = charts.refresh
        charts.refresh = lambda *regions, **more: (sent.extend(regions), refresh(*regions, **more))[
            1
        ]  # type: ignore[method-assign,assignment,func-returns-value,misc]
        costs, gone_to = [], BEFORE + samples
        ready = [noise(gpus, tick) for tick in range(BEFORE, gone_to)]
        gc.collect()
        gc.freeze()
        for taken in ready:
            one.sampler.history.append(taken)
            began = time.thread_time()
            details.take(Seen(taken, {}))
            costs.append((time.thread_time() - began) * 1e3)
        gc.unfreeze()
    costs.sort()
    cells = sum(region.area for region in sent) / samples
    print(
        f"{statistics.median(costs):10.1f} {costs[int(samples * 0.9)]:10.1f} {cells:10.0f}",
        end="  ",
    )


async def run(options: argparse.Namespace) -> None:
    """Every combination."""
    size = tuple(int(number) for number in options.size.split("x"))
    print("GPUs  span             ms median   ms 90 %  cells a sample")
    for gpus in options.gpus:
        for name, keys in KEYS.items():
            for overlay in ((), ("o",)) if gpus > 1 else ((),):
                print(f"{gpus:4}  {name + (' overlaid' if overlay else ''):<15}", end="")
                await measure(gpus, (size[0], size[1]), (*overlay, *keys), options.samples)
                print()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="160x45", metavar="COLUMNSxROWS")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 16])
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
