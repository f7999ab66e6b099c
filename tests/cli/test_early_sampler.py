"""What is sampled before the screen is there is not lost on those who watch every sample."""

from __future__ import annotations

from gputui.cli.dashboard import EarlySampler
from gputui.gpu.sample import Snapshot
from tests.support.traces import snapshot
from tests.support.waiting import wait_for


class Counting:
    """A sample at every call, in batches as a trace gives them."""

    name = "counting"
    live = False

    def __init__(self) -> None:
        self.count = 0
        self.waiting = True

    def samples(self) -> list[Snapshot]:
        self.waiting = not self.waiting
        if self.waiting or self.count >= 300:
            return []
        self.count += 10
        return [snapshot(float(number)) for number in range(self.count - 10, self.count)]

    def close(self) -> None: ...


def test_all_that_came_before_the_start_is_told_then_in_order() -> None:
    source = Counting()
    sampler = EarlySampler(source, 0.01)
    told: list[float] = []
    sampler.listen(lambda one: told.append(one.taken_at))
    wait_for(lambda: source.count >= 30)
    assert told == []
    sampler.start()
    wait_for(lambda: len(told) == 300)
    sampler.stop()
    assert told == list(range(300))
