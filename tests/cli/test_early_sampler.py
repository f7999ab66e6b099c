"""What is sampled before the screen is there is not lost on those who watch every sample."""

from __future__ import annotations

from gputui.cli.dashboard import EarlySampler
from gputui.gpu.sample import Snapshot
from tests.support.traces import snapshot
from tests.support.waiting import wait_for


class Counting:
    """A sample at every call, up to ten."""

    name = "counting"

    def __init__(self, live: bool) -> None:
        self.live = live
        self.count = 0

    def samples(self) -> list[Snapshot]:
        if self.count == 10:
            return []
        self.count += 1
        return [snapshot(float(self.count))]

    def close(self) -> None: ...


def test_all_that_came_before_the_start_is_told_then_in_order() -> None:
    source = Counting(live=True)
    sampler = EarlySampler(source, 0.01)
    told: list[float] = []
    sampler.listen(lambda one: told.append(one.taken_at))
    wait_for(lambda: source.count >= 3)
    assert told == []
    sampler.start()
    wait_for(lambda: len(told) == 10)
    sampler.stop()
    assert told == list(range(1, 11))


def test_a_trace_begins_with_the_screen() -> None:
    source = Counting(live=False)
    sampler = EarlySampler(source, 0.01)
    told: list[float] = []
    sampler.listen(lambda one: told.append(one.taken_at))
    assert source.count == 0
    sampler.start()
    wait_for(lambda: len(told) == 10)
    sampler.stop()
    assert told == list(range(1, 11))
