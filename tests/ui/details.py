"""The details screen under test: samples that say everything, and the parts of the screen."""

from __future__ import annotations

from dataclasses import replace

from textual.pilot import Pilot

from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.ui.gpus.details import GpuDetails
from tests.ui.harness import (
    Rig,
    gpu_sample,
    screen_text,
    until,
    until_shown,
)

SIZES = [(160, 45), (120, 30), (80, 24)]


def full_sample(index: int, tick: int = 0) -> GpuSample:
    """A GPU that says everything."""
    sample = gpu_sample(index, tick)
    values = {metric.name: 1.0 + number for number, metric in enumerate(METRICS)}
    return replace(sample, values=values | dict(sample.values), unavailable={})


def full_snapshot(tick: int = 0, gpus: int = 2) -> Snapshot:
    samples = tuple(full_sample(index, tick) for index in range(gpus))
    return Snapshot("nvml", 1e9 + tick, samples, "570.86", cuda_version="12.8")


async def open_details(one: Rig, pilot: Pilot[str | None]) -> GpuDetails:
    await until_shown(pilot, "Instances")
    if one.sampler.has_gpus:
        await until_shown(pilot, "RTX")  # it has a sample to show at once
    await pilot.press("g")
    await until(pilot, lambda: isinstance(one.app.screen, GpuDetails))
    await pilot.pause()
    assert isinstance(one.app.screen, GpuDetails)
    return one.app.screen


def lines_of(one: Rig) -> list[str]:
    return screen_text(one.app).splitlines()


def part(one: Rig, name: str) -> list[str]:
    """The lines of one part of the screen, without its border."""
    region = one.app.screen.query_one(f"#details-{name}").content_region
    rows = lines_of(one)[region.y : region.bottom]
    return [row.ljust(region.right)[region.x : region.right] for row in rows]


async def charts(one: Rig, pilot: Pilot[str | None]) -> str:
    """The charts, which a small terminal shows after tab."""
    if not one.app.screen.query_one("#details-charts").display:
        await pilot.press("tab")
        await until(pilot, lambda: bool(part(one, "charts")))
    return "\n".join(part(one, "charts"))
