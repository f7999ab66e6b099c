from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from gputui.gpu.sample import GpuSample, Snapshot
from gputui.gpu.sampler import Sampler
from gputui.host import HostSample
from gputui.identity import GpuIdentity
from tests.support.waiting import wait_for

GPU = GpuIdentity(0, "GPU-a", "a GPU", "00000000:01:00.0")


class ScriptedSource:
    """Counts its samples; holds the next one while ``gate`` is closed; fails while told to."""

    name = "scripted"
    live = True

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.failing = False
        self.count = 0
        self.closed = threading.Event()

    def samples(self) -> tuple[Snapshot]:
        assert self.gate.wait(60)
        if self.failing:
            raise RuntimeError("broken \x1b[31mreader")
        self.count += 1
        gpu = GpuSample(GPU, {"power_draw": float(self.count)})
        return (Snapshot(self.name, float(self.count), (gpu,)),)

    def close(self) -> None:
        self.closed.set()


class Listener:
    """Keeps what it was told, and what the history held at that moment."""

    def __init__(self) -> None:
        self.told: list[Snapshot] = []
        self.newest: list[list[float | None]] = []
        self.sampler: Sampler | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        assert self.sampler is not None
        self.newest.append(self.sampler.history.window(GPU.uuid, "power_draw", 1))
        self.told.append(snapshot)


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    source = ScriptedSource()
    yield source
    source.gate.set()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def sampler(source: ScriptedSource, listener: Listener) -> Iterator[Sampler]:
    sampler = Sampler(source, 0.02, listener, patience=0.2)
    listener.sampler = sampler
    yield sampler
    sampler.stop()


def test_history_holds_a_sample_before_the_listener_hears_of_it(
    sampler: Sampler, listener: Listener
) -> None:
    sampler.start()
    wait_for(lambda: len(listener.told) >= 5)
    sampler.stop(wait=5)
    for snapshot, newest in zip(listener.told, listener.newest, strict=True):
        assert newest == [snapshot.gpus[0].values["power_draw"]]
    assert sampler.latest is not None
    assert [s.taken_at for s in listener.told] == sorted({s.taken_at for s in listener.told})


def test_a_driver_that_does_not_answer_is_reported_and_comes_back(
    sampler: Sampler, source: ScriptedSource, listener: Listener
) -> None:
    sampler.start()
    wait_for(lambda: listener.told)
    source.gate.clear()
    stale = wait_for(lambda: next((s for s in listener.told if s.problem), None))
    assert stale.problem is not None
    assert "has not answered for" in stale.problem.message
    assert stale.problem.hint
    assert stale.gpus, "the last known readings stay"
    assert sampler.latest is not None
    assert sampler.latest.problem is not None
    ticks = sampler.history.ticks
    source.gate.set()
    wait_for(lambda: sampler.latest is not None and sampler.latest.problem is None)
    wait_for(lambda: sampler.history.ticks > ticks + 2)
    assert None in sampler.history.window(GPU.uuid, "power_draw", sampler.history.ticks), (
        "the time in which nothing was read is a gap in the history"
    )


def test_a_driver_that_never_answered_is_reported_too(
    sampler: Sampler, source: ScriptedSource, listener: Listener
) -> None:
    source.gate.clear()
    sampler.start()
    wait_for(lambda: listener.told)
    assert listener.told[0].problem is not None
    assert listener.told[0].gpus == ()
    assert listener.told[0].source == "scripted"


def test_stop_does_not_wait_for_a_call_that_hangs(
    sampler: Sampler, source: ScriptedSource, listener: Listener
) -> None:
    source.gate.clear()
    sampler.start()
    wait_for(lambda: listener.told)
    sampler.stop()
    sampler.stop(wait=0.05)
    assert not source.closed.is_set()
    source.gate.set()
    assert source.closed.wait(60), "closed as soon as the call is back"


def test_stop_ends_the_samples_and_closes_the_source(
    sampler: Sampler, source: ScriptedSource, listener: Listener
) -> None:
    sampler.start()
    wait_for(lambda: listener.told)
    sampler.stop(wait=60)
    assert source.closed.is_set(), "the thread is over, nothing samples any more"
    sampler.stop()


def test_a_shorter_interval_brings_a_sample_at_once(
    source: ScriptedSource, listener: Listener
) -> None:
    sampler = listener.sampler = Sampler(source, 3600.0, listener)
    sampler.start()
    try:
        wait_for(lambda: len(listener.told) == 1)
        sampler.set_interval(1800.0)
        wait_for(lambda: len(listener.told) == 2)
        assert sampler.history.ticks == 2, "nothing was missed by it"
        sampler.set_interval(0.01)
        wait_for(lambda: len(listener.told) > 5)
    finally:
        sampler.stop(wait=60)
    assert source.closed.is_set(), "stopping does not wait for what is due in an hour"


def test_a_trace_keeps_its_own_time(source: ScriptedSource, listener: Listener) -> None:
    source.live = False
    sampler = Sampler(source, 1.0, listener)
    sampler.set_interval(3600.0)
    assert sampler.interval <= 1.0


def test_a_source_that_raises_is_reported_cleaned_and_tried_again(
    sampler: Sampler, source: ScriptedSource, listener: Listener
) -> None:
    sampler.start()
    wait_for(lambda: listener.told)
    source.failing = True
    bad = wait_for(lambda: next((s for s in listener.told if s.problem), None))
    assert bad.problem is not None
    assert bad.problem.message == "reading the GPUs failed: RuntimeError: broken reader"
    at = listener.told.index(bad)
    assert bad.gpus == listener.told[at - 1].gpus
    assert listener.newest[at] == [None], "a reading that failed is none"
    source.failing = False
    wait_for(lambda: listener.told[-1].problem is None)


def test_a_listener_that_fails_ends_nothing() -> None:
    source = ScriptedSource()
    told: list[Snapshot] = []

    def listener(snapshot: Snapshot) -> None:
        if snapshot.taken_at == 3 and snapshot.problem is None:
            raise KeyError("once")
        told.append(snapshot)

    sampler = Sampler(source, 0.01, listener)
    sampler.start()
    try:
        wait_for(lambda: told and told[-1].taken_at > 5)
        (failed,) = [snapshot for snapshot in told if snapshot.problem]
        assert failed.problem is not None
        assert failed.problem.message == "passing a sample on failed: KeyError: 'once'"
    finally:
        sampler.stop(wait=60)


def test_a_machine_that_cannot_be_read_costs_no_sample() -> None:
    source = ScriptedSource()
    told: list[Snapshot] = []

    def host() -> HostSample:
        raise OSError("no /proc here")

    sampler = Sampler(source, 0.01, told.append, host=host)
    sampler.start()
    try:
        wait_for(lambda: len(told) > 5)
        assert all(one.host is None and one.problem is None and one.gpus for one in told)
    finally:
        sampler.stop(wait=60)


def test_without_a_history_none_takes_memory() -> None:
    source = ScriptedSource()
    told: list[Snapshot] = []
    sampler = Sampler(source, 0.01, told.append, keep_history=False)
    sampler.start()
    try:
        wait_for(lambda: len(told) > 5)
        assert sampler.history.memory_bytes < 1000
    finally:
        sampler.stop(wait=60)


def test_a_hung_call_does_not_hold_the_exit_of_the_program() -> None:
    program = """
import threading
from gputui.gpu.sampler import Sampler

class Hung:
    name = "hung"
    live = True
    def samples(self):
        entered.set()
        threading.Event().wait()
    def close(self): pass

entered = threading.Event()
sampler = Sampler(Hung(), 1.0, lambda snapshot: None)
sampler.start()
entered.wait()
sampler.stop()
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""
