"""Power limits by the time of day, against the clock on the wall."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.config import PowerLimitConfig
from gputui.errors import GputuiError
from gputui.gpu.power_limit import LimitRefusedError
from gputui.gpu.sample import Problem
from gputui.power import schedule
from gputui.power.schedule import _State, due
from tests.power.schedule_rig import NIGHT, Rig, table

BERLIN = ZoneInfo("Europe/Berlin")


def test_which_table_is_due() -> None:
    day = table("07:00", "22:00", 500)
    for time, expected in (
        ("06:59", NIGHT),
        ("07:00", day),
        ("21:59", day),
        ("22:00", NIGHT),
        ("00:00", NIGHT),
    ):
        hour, minute = map(int, time.split(":"))
        assert due((NIGHT, day), datetime(2026, 1, 1, hour, minute)) is expected
    assert due((), datetime(2026, 1, 1)) is None
    assert due((table("10:00", "10:00"),), datetime(2026, 1, 1, 9, 59)) is not None, "all day"


def test_a_night_is_applied_at_its_ends_alone() -> None:
    rig = Rig(NIGHT)
    assert rig.at("21:59") == 575
    assert rig.at("22:00") == 300
    assert rig.told() == ["GPU 1: power limit 575 → 300 W (22:00 to 07:00)"]
    assert [rig.at(time) for time in ("23:59", "00:00", "06:59")] == [300, 300, 300]
    assert rig.at("07:00") == 575, "what stood before"
    assert rig.told() == ["GPU 1: power limit 300 → 575 W (the window is over)"]
    assert rig.sets == [(1, 300), (1, 575)]


def test_a_limit_set_by_hand_stands_until_the_next_boundary() -> None:
    rig = Rig(NIGHT)
    rig.at("21:00")
    rig.limits["GPU-b"] = 550
    rig.at("22:00")
    rig.limits["GPU-b"] = 400
    assert [rig.at(time) for time in ("22:01", "03:00", "06:59")] == [400, 400, 400]
    assert rig.at("07:00") == 550
    rig.limits["GPU-b"] = 420
    assert rig.at("21:59") == 420


def test_begun_in_the_middle_of_a_window() -> None:
    rig = Rig(NIGHT)
    assert rig.at("23:30") == 300
    assert rig.at("07:00") == 575


def test_a_limit_that_its_owner_had_set_stays_where_it_is_the_tables_too() -> None:
    rig = Rig(NIGHT)
    rig.limits["GPU-b"] = 300
    assert [rig.at(time) for time in ("23:00", "06:59", "07:00", "12:00")] == [300] * 4
    assert rig.sets == []
    assert rig.told() == []


def test_the_default_is_given_back_where_nothing_else_is_known() -> None:
    rig = Rig(NIGHT)
    rig.unread = True
    rig.at("23:30")
    rig.unread = False
    assert rig.at("07:00") == 600
    unknown = Rig(NIGHT)
    unknown.unread, unknown.default = True, None
    unknown.at("23:30")
    unknown.told()
    assert unknown.at("07:00") == 300
    assert "its default is not known" in unknown.told()[0]


def test_a_boundary_is_over_only_when_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that comes while one is carried out, up to its very end, does not begin it again."""
    rig = Rig(NIGHT)
    rig.refusal = LimitRefusedError("GPU 1: needs root's rights")

    class Watched(_State):
        def __setattr__(self, name: str, value: object) -> None:
            ended = name == "busy" and not value and getattr(self, "busy", False)
            super().__setattr__(name, value)
            if ended and rig.asked == 1:
                rig.schedule.sampled(rig.snapshot())

    monkeypatch.setattr(schedule, "_State", Watched)
    rig.at("22:00")
    assert rig.asked == 1


def test_from_one_window_into_the_next() -> None:
    rig = Rig(table("20:00", "22:00", 450), table("22:00", "02:00", 300))
    limits = [rig.at(time) for time in ("19:59", "20:00", "22:00", "02:00")]
    assert limits == [575, 450, 300, 575]


def test_outside_every_window_nothing_is_touched_at_the_start() -> None:
    rig = Rig(NIGHT)
    rig.limits["GPU-b"] = 433
    assert [rig.at(time) for time in ("12:00", "18:00")] == [433, 433]
    assert rig.sets == []


def test_only_the_gpus_of_the_table() -> None:
    rig = Rig(table("22:00", "07:00", 300, "PRO 6000", "5090"), table("12:00", "13:00", 500, "0"))
    rig.at("12:30")
    rig.at("23:00")
    assert rig.sets == [(0, 500), (0, 300), (1, 300)]


def test_what_was_left_at_the_end_of_a_program_is_given_back_by_the_next(tmp_path: Path) -> None:
    memory = tmp_path / "state" / "power_limits.json"
    rig = Rig(NIGHT, memory=memory)
    rig.at("22:30")
    assert memory.stat().st_mode & 0o777 == 0o600
    rig.start(NIGHT)
    assert rig.at("23:00") == 300
    assert rig.at("07:00") == 575, "known from the first program"
    rig.at("22:30")
    rig.start(NIGHT)
    assert rig.at("12:00") == 575, "at the start, long after the window"
    assert rig.sets == [(1, 300), (1, 575)] * 2


def test_what_was_set_by_hand_meanwhile_is_not_given_back(tmp_path: Path) -> None:
    rig = Rig(NIGHT, memory=tmp_path / "m.json")
    rig.at("22:30")
    rig.limits["GPU-b"] = 444
    rig.start(NIGHT)
    assert rig.at("12:00") == 444


@pytest.mark.parametrize("content", ["", "{", "[]", '{"boot_id": "another", "gpus": {}}'])
def test_a_memory_that_says_nothing_is_as_none(tmp_path: Path, content: str) -> None:
    memory = tmp_path / "m.json"
    memory.write_text(content)
    rig = Rig(NIGHT, memory=memory)
    rig.limits["GPU-b"] = 300
    assert rig.at("12:00") == 300
    rig.at("22:30")
    assert json.loads(memory.read_text())["gpus"]["GPU-b"]["applied"] == 300


def test_a_memory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rig = Rig(NIGHT, memory=tmp_path / "file" / "m.json")
    assert rig.at("22:30") == 300


def test_without_permission_the_command_is_told_once() -> None:
    rig = Rig(NIGHT)
    rig.refusal = LimitRefusedError("GPU 1: needs root's rights", "sudo nvidia-smi -i x -pl 300")
    rig.at("22:00")
    (notice,) = rig.schedule.take_notices()
    assert (notice.failed, notice.hint) == (True, "sudo nvidia-smi -i x -pl 300")
    for time in ("22:01", "07:00", "22:00"):
        rig.at(time)
    assert rig.told() == []
    assert rig.schedule.plan()[0].trouble == "GPU 1: needs root's rights"
    rig.refusal = None
    assert rig.at("07:00") == 575, "what was never set is not given back"
    assert rig.at("22:00") == 300
    assert rig.schedule.plan()[0].trouble == ""


def test_a_gpu_in_trouble_gets_its_limit_when_it_is_back() -> None:
    rig = Rig(NIGHT)
    rig.at("21:00")
    rig.problem = Problem("GPU is lost")
    assert rig.at("22:00") == 575
    rig.problem = None
    assert rig.at("22:10") == 300
    rig.refusal = GputuiError("GPU 1: the driver was unloaded")
    rig.at("07:00")
    rig.at("07:00")
    assert len(rig.told()) == 2, "the change, and the failure once"
    rig.refusal, rig.seconds = None, 59
    assert rig.at("07:00") == 300
    rig.seconds = 60
    assert rig.at("07:01") == 575


def test_a_fault_of_the_setter_is_told_and_ends_nothing() -> None:
    rig = Rig(NIGHT)
    rig.refusal = None
    rig.schedule._setter = lambda gpu, watts: 1 / 0  # type: ignore[assignment,return-value]
    rig.at("22:00")
    assert rig.told() == ["ZeroDivisionError: division by zero"]


def test_readonly_sets_nothing_and_says_so() -> None:
    rig = Rig(NIGHT, held="gputui runs with --readonly")
    assert rig.at("22:00") == 575
    (planned,) = rig.schedule.plan()
    assert (planned.now, planned.trouble) == (NIGHT, "gputui runs with --readonly")
    assert rig.told() == []


def test_tables_that_clash_are_told_and_the_first_holds() -> None:
    rig = Rig(NIGHT, table("06:00", "08:00", 200, "RTX 5090"), table("01:00", "02:00", 1, "none"))
    assert rig.at("06:30") == 300
    clash, unknown = rig.schedule.take_notices()[:2]
    assert "number 1 (22:00 to 07:00) and number 2 (06:00 to 08:00) overlap" in clash.message
    assert '"none" names no GPU' in unknown.message


def minutes(begin: datetime, end: datetime) -> list[datetime]:
    """Every minute from one moment to another, as a wall clock in Berlin shows them."""
    count = int((end - begin).total_seconds() // 60)
    return [(begin + timedelta(minutes=m)).astimezone(BERLIN) for m in range(count)]


SPRING = minutes(datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC))
AUTUMN = minutes(datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC))
TIMES = st.builds(
    lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}", st.integers(0, 24 * 4 - 1)
)


def within(window: PowerLimitConfig, local: datetime) -> bool:
    """As people read it: the clock's hands, nothing else."""
    now, begin, end = f"{local:%H:%M}", window.from_, window.to
    if begin == end:
        return True
    return begin <= now < end if begin < end else (now >= begin or now < end)


def test_daylight_saving_time_has_the_hours_it_has() -> None:
    assert {f"{t:%H:%M}" for t in SPRING}.isdisjoint({"02:00", "02:30", "02:59"})
    assert sum(f"{t:%H:%M}" == "02:30" for t in AUTUMN) == 2


@settings(max_examples=60)
@given(st.sampled_from([SPRING, AUTUMN]), TIMES, TIMES, st.integers(0, 600), st.data())
def test_the_limit_follows_the_clock_on_the_wall(
    clock: list[datetime], begin: str, end: str, start: int, data: st.DataObject
) -> None:
    """Over a night in which an hour is left out or repeated, begun at any minute of it."""
    window = table(begin, end)
    rig = Rig(window)
    by_hand = data.draw(st.none() | st.integers(start, len(clock) - 1), "set by hand at")
    expected, before = 575.0, within(window, clock[start]) and None
    was: bool | None = None
    for index in range(start, len(clock), 5):
        if by_hand is not None and index >= by_hand:
            rig.limits["GPU-b"] = expected = 512.0
            by_hand = None
        inside = within(window, clock[index])
        if inside and not was:
            before, expected = expected, 300.0
        elif was and not inside:
            assert before is not None
            expected = before
        was = inside
        assert rig.at(clock[index]) == expected, clock[index]
    boundaries = sum(
        within(window, one) != within(window, other)
        for one, other in zip(clock[start::5], clock[start + 5 :: 5], strict=False)
    )
    assert len(rig.sets) <= boundaries + 1


def test_a_clock_set_by_hours_is_followed() -> None:
    rig = Rig(NIGHT)
    rig.at("12:00")
    assert rig.at("23:00") == 300
    assert rig.at("12:00") == 575


def test_snapshots_under_a_problem_change_nothing() -> None:
    rig = Rig(NIGHT)
    rig.local = rig.local.replace(hour=23)
    rig.schedule.sampled(replace(rig.snapshot(), problem=Problem("the driver hangs")))
    assert rig.sets == []
    assert rig.schedule.plan() == ()


def test_other_tables_hold_at_the_next_sample_and_one_that_is_gone_is_given_back() -> None:
    rig = Rig(NIGHT)
    assert rig.at("23:00") == 300
    rig.schedule.set_tables((table("22:00", "07:00"),))
    assert rig.at("23:01") == 300
    assert len(rig.sets) == 1, "a table that says the same is the same"
    rig.schedule.set_tables((table("22:00", "07:00", 400),))
    assert rig.at("23:02") == 400
    rig.schedule.set_tables(())
    assert rig.at("23:03") == 575
    rig.schedule.set_tables((NIGHT,))
    assert rig.at("23:04") == 300
