"""The time that energy is held against: a session's parts, clocks that are set, traces of another pace."""

from __future__ import annotations

import pytest

from gputui.config import Config, TerminalConfig
from gputui.gpu.sample import RECORDED, GpuSample, Snapshot
from gputui.identity import GpuIdentity
from gputui.power.meter import PowerMeter, since_boot

A, B = GpuIdentity(0, "GPU-a", "A", ""), GpuIdentity(1, "GPU-b", "B", "")


def taken(at: float, *samples: GpuSample, source: str = "nvml") -> Snapshot:
    return Snapshot(source, 1.7e9 + at, samples)


def drawing(gpu: GpuIdentity, watts: float, **more: float) -> GpuSample:
    return GpuSample(gpu, {"power_draw": watts, **more})


def test_a_gpu_seen_for_a_moment_has_a_moment_in_the_mean() -> None:
    meter = PowerMeter()
    for at in range(4001):
        both = (drawing(A, 100), drawing(B, 500))
        meter.sampled(taken(at, *both[: 2 if at <= 10 else 1]))
    report = meter.report()
    assert report.energy.joules == 100 * 4000 + 500 * 10
    assert report.mean_watts == pytest.approx(101.25)


def test_gpus_one_after_the_other_are_a_session_of_both() -> None:
    meter = PowerMeter()
    for at in range(2001):
        meter.sampled(taken(at, drawing(A, 100) if at <= 1000 else drawing(B, 300)))
    assert meter.report().seconds == pytest.approx(2000, abs=1)
    assert meter.report().mean_watts == pytest.approx(200, abs=1)


def test_time_in_which_nothing_is_known_is_in_no_mean() -> None:
    meter = PowerMeter()
    for at in [*range(301), *range(10_000, 10_301)]:
        meter.sampled(taken(at, drawing(A, 100)))
    assert (meter.report().seconds, meter.report().mean_watts) == (600, 100)


@pytest.mark.parametrize("step", [36_000, -36_000])
@pytest.mark.parametrize("counter", [True, False])
def test_a_clock_on_the_wall_that_is_set_makes_no_time(step: int, counter: bool) -> None:
    seconds = 0.0
    meter = PowerMeter(clock=lambda: seconds)
    for at in range(601):
        seconds = float(at)
        more = {"total_energy_consumption": 300.0 * at} if counter else {}
        wall = at + step * (at >= 300)
        meter.sampled(taken(wall, drawing(A, 300, power_max_limit=600, **more)))
        meter.sampled(taken(wall, drawing(A, 300, power_max_limit=600, **more)))
    energy = meter.report().energy
    assert (energy.joules, energy.seconds, energy.missing_seconds) == (300 * 600, 600, 0)
    assert meter.report().mean_watts == 300


def test_a_machine_that_slept_lacks_that_time() -> None:
    seconds = 0.0
    meter = PowerMeter(clock=lambda: seconds)
    for at in (0, 1, 2, 3602, 3603):
        seconds = float(at)
        meter.sampled(taken(at, drawing(A, 100)))
    energy = meter.report().energy
    assert (energy.joules, energy.missing_seconds) == (300, 3600)
    assert since_boot() <= since_boot()


def test_a_recording_has_its_own_time_and_pace() -> None:
    meter = PowerMeter(1.0, clock=lambda: 7.0)
    for index in range(61):
        meter.sampled(taken(index * 30, drawing(A, 300), source=RECORDED))
    energy = meter.report().energy
    assert energy.missing_seconds == 30, "one step makes no pace"
    assert energy.joules == 59 * 30 * 300


def test_a_gap_in_a_recording_is_no_pace() -> None:
    meter = PowerMeter()
    for at in (0, 3600, 3601, 3602, 3603, 9000, 9001):
        meter.sampled(taken(at, drawing(A, 100), source=RECORDED))
    energy = meter.report().energy
    assert energy.joules == 4 * 100
    assert energy.missing_seconds == 3600 + 5397


def test_a_live_source_has_the_pace_of_the_configuration() -> None:
    meter = PowerMeter(1.0)
    for index in range(20):
        meter.sampled(taken(index * 30, drawing(A, 300)))
    assert meter.report().energy.joules is None


@pytest.mark.parametrize("counter", [True, False])
def test_samples_that_come_slower_for_a_while_miss_nothing(counter: bool) -> None:
    never = TerminalConfig(unfocused_interval=0, idle_interval=0)  # which may change while it runs
    meter = PowerMeter(Config(interval=1.0, terminal=never).longest_interval)
    times = [*range(60), *range(60, 600, 2), *range(600, 1200, 10), *range(1200, 1261)]
    for at in times:
        more = {"total_energy_consumption": 300.0 * at} if counter else {}
        meter.sampled(taken(at, drawing(A, 300, power_max_limit=600, **more)))
    energy = meter.report().energy
    assert (energy.joules, energy.seconds, energy.missing_seconds) == (300 * 1260, 1260, 0)
