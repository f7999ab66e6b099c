"""The screen of processes under test: what it is told, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from gputui.gpu.sample import GpuProcess, ProcessType, Snapshot
from gputui.ui.processes.table import ProcessTable
from tests.ui.harness import (
    BOTH,
    GIB,
    Rig,
    gpu_sample,
    host_process,
    rig,
    screen_text,
    until_shown,
)

SIZES = pytest.mark.parametrize("size", [(160, 45), (120, 30), (80, 24)])
FOREIGN = 2**22 + 7


def some(tick: int = 0) -> tuple[tuple[GpuProcess, ...], tuple[GpuProcess, ...]]:
    """Processes on two GPUs: an instance of ours, another user's on both, a foreign one, a game."""
    llama = GpuProcess(
        12080, "llama-server", 61 * GIB, ProcessType.COMPUTE, 92.0 - tick,
        host_process(12080, cpu_percent=310.0),
    )  # fmt: skip
    train = GpuProcess(
        40211, "python3", 12 * GIB, ProcessType.COMPUTE, 7.0 + tick,
        host_process(40211, user="bob", own=False, command="/usr/bin/python3 train.py"),
    )  # fmt: skip
    game = GpuProcess(
        40500, "game", 3 * GIB, ProcessType.BOTH, 44.0,
        host_process(40500, command="game [bold]x[/bold]", cpu_percent=12.0),
    )  # fmt: skip
    foreign = GpuProcess(FOREIGN, "", 8 * GIB)
    return (llama, train, foreign), (replace(train, used_gpu_memory=9 * GIB), game)


def taken(first: tuple[GpuProcess, ...], second: tuple[GpuProcess, ...] = ()) -> Snapshot:
    gpus = (gpu_sample(0, processes=first), gpu_sample(1, processes=second))
    return Snapshot("nvml", 1e9, gpus, "999.1")


@asynccontextmanager
async def processes(one: Rig, size: tuple[int, int] = (160, 45)) -> Iterator[Pilot[str | None]]:  # type: ignore[misc]
    """The screen of processes, open."""
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "Instances", "RTX")  # it has a sample to show at once
        await pilot.press("p")
        await until_shown(pilot, "Processes")
        yield pilot


def with_instance(**more: object) -> Rig:
    statuses = (replace(BOTH[0], pid=12080), BOTH[1])
    return rig(**({"snapshots": [taken(*some())], "statuses": statuses} | more))


def shown_pids(one: Rig) -> list[int]:
    """The pids of the table, from top to bottom."""
    words = (line.replace("│", " ").replace("▸", " ").split() for line in lines_of(one))
    return [int(w[1]) for w in words if len(w) > 1 and w[0][0] == "■" and w[1].isdecimal()]


def lines_of(one: Rig) -> list[str]:
    return screen_text(one.app).splitlines()


def cursor_pid(one: Rig) -> int:
    row = one.app.screen.query_one(ProcessTable).selected
    assert row is not None
    return row.pid
