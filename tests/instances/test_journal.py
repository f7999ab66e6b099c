"""The journal of runs, and the availability that follows from it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.instances.keeping import journal
from gputui.instances.keeping.availability import Run, availability
from gputui.instances.keeping.journal import Availabilities, Ending, Journal
from gputui.instances.records import Paths, Record
from gputui.instances.status import State
from tests.instances.conftest import Rig, started, status_of, until

WINDOW = 40


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Run], int]:
    """What can happen to one instance, second by second: starts, loads, crashes, stops, reboots."""
    at = 0
    runs: list[Run] = []
    again = False
    for _ in range(draw(st.integers(0, 6))):
        at += draw(st.integers(0, 12))
        began = at
        loads = draw(st.none() | st.integers(0, 8))
        at += loads if loads is not None else draw(st.integers(0, 8))
        ready = None if loads is None else float(at)
        if draw(st.booleans()) and not draw(st.booleans()):
            runs.append(Run(float(began), ready, None, None, again, alive=False))  # never written
            again = False
            continue
        at += draw(st.integers(0, 12)) if ready is not None else 0
        crash = draw(st.booleans())
        until = None if crash else float(at)
        runs.append(Run(float(began), ready, float(at), until, again))
        again = crash and draw(st.booleans())
        if crash and not again and draw(st.booleans()):  # the user stops what has failed
            runs[-1] = Run(
                float(began), ready, float(at), float(at + draw(st.integers(0, 3))), runs[-1].again
            )
    if draw(st.booleans()):
        at += draw(st.integers(0, 12))
        ready = draw(st.none() | st.just(float(at)))
        runs.append(Run(float(at), ready, None, None, again, alive=True))
    return runs, at + draw(st.integers(0, 30))


def brute_force(runs: Sequence[Run], now: int, window: int) -> float | None:
    """The same, second by second, from who holds the instance wanted and ready in that second."""
    known = [run for run in runs if run.alive or run.ended_at is not None]
    wanted = ready = 0
    for second in range(max(0, now - window), now):
        begun = [run for run in known if run.started_at <= second]
        if not begun:
            continue
        head = max((i for i, run in enumerate(begun) if not run.again or i == 0))
        session = begun[head:]
        if not any(run.ready_at is not None and run.ready_at <= second for run in session):
            continue
        last = session[-1]
        over = last.wanted_until is not None and not last.alive and last.wanted_until <= second
        if over:
            continue
        wanted += 1
        ready += any(
            run.ready_at is not None
            and run.ready_at <= second
            and (run.alive or (run.ended_at is not None and second < run.ended_at))
            for run in session
        )
    return ready / wanted if wanted else None


@given(lives())
def test_availability_is_what_counting_seconds_gives(life: tuple[list[Run], int]) -> None:
    runs, now = life
    found = availability(runs, float(now), WINDOW)
    expected = brute_force(runs, now, WINDOW)
    assert found == (None if expected is None else pytest.approx(expected))


def test_examples() -> None:
    assert availability([], 100) is None
    assert availability([Run(0, None, alive=True)], 100) is None  # the first load
    assert availability([Run(0, 10, alive=True)], 110) == 1
    crash = Run(0, 10, ended_at=60)
    assert availability([crash, Run(62, 85, again=True, alive=True)], 110) == 0.75
    assert availability([crash], 110) == 0.5  # failed, and nobody cares
    assert availability([Run(0, 10, 60, wanted_until=60)], 110) == 1  # stopped by the user
    assert availability([Run(0, None, ended_at=5)], 110) is None  # it never ran at all


def record(name: str = "one", **more: object) -> Record:
    values = {"pid": 1, "started_at": time.time() - 100} | more
    return Record(
        name=name,
        start_ticks=1,
        boot_id="b",
        executable="e",
        argv=(),
        host="h",
        port=1,
        model="m",
        log="l",
        **values,  # type: ignore[arg-type]
    )


def test_a_run_is_kept_from_its_start_to_its_end_however_often_it_is_told(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    kept = Journal(paths)
    one = record()
    kept.began(one)
    ready = record(started_at=one.started_at, ready_at=one.started_at + 10)
    for _ in range(2):
        kept.began(ready)
    assert Availabilities(paths).read([ready]) == {"one": 1.0}
    end = one.started_at + 60
    for ending in (Ending.FAILED, Ending.STOPPED):  # the first word holds
        kept.ended(ready, end, ending)
    (share,) = Availabilities(paths).read([]).values()
    assert share == pytest.approx(50 / 90, abs=0.01)
    kept.dismissed("one", end)
    assert Availabilities(paths).read([]) == {"one": 1.0}
    with sqlite3.connect(tmp_path / "gputui.db") as connection:
        rows = connection.execute("SELECT ending, again FROM runs").fetchall()
    assert rows == [("failed", 0)]


def test_an_end_makes_up_for_what_was_not_written_before(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    again = record(ready_at=time.time() - 50, failures=(time.time() - 200,))
    Journal(paths).ended(again, time.time() - 10, Ending.REBOOTED)
    runs = Journal(paths).runs([], 0.0)["one"]
    assert [(run.again, run.ended_at == run.wanted_until) for run in runs] == [(True, True)]


def test_a_database_that_cannot_be_used_hinders_nothing(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    (tmp_path / "gputui.db").write_text("no database " * 100)
    kept = Journal(paths)
    kept.began(record())
    kept.ended(record(), 1.0, Ending.FAILED)
    kept.dismissed("one", 1.0)
    assert kept.runs([], 0.0) == {}
    (tmp_path / "gputui.db").unlink()
    assert kept.runs([], 0.0) == {}
    assert not (tmp_path / "gputui.db").exists()  # who only looks makes no files


async def test_a_crash_counts_against_it_and_a_stop_does_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_FRESH_SECONDS", 0.0)
    rig.add("one")
    session = rig.session()
    assert (await status_of(session, "one")).availability is None
    await started(session, "one")
    assert (await status_of(session, "one")).availability == 1.0
    rig.kill("one")
    await until(session, "one", State.FAILED)
    down = await until(session, "one", State.FAILED)
    assert down.availability is not None
    assert down.availability < 1.0
    await session.stop("one")
    before = (await status_of(session, "one")).availability
    assert before is not None
    assert (await status_of(session, "one")).availability == before
