"""The list of events: it survives a restart, several sessions keep one, and faults are words."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.alerts import events as events_module
from gputui.alerts.engine import Change, Ending, Event
from gputui.alerts.events import EventLog, Incident, Store
from gputui.database import _MIGRATIONS
from tests.alerts.making import event
from tests.support.waiting import wait_for

FIRED = event(at=100.0)
ROOT = Path(__file__).parents[2]


def ended(began: Event, at: float, how: Ending = Ending.OVER) -> Event:
    message = f"{began.message}: {how} after 01:00"
    return replace(began, at=at, change=Change.RESOLVED, message=message)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    """Two gputuis on one rig."""
    made = [Store(tmp_path / "state"), Store(tmp_path / "state")]
    yield made
    for store in made:
        store.leave([])


def listed(store: Store) -> list[Incident]:
    log = EventLog(store)
    found = log.incidents()
    assert log.problem is None
    return found


def test_an_alert_is_one_line_from_its_beginning_to_its_end(stores: list[Store]) -> None:
    store = stores[0]
    assert store.add(FIRED)
    (line,) = listed(store)
    assert (line.began_at, line.ended_at, line.lasted) == (100, None, None)
    assert store.add(ended(FIRED, 160))
    (line,) = listed(store)
    assert (line.ended_at, line.lasted, line.ending) == (160, 60, "over")
    assert (line.rule, line.subject, line.severity) == ("hot", "GPU 0", "warning")
    assert line.message == FIRED.message


def test_an_alert_ends_its_line_also_where_its_gpu_has_another_number_by_then(
    stores: list[Store],
) -> None:
    moved = replace(FIRED, subject=replace(FIRED.subject, name="GPU 7"))
    stores[0].add(FIRED)
    assert not stores[1].add(moved)
    assert stores[1].add(ended(moved, 160))
    (line,) = listed(stores[0])
    assert (line.subject, line.ended_at) == ("GPU 0", 160)
    other = replace(FIRED, subject=replace(FIRED.subject, key="GPU-1"))
    assert stores[0].add(FIRED)
    assert stores[0].add(other), "and who has its number now is another"


def test_events_of_an_older_gputui_are_read_and_ended(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "gputui.db")) as old:
        old.executescript("".join(_MIGRATIONS[:2]))
        old.execute(
            "INSERT INTO events (at, rule, subject, severity, state, message, value)"
            " VALUES (100, 'hot', 'GPU 0', 'warning', 'firing', 'hot', 91)"
        )
        old.execute("PRAGMA user_version = 2")
        old.commit()
    store = Store(tmp_path)
    (line,) = listed(store)
    store.leave([])
    assert (line.subject, line.ending) == ("GPU 0", "no longer watched")


def test_what_fires_stands_on_top_the_worst_first(stores: list[Store]) -> None:
    worse = event("worse", at=1)
    worse = replace(worse, rule=replace(worse.rule, severity="critical"))
    over = event("over", at=50)
    for one in (worse, over, ended(over, 60), event("later", at=90), event("latest", at=95)):
        stores[0].add(one)
    assert [line.rule for line in listed(stores[0])] == ["worse", "latest", "later", "over"]


def test_it_survives_a_restart(tmp_path: Path) -> None:
    log = EventLog(Store(tmp_path))
    log.put(FIRED)
    log.put(ended(FIRED, 160))
    log.put(event("still", at=170))
    log.close([ended(event("still", at=170), 200, Ending.UNWATCHED)])
    again = EventLog(Store(tmp_path))
    found = {line.rule: (line.lasted, line.ending) for line in again.incidents()}
    assert found == {"hot": (60, "over"), "still": (30, "no longer watched")}
    again.close([])
    database = tmp_path / "gputui.db"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_two_sessions_that_see_the_same_alert_list_it_once(stores: list[Store]) -> None:
    one, other = stores
    assert one.add(FIRED)
    assert not other.add(replace(FIRED, at=101.5))
    assert not other.add(replace(FIRED, at=300))
    assert one.add(ended(FIRED, 400))
    assert not other.add(ended(FIRED, 401))
    assert other.add(replace(FIRED, at=500)), "and a new one is news, whoever sees it first"
    assert [line.began_at for line in listed(one)] == [500, 100]


def test_what_waits_here_and_another_session_kept_is_one_line(stores: list[Store]) -> None:
    stores[0].add(FIRED)
    log = EventLog(stores[1])
    log._unkept.append(replace(FIRED, at=101.0))
    assert [line.began_at for line in log.incidents()] == [100]


def test_whoever_leaves_last_ends_what_fires(stores: list[Store]) -> None:
    one, other = stores
    one.add(FIRED)
    other.add(FIRED)
    one.leave([ended(FIRED, 200, Ending.UNWATCHED)])
    assert listed(other)[0].ended_at is None, "the other still watches it"
    other.leave([ended(FIRED, 300, Ending.UNWATCHED)])
    assert listed(other)[0].ended_at == 300


def elsewhere(function: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A function of this module in a process of its own, with words as arguments."""
    call = f"from tests.alerts.test_events import *; {function}(*sys.argv[1:])"
    words = [str(argument) for argument in arguments]
    return subprocess.Popen([sys.executable, "-c", f"import sys; {call}", *words], cwd=ROOT)


def die_firing(state: str) -> None:
    Store(Path(state)).add(FIRED)


def test_what_a_session_left_open_when_it_died_is_ended_by_the_next(tmp_path: Path) -> None:
    assert elsewhere("die_firing", tmp_path).wait(60) == 0
    store = Store(tmp_path)
    (line,) = listed(store)
    assert (line.ended_at, line.lasted, line.ending) == (100, None, "no longer watched")
    assert store.add(replace(FIRED, at=900)), "if it still is so, it is a new one"
    store.leave([])


def add_many(state: str, name: str) -> None:
    log = EventLog(Store(Path(state)))
    for at in range(50):
        began = event(name, at=float(at))
        log.put(began)
        log.put(ended(began, at + 0.5))
    log.close([], wait=60)


def test_two_processes_can_write_at_once(tmp_path: Path) -> None:
    writers = [elsewhere("add_many", tmp_path, name) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = Store(tmp_path)
    found = listed(store)
    store.leave([])
    assert sorted(line.rule for line in found) == ["a"] * 50 + ["b"] * 50
    assert {line.lasted for line in found} == {0.5}


def test_only_the_newest_rows_are_kept(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MOST_ROWS", 10)
    for at in range(40):
        stores[0].add(began := event(f"r{at}", at=float(at)))
        stores[0].add(ended(began, at + 0.5))
    assert [line.began_at for line in listed(stores[0])] == list(range(39, 34, -1))


def test_what_fires_is_kept_and_listed_however_much_came_after_it(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MOST_ROWS", 30)
    store, log = stores[0], EventLog(stores[0])
    store.add(FIRED)

    def flap(first: int) -> None:
        for at in range(first, first + 40):
            store.add(began := event("flaps", at=float(at)))
            store.add(ended(began, at + 0.5))

    flap(200)
    assert [line.rule for line in log.incidents(5)] == ["hot", *["flaps"] * 4]
    assert not store.add(replace(FIRED, at=300.0)), "it is on already"
    assert store.add(ended(FIRED, 400))
    assert ("hot", 300) in [(line.rule, line.lasted) for line in log.incidents()]
    flap(500)
    assert {line.rule for line in log.incidents()} == {"flaps"}, "what is over goes with its end"


def test_what_cannot_be_kept_is_told_shown_and_kept_once_that_works(tmp_path: Path) -> None:
    (tmp_path / "gputui.db").mkdir()
    told: list[tuple[str, bool]] = []
    log = EventLog(Store(tmp_path), lambda one, news: told.append((one.change, news)))
    log.put(FIRED)
    wait_for(lambda: told and log.problem, "the problem")
    assert "events are not being kept" in str(log.problem)
    assert [line.rule for line in log.incidents()] == ["hot"], "of this session"
    (tmp_path / "gputui.db").rmdir()
    log.put(ended(FIRED, 160))
    wait_for(lambda: len(told) == 2, "the second")
    assert log.problem is None
    log.close([])
    assert told == [("firing", True), ("resolved", True)], "the program runs all the same"
    (line,) = listed(store := Store(tmp_path))
    store.leave([])
    assert line.lasted == 60


def test_leaving_waits_for_no_locked_database(tmp_path: Path) -> None:
    log = EventLog(Store(tmp_path))
    log.put(FIRED)
    wait_for(lambda: len(log.incidents()) == 1, "the first")
    with contextlib.closing(sqlite3.connect(tmp_path / "gputui.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        log.put(ended(FIRED, 160))
        began = time.monotonic()
        log.close([], wait=0.3)
        assert time.monotonic() - began < 4, "SQLite would wait for 5"
        other.rollback()


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from("ab"), st.booleans()), min_size=1, max_size=20
    )
)
def test_whatever_two_sessions_see_the_list_alternates(steps: list[tuple[int, str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sessions = [Store(Path(folder)), Store(Path(folder))]
        firing: dict[str, bool] = {}
        for at, (session, rule, begins) in enumerate(steps):
            began = event(rule, at=float(at))
            news = sessions[session].add(began if begins else ended(began, at))
            assert news == (firing.get(rule, False) != begins)
            firing[rule] = begins
        lines = listed(sessions[0])
        for store in sessions:
            store.leave([])
    still = [line.rule for line in lines if line.ended_at is None]
    assert sorted(still) == sorted(rule for rule, now in firing.items() if now)


def test_without_a_store_the_list_is_of_this_session(tmp_path: Path) -> None:
    told: list[Event] = []
    log = EventLog(None, lambda one, _news: told.append(one))
    log.put(FIRED)
    assert [line.rule for line in log.incidents()] == ["hot"]
    log.close([])
    assert told == []
    assert list(tmp_path.iterdir()) == []


def test_what_others_wrote_into_the_file_is_cleaned(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(FIRED)
    with sqlite3.connect(tmp_path / "gputui.db") as raw:
        raw.execute("UPDATE events SET message = ?, severity = 'odd'", ("\x1b[2Jred\n[b]x",))
    (line,) = listed(store)
    store.leave([])
    assert line.message == "red [b]x"
