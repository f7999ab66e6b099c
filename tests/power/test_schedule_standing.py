"""What a GPU has of its schedule: limits that were lost, set by hand, or never answered for."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gputui.gpu.power_limit import LimitChange
from gputui.gpu.sample import Problem
from gputui.identity import GpuIdentity
from gputui.power.schedule import HANGS_AFTER_SECONDS, PowerSchedule
from tests.power.schedule_rig import NIGHT, Rig, table
from tests.support.waiting import wait_for


def standing(rig: Rig) -> tuple[bool, str]:
    (planned,) = rig.schedule.plan()
    return planned.in_force, planned.words


def test_in_force_is_said_of_the_limit_that_the_gpu_has() -> None:
    rig = Rig(NIGHT)
    rig.problem = Problem("GPU is lost")
    rig.at("22:00")
    assert standing(rig) == (False, "due, not applied yet")
    rig.problem = None
    rig.at("22:01")
    assert standing(rig) == (True, "in force")
    rig.seconds, rig.limits["GPU-b"] = 60, 400
    rig.at("22:02")
    assert standing(rig) == (False, "limit is now 400 W (set by hand)")
    rig.problem = Problem("GPU is lost")
    rig.at("22:03")
    assert standing(rig) == (False, "applied; the GPU does not answer")
    rig.problem = None
    rig.at("12:00")
    assert standing(rig) == (False, "")


def test_a_sample_may_be_older_than_the_change() -> None:
    """The limit is read every 5 seconds, so it is 575 W for a while after 300 W were set."""
    rig = Rig(NIGHT)
    rig.at("22:00")
    rig.limits["GPU-b"], rig.seconds = 575, 4
    rig.at("22:00")
    assert standing(rig) == (True, "in force")
    rig.seconds = 30
    rig.at("22:01")
    assert standing(rig) == (False, "limit is now 575 W (set by hand)")


@pytest.mark.parametrize("sign", ["lost", "driver gone", "absent", "counter"])
def test_a_limit_that_a_reset_took_away_is_applied_again(sign: str) -> None:
    rig = Rig(NIGHT)
    rig.joules = 90_000
    rig.at("21:00")
    rig.at("22:00")
    rig.seconds = 60
    whole = rig.snapshot()
    if sign == "lost":
        rig.problem = Problem("GPU is lost")
        rig.at("22:10")
        rig.problem = None
    elif sign == "driver gone":
        rig.schedule.sampled(replace(whole, problem=Problem("the driver was unloaded")))
    elif sign == "absent":
        rig.schedule.sampled(replace(whole, gpus=whole.gpus[:1]))
    else:
        rig.joules = 40
    rig.seconds = 61
    assert rig.at("22:11") == 300, "the reading is an old one still"
    rig.seconds, rig.limits["GPU-b"] = 66, 600
    assert rig.at("22:12") == 300
    assert standing(rig) == (True, "in force")
    assert rig.sets == [(1, 300)] * 2
    assert rig.at("07:00") == 575, "what stood before the window"


def test_what_was_set_by_hand_outlives_a_gpu_that_was_away_for_a_moment() -> None:
    rig = Rig(NIGHT)
    rig.at("22:00")
    rig.seconds, rig.limits["GPU-b"] = 60, 400
    rig.at("22:01")
    rig.problem = Problem("timeout")
    rig.at("22:02")
    rig.problem = None
    assert [rig.at(time) for time in ("22:03", "22:04")] == [400, 400]


def test_a_gpu_whose_driver_hangs_holds_no_other_and_is_told_once() -> None:
    leave, other = threading.Event(), threading.Event()
    rig = Rig()

    def driver(gpu: GpuIdentity, watts: float) -> LimitChange:
        if gpu.index == 0:
            leave.wait(60)
        else:
            other.set()
        return LimitChange(gpu, 575, watts)

    tables = [table("00:00", "00:00", 300, "0"), table("00:00", "00:00", 300, "1")]
    hung = PowerSchedule(tables, driver, clock=lambda: rig.seconds)
    hung.sampled(rig.snapshot())
    try:
        assert other.wait(60)
        for rig.seconds in (29, HANGS_AFTER_SECONDS, 31, 99):
            hung.sampled(rig.snapshot())
        (failure,) = [notice for notice in hung.take_notices() if notice.failed]
        assert "GPU 0: the driver has not answered" in failure.message
        assert [planned.trouble for planned in hung.plan()] == [failure.message, ""]
    finally:
        leave.set()
    wait_for(lambda: hung.plan()[0].words == "in force")


def test_a_driver_that_hangs_does_not_hold_the_sampler() -> None:
    entered, leave = threading.Event(), threading.Event()

    def hang(gpu: GpuIdentity, watts: float) -> LimitChange:
        entered.set()
        leave.wait(60)
        return LimitChange(gpu, 575, watts)

    rig = Rig()
    hung = PowerSchedule([table("00:00", "00:00")], hang)
    for _ in range(3):
        hung.sampled(rig.snapshot())
    assert entered.wait(60)
    assert hung.take_notices() == ()
    leave.set()
    assert [notice.failed for notice in wait_for(hung.take_notices)] == [False]


def test_a_table_that_was_removed_meanwhile_gives_back_too(tmp_path: Path) -> None:
    rig = Rig(NIGHT, memory=tmp_path / "m.json")
    assert rig.at("23:00") == 300
    rig.start()  # no table at all any more
    assert rig.at("23:10") == 575
    assert rig.sets == [(1, 300), (1, 575)]
    rig.start(NIGHT)
    assert rig.at("23:20") == 300
    rig.start(table("22:00", "07:00", 400, "PRO 6000"))  # another GPU's
    rig.at("23:30")
    assert rig.limits == {"GPU-a": 400, "GPU-b": 575}
    rig.limits["GPU-b"] = 480  # by hand: it stands
    rig.start()
    assert rig.at("23:40") == 480
    assert rig.limits["GPU-a"] == 575
