"""How often the driver is asked: exactly, by tier, whatever the number of GPUs."""

from __future__ import annotations

from collections import Counter

import pytest

from gputui.gpu.nvml import NvmlSource
from tests.support.nvml_scenarios import EVERY_TICK, Clock
from tests.support.standin_nvml import StandinNvml

PROCESSES = Counter(
    {
        "nvmlDeviceGetComputeRunningProcesses_v3": 1,
        "nvmlDeviceGetGraphicsRunningProcesses_v3": 1,
    }
)
"""Each two seconds, where no process is on the GPU."""
LANE = Counter({"nvmlDeviceGetPcieThroughput": 2})
"""Each two seconds, beside the ticks."""


def ticks(source: NvmlSource, clock: Clock, standin: StandinNvml, count: int) -> list[Counter[str]]:
    """The calls of each of so many ticks, over all GPUs."""
    found = []
    for _ in range(count):
        clock.now += 1.0
        standin.take_calls()
        source.sample()
        calls: Counter[str] = Counter()
        for (name, _index), times in standin.take_calls().items():
            calls[name] += times
        found.append(calls)
    return found


def times(calls: Counter[str], gpus: int) -> Counter[str]:
    return Counter({name: count * gpus for name, count in calls.items()})


@pytest.mark.parametrize("gpus", [1, 2, 16])
def test_a_tick_asks_what_is_due_and_nothing_else(
    gpus: int, source: NvmlSource, clock: Clock, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set(gpus=gpus)
    source.sample()
    found = ticks(source, clock, standin_nvml, 10)
    bare = times(EVERY_TICK, gpus)
    fast, even = bare, bare + times(PROCESSES, gpus) + times(LANE, gpus)
    assert [found[tick] for tick in (0, 2, 6)] == [fast] * 3
    assert [found[tick] for tick in (1, 3, 5, 7)] == [even] * 4
    slow = found[4] - fast  # five seconds on: what changes seldom
    assert not fast - found[4]
    assert sum(slow.values()) <= 24 * gpus + 4
    assert sum(count for calls in found for count in calls.values()) <= (16 * gpus + 1) * len(found)
