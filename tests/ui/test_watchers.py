"""A watcher that fails is told, and stops neither the others nor the screen."""

from __future__ import annotations

from collections.abc import Sequence

from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceStatus
from tests.ui.harness import rig, snapshot, until, until_shown


class Broken:
    """Fails at whatever it is told."""

    def sampled(self, snapshot: Snapshot) -> None:
        raise KeyError("sampled")

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        raise KeyError("observed")


class Counting:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.samples = self.looks = 0

    def sampled(self, snapshot: Snapshot) -> None:
        self.samples += 1

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        self.looks += 1


async def test_the_others_and_the_screen_go_on() -> None:
    counting = Counting()
    one = rig(watchers=(Broken(), counting))
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "Broken failed: KeyError")
        before = counting.samples
        one.sampler.take(snapshot(tick=90))
        one.sampler.take(snapshot(tick=91))
        assert counting.samples == before + 2
        await until(pilot, lambda: counting.looks >= 2)
        assert one.app.is_running
        await until(pilot, lambda: len(one.app._notifications) == 1)  # told once
