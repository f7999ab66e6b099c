"""Playing a trace: every snapshot once, in order, at any speed, in bounded memory."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.errors import GputuiError
from gputui.gpu.recorded import BATCH, END_OF_RECORDING, EndOfRecording, RecordedSource
from gputui.gpu.sample import Problem, Snapshot
from gputui.gpu.sampler import Sampler
from gputui.gpu.trace_writer import write_trace
from tests.support.nvml_scenarios import Clock
from tests.support.traces import snapshot, write_lines
from tests.support.waiting import wait_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.trace"


def times(snapshots: list[Snapshot] | tuple[Snapshot, ...]) -> list[float]:
    return [one.taken_at for one in snapshots]


def test_playing_follows_the_clock_and_says_once_that_it_is_over(path: Path) -> None:
    write_trace(path, [snapshot(100.0), snapshot(101.0), snapshot(103.0)])
    clock = Clock()
    source = RecordedSource(path, clock=clock)
    seen = []
    for _ in range(9):
        seen.append(list(source.samples()))
        clock.now += 0.75
    assert [times(batch) for batch in seen] == [[100], [], [101], [], [103], [], [103], [], []]
    ends = [one.problem for batch in seen for one in batch]
    assert ends == [None, None, None, END_OF_RECORDING]
    assert {one.source for batch in seen for one in batch} == {"recorded"}
    source.close()
    assert source.samples() == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    gaps=st.lists(st.sampled_from((0.0, 0.001, 0.5, 1.0, 30.0, 7200.0)), max_size=40),
    speed=st.sampled_from((0.1, 1.0, 60.0, 3600.0, 1e6)),
    ticks=st.lists(st.sampled_from((0.05, 1.0, 10.0, 1e5)), min_size=1, max_size=30),
)
def test_at_every_speed_each_snapshot_comes_once_in_order_and_not_before_its_time(
    path: Path, gaps: list[float], speed: float, ticks: list[float]
) -> None:
    at = [100.0]
    for gap in gaps:
        at.append(round(at[-1] + gap, 3))
    write_trace(path, [snapshot(when, number) for number, when in enumerate(at)])
    clock = Clock()
    source = RecordedSource(path, speed=speed, clock=clock)
    seen: list[Snapshot] = []
    for tick in [0.0, *ticks]:
        clock.now += tick
        seen += source.samples()
        played = 100 + (clock.now - 1000) * speed
        due = sum(when <= played + 1e-6 for when in at)
        assert sum(one.problem is None for one in seen) in (due, due - 1)
    clock.now += 1e12
    while batch := source.samples():
        seen += batch
    assert [one.gpus[0].values["power_draw"] for one in seen[:-1]] == list(range(len(at)))
    assert times(seen) == [*at, at[-1]]
    assert seen[-1].problem == END_OF_RECORDING


def test_a_batch_is_bounded(path: Path) -> None:
    write_trace(path, [snapshot(float(second)) for second in range(2 * BATCH + 7)])
    clock = Clock()
    source = RecordedSource(path, speed=3600, clock=clock)
    source.samples()
    clock.now += 10
    assert [len(source.samples()) for _ in range(4)] == [BATCH, BATCH, 6, 1]


def test_a_clock_that_was_set_back_while_recording_does_not_stop_the_play(path: Path) -> None:
    write_trace(path, [snapshot(100.0, 1), snapshot(40.0, 2), snapshot(101.0, 3)])
    clock = Clock()
    source = RecordedSource(path, clock=clock)
    assert times(list(source.samples())) == [100, 40]
    clock.now += 1
    assert times(list(source.samples())) == [101]


def test_a_damaged_trace_is_played_up_to_there_and_the_line_named(path: Path) -> None:
    write_lines(path, {"taken_at": 1}, {"taken_at": 2}, b"nonsense\n", {"taken_at": 3})
    clock = Clock()
    source = RecordedSource(path, clock=clock)
    seen = []
    for _ in range(5):
        seen += source.samples()
        clock.now += 1
    assert times(seen) == [1, 2, 2]
    problem = seen[-1].problem
    assert isinstance(problem, EndOfRecording)
    assert "line 4" in problem.message
    assert "damaged" in problem.hint


def test_what_is_no_trace_is_refused_when_it_is_named(path: Path) -> None:
    path.write_bytes(b"hello\n")
    with pytest.raises(GputuiError, match="line 1: not a gputui trace"):
        RecordedSource(path)


def test_through_the_sampler_nothing_is_lost_and_what_was_read_before_is_not_read_again(
    path: Path,
) -> None:
    """A day in some seconds: told in order, in the history, and the end is told but not kept."""
    recorded = [snapshot(float(second), second % 600) for second in range(3000)]
    recorded.insert(1000, Snapshot("nvml", 999.5, recorded[999].gpus, None, Problem("hung")))
    write_trace(path, recorded)
    told: list[Snapshot] = []
    sampler = Sampler(RecordedSource(path, speed=1e6), 1.0, told.append)
    sampler.start()
    wait_for(lambda: told and told[-1].problem == END_OF_RECORDING)
    sampler.stop(wait=5)
    assert times(told) == [*times(recorded), 2999.0]
    assert told[1000].problem == Problem("hung")
    assert sampler.history.ticks == 3000
    window = sampler.history.window("GPU-0", "power_draw", 3000)
    assert window == [second % 600 for second in range(3000)]


def test_a_long_trace_needs_no_more_memory_than_a_short_one(path: Path) -> None:
    def peak(samples: int) -> int:
        power = (300 + 200 * math.sin(second / 50) for second in range(samples))
        write_trace(path, (snapshot(float(second), p) for second, p in enumerate(power)))
        tracemalloc.start()
        clock = Clock()
        source = RecordedSource(path, speed=3600, clock=clock)
        count = 0
        while batch := source.samples():
            count += len(batch)
            clock.now += 1
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == samples + 1
        return highest

    short, long = peak(12 * BATCH), peak(48 * BATCH)
    assert long < 1.2 * short
