"""When the rig is looked at less often, and what brings the full pace back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events

from gputui.alerts.rules import rules_of
from gputui.alerts.watch import AlertWatch
from gputui.config import AlertConfig, Config, TerminalConfig
from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.ui.pace import Pace
from tests.ui.harness import BOTH, Rig, gpu_sample, make_rig, rig, snapshot, status, until

HOT = AlertConfig(name="temperature", for_=60)


class Desk:
    """A pace on a clock of its own; remembers what it set."""

    def __init__(self, config: Config | None = None, **services: object) -> None:
        self.now = 0.0
        self.set: list[float] = []
        self.hurried = 0
        self.rig: Rig = make_rig(config or Config(), **services)  # type: ignore[arg-type]
        self.pace = Pace(self.rig.app.services, self._hurry, lambda: self.now)
        self.pace.sampler = self

    def set_interval(self, interval: float) -> None:
        self.set.append(interval)

    def _hurry(self) -> None:
        self.hurried += 1

    def pass_time(self, seconds: float) -> float:
        """The interval once a sample was taken so much later."""
        self.now += seconds
        self.pace.sampled()
        return self.set[-1]


def test_without_focus_it_is_slower_and_with_it_at_once_as_before() -> None:
    desk = Desk()
    assert desk.pass_time(10) == 1.0
    desk.pace.focus(False)
    assert (desk.set[-1], desk.pace.slowed, desk.hurried) == (2.0, 2.0, 0)
    desk.pace.focus(True)
    assert (desk.set[-1], desk.pace.slowed, desk.hurried) == (1.0, 0.0, 1)


def test_long_after_the_last_key_it_is_slower_still_and_a_key_ends_that() -> None:
    desk = Desk()
    assert desk.pass_time(899) == 1.0
    assert desk.pass_time(1) == 5.0
    desk.pace.focus(False)
    assert desk.set[-1] == 5.0
    desk.pace.pressed()  # whoever presses a key is there, whatever the terminal says
    assert (desk.set[-1], desk.hurried) == (1.0, 1)
    assert desk.pass_time(899) == 1.0


@pytest.mark.parametrize(
    ("interval", "terminal", "expected"),
    [
        (1.0, TerminalConfig(unfocused_interval=0, idle_interval=0), (1.0, 1.0)),
        (4.0, TerminalConfig(), (4.0, 5.0)),
        (10.0, TerminalConfig(), (10.0, 10.0)),
        (0.5, TerminalConfig(unfocused_interval=3, idle_after="5m", idle_interval=2), (3.0, 3.0)),
    ],
)
def test_never_faster_than_configured_and_nought_is_never_slower(
    interval: float, terminal: TerminalConfig, expected: tuple[float, float]
) -> None:
    desk = Desk(Config(interval=interval, terminal=terminal))
    desk.pace.focus(False)
    unfocused = desk.set[-1]
    assert (unfocused, desk.pass_time(901)) == expected


@pytest.mark.parametrize(
    "busy",
    [
        status("a", State.LOADING, 0, 1),
        status("a", State.STARTING, 0, 1),
        status("a", State.STOPPING, 0, 1),
        status("a", State.FAILED, 0, 1, restart_at=5.0),
        status("a", State.READY, 0, 1, metrics=InstanceMetrics(slots_busy=1)),
        status("a", State.READY, 0, 1, metrics=InstanceMetrics(requests_deferred=1)),
    ],
    ids=lambda one: f"{one.state}",
)
def test_while_an_instance_does_something_the_pace_is_full(busy: InstanceStatus) -> None:
    desk = Desk()
    desk.pace.focus(False)
    desk.pace.observed([busy])
    assert (desk.set[-1], desk.hurried) == (1.0, 1)
    desk.pace.observed(
        [replace(busy, state=State.READY, restart_at=None, metrics=InstanceMetrics())]
    )
    assert desk.set[-1] == 2.0


def hot(celsius: float, at: float) -> Snapshot:
    sample = gpu_sample(0)
    sample = replace(sample, values={**sample.values, "temperature_gpu": celsius})
    return Snapshot("nvml", at, (sample,))


def test_while_an_alert_is_pending_the_pace_is_full() -> None:
    config = Config(alerts=(HOT,))
    alerts = AlertWatch(config, rules_of(config), None)
    desk = Desk(config, alerts=alerts)
    desk.pace.focus(False)
    assert desk.pass_time(2) == 2.0
    alerts.sampled(hot(95, 10))
    assert not alerts.firing
    assert desk.pass_time(2) == 1.0
    alerts.sampled(hot(40, 11))
    assert desk.pass_time(1) == 2.0


def test_numbers_wait_for_the_next_sample_and_states_do_not() -> None:
    desk = Desk()
    ready, stopped = BOTH
    assert desk.pace.observed(BOTH), "no sample yet: nothing to wait for"
    desk.pace.sampled()
    more = replace(ready, metrics=InstanceMetrics(generation_tokens_per_second=20.0))
    assert not desk.pace.observed([more, stopped])
    assert desk.pace.observed([more, replace(stopped, state=State.FAILED)])
    desk.now += 2  # the sampler hangs
    assert desk.pace.observed([ready, replace(stopped, state=State.FAILED)])


async def test_the_terminal_says_whether_it_has_focus() -> None:
    one = rig(alerts=None)
    one.supervisor.statuses[0] = replace(BOTH[0], metrics=InstanceMetrics())
    async with one.app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(one.samplers))

        def changed(to: float) -> bool:
            return one.sampler.intervals[-1:] == [to]

        one.app.post_message(events.AppBlur())
        await until(pilot, lambda: changed(2.0))
        one.app.post_message(events.AppFocus())
        await until(pilot, lambda: changed(1.0))
        one.app.post_message(events.AppBlur())
        await until(pilot, lambda: changed(2.0))
        await pilot.press("down")
        await until(pilot, lambda: changed(1.0))
        one.sampler.take(snapshot(tick=91))
        await pilot.pause()
        assert changed(1.0)
