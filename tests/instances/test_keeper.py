"""What is done by itself: the next try after a crash, once; and giving up."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from gputui.instances import records
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.status import State
from gputui.processes import matches
from tests.instances.conftest import Rig, started, status_of, until
from tests.instances.keepers import is_, keeping
from tests.support.waiting import wait_for


async def test_a_crashed_server_is_started_again_and_the_crash_is_remembered(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session, onlooker = keeping(rig, Backoff(first=0.5)), rig.session()
    before = await started(session.supervisor, "one")
    rig.kill("one")
    failed = await until(session.supervisor, "one", State.FAILED)
    assert failed.failures == 1
    assert failed.exit_words == "killed by SIGKILL"
    assert failed.restart_at is not None
    assert failed.restart_at - time.time() <= 0.5
    assert (await status_of(onlooker, "one")).restart_at == failed.restart_at
    again = await session.until("one", is_(State.READY))
    assert again.pid != before.pid
    assert again.failures == 1
    assert again.note == "crashed once and was started again"
    await session.supervisor.restart("one")  # by the user: the count begins anew
    assert (await session.until("one", is_(State.READY))).failures == 0
    await session.supervisor.stop("one")


@pytest.mark.parametrize(
    ("restart", "number"),
    [("never", signal.SIGKILL), ("on-failure", signal.SIGTERM), ("on-failure", signal.SIGINT)],
)
async def test_who_was_asked_to_end_or_is_not_to_be_restarted_stays_ended(
    rig: Rig, restart: str, number: signal.Signals
) -> None:
    rig.add("one", restart=restart)
    session = keeping(rig)
    await started(session.supervisor, "one")
    rig.kill("one", number)
    failed = await session.until("one", is_(State.FAILED))
    assert failed.restart_at is None
    assert failed.failures == (1 if number is signal.SIGKILL else 0)
    session.keeper.tend([dataclasses.replace(failed, restart_at=1.0)])  # nor by a stale look
    await session.keeper.settle()
    assert records.running(rig.state) == ()


async def test_what_would_end_the_same_is_not_tried_again(rig: Rig) -> None:
    rig.add("one", {"load_log": "error: invalid argument: --foo", "crash": 1}, restart="on-failure")
    session = keeping(rig)
    await session.supervisor.start("one")
    failed = await session.until("one", is_(State.FAILED))
    assert failed.restart_at is None
    assert failed.hint.endswith("It is not started again: that would end the same.")
    assert failed.evidence == ("error: invalid argument: --foo",)


async def test_it_gives_up_after_five_crashes_in_a_row(rig: Rig) -> None:
    dump = rig.folder / "dump"
    rig.add("one", {"crash": 3, "dump": str(dump)}, restart="on-failure")
    session = keeping(rig, Backoff(first=0.02, longest=0.1))
    await session.supervisor.start("one")
    failed = await session.until("one", lambda s: s.state is State.FAILED and s.restart_at is None)
    assert failed.last_error == "gave up after 5 crashes in a row: ended by itself with exit code 3"
    assert failed.hint.endswith("To try it again, start it.")
    assert failed.failures == 5
    record = rig.record("one")
    assert record
    gaps = [after - before for before, after in pairwise(record.failures)]
    assert all(gap >= wait for gap, wait in zip(gaps, (0.02, 0.04, 0.08, 0.1), strict=True))
    await session.supervisor.stop("one")
    assert (await status_of(session.supervisor, "one")).state is State.STOPPED


async def test_a_stop_while_it_waits_ends_the_waiting(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session = keeping(rig, Backoff(first=0.3))
    await started(session.supervisor, "one")
    rig.kill("one")
    waiting = await until(session.supervisor, "one", State.FAILED)
    await rig.session().stop("one")
    session.keeper.tend([dataclasses.replace(waiting, restart_at=1.0)])
    await session.keeper.settle()
    assert (await status_of(session.supervisor, "one")).state is State.STOPPED
    assert session.problems == []


async def test_two_keepers_start_one_server(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    sessions = [keeping(rig, Backoff(first=0.0)) for _ in range(2)]
    await started(sessions[0].supervisor, "one")
    for _ in range(4):
        rig.kill("one")
        await until(sessions[0].supervisor, "one", State.FAILED)
        done = await asyncio.gather(
            *(session.supervisor.start_again("one") for session in sessions)
        )
        assert sorted(done) == [False, True]
        assert len(records.running(rig.state)) == 1
        assert (await sessions[1].supervisor.wait("one", 60)).state is State.READY
    await sessions[1].supervisor.stop("one")


async def test_a_crash_that_nobody_saw_is_tried_again_by_the_next_gputui(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    first = rig.session()
    await started(first, "one")
    record = rig.record("one")
    assert record
    rig.kill("one")
    wait_for(lambda: not matches(record.identity), "the death")
    log = Path(record.log)
    os.utime(log, (record.started_at + 1, time.time() - 3600))  # its last words: an hour ago
    old = msgspec.structs.replace(
        record, started_at=time.time() - 7200, ready_at=time.time() - 7100
    )
    records.write(records.Paths(rig.state), old)
    session = keeping(rig, Backoff())  # the true waits
    again = await session.until("one", is_(State.READY))
    assert again.failures == 1
    await session.supervisor.stop("one")


async def test_nothing_is_started_again_after_a_boot(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session = keeping(rig)
    await started(session.supervisor, "one")
    rig.kill("one")
    await until(session.supervisor, "one", State.FAILED)
    record = rig.record("one")
    assert record
    records.write(
        records.Paths(rig.state), msgspec.structs.replace(record, boot_id="x", restart_at=1.0)
    )
    assert (await status_of(session.supervisor, "one")).restart_at is None
    assert await session.supervisor.start_again("one") is False
    assert records.running(rig.state) == ()


async def test_a_try_that_cannot_begin_is_put_off_and_told(rig: Rig) -> None:
    one = rig.add("one", restart="on-failure")
    session = keeping(rig)
    await started(session.supervisor, "one")
    rig.kill("one")
    await until(session.supervisor, "one", State.FAILED)
    model, away = one.model, f"{one.model}.away"
    os.rename(model, away)  # noqa: PTH104
    put_off = await session.until("one", lambda status: "could not begin" in status.hint)
    assert put_off.restart_at is not None
    assert put_off.failures == 1  # it was no crash
    assert "no such file" in put_off.hint
    os.rename(away, model)  # noqa: PTH104
    await session.until("one", is_(State.READY))
    assert any("no such file" in problem.message for problem in session.problems)
    await session.supervisor.stop("one")


async def test_it_is_not_started_again_beside_another_one_of_its_group(rig: Rig) -> None:
    rig.add("one", restart="on-failure", group="big")
    rig.add("two", group="big")
    session = keeping(rig, Backoff(first=0.0))
    await started(session.supervisor, "one")
    record = rig.record("one")
    assert record
    rig.kill("one")
    wait_for(lambda: not matches(record.identity), "the death")
    await rig.session().start("two")  # before anybody has seen the death
    failed = await session.until("one", lambda status: "not started again" in status.hint)
    assert failed.hint.endswith("It is not started again: two of its group runs.")
    await session.supervisor.stop("two")
