"""Groups: of its members one runs at a time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gputui.config import GroupConfig
from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.instances.switching.swap import GaveUpError
from gputui.instances.switching.words import AnsweringError
from tests.instances.conftest import Rig, started, status_of, until
from tests.instances.test_sessions import gputui, run, session_that_stays
from tests.support.ports import new_port
from tests.support.waiting import PATIENCE

LONG = {"reply": ["word"] * 20_000, "rate": 50}  # until it is closed, however slow all else is


def pair(rig: Rig, script: dict[str, Any] | None = None, when_busy: str = "refuse") -> None:
    """Two members of one group on one port; the script is the first one's."""
    one = rig.add("one", script, group="big", stop_grace_seconds=2)
    rig.add("two", group="big", port=one.port, stop_grace_seconds=2)
    rig.groups = (GroupConfig(name="big", when_busy=when_busy),)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def answering(session: Supervisor, name: str) -> AsyncIterator[httpx.Response]:
    """An open answer of an instance; closed with the block."""
    url = (await status_of(session, name)).url
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with (
        httpx.AsyncClient(timeout=60, trust_env=False) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines)
        yield answer


async def states(session: Supervisor) -> dict[str, State]:
    return {status.name: status.state for status in await session.observe()}


async def condition(check: Any, what: str = "") -> None:
    """Wait for an asynchronous condition."""
    end = time.monotonic() + PATIENCE
    while not await check():
        assert time.monotonic() < end, what or check
        await asyncio.sleep(0.02)


async def test_a_start_stops_the_other_member_whoever_started_that(rig: Rig) -> None:
    pair(rig)
    mine, other = rig.session(), rig.session()
    first = await started(other, "one")
    told: list[str] = []
    await mine.start("two", told.append)
    assert told == ["waiting for one to stop"]
    assert (await mine.wait("two", 60)).state is State.READY
    assert await states(other) == {"one": State.STOPPED, "two": State.READY}
    await other.start("one")
    again = await other.wait("one", 60)
    assert again.state is State.READY
    assert again.pid != first.pid
    assert await states(mine) == {"one": State.READY, "two": State.STOPPED}


async def test_a_member_counts_by_what_it_was_started_with_and_by_what_is_configured(
    rig: Rig,
) -> None:
    pair(rig)
    before = rig.session()
    await started(before, "one")
    alone = msgspec.structs.replace(rig.instances[0], group=None, port=new_port())
    rig.instances[0] = alone
    await started(rig.session(), "two")
    assert [record.name for record in records.running(rig.state)] == ["two"]
    await started(rig.session(), "one")  # of no group now, as configured
    rig.instances[0] = msgspec.structs.replace(alone, group="big")
    await rig.session().restart("two")
    assert [record.name for record in records.running(rig.state)] == ["two"]


async def test_what_runs_is_not_stopped_where_the_start_is_refused_anyway(rig: Rig) -> None:
    pair(rig)
    third = rig.add("three", group="big")
    rig.add("four", model="/nowhere.gguf", group="big")
    rig.add("alone", port=(port := new_port()))
    rig.add("five", port=port, group="big")
    session = rig.session()
    one = await started(session, "one")
    await started(session, "alone")
    in_use = f"port {third.port} of three is used by"
    with (
        socket.create_server(("127.0.0.1", third.port)),
        pytest.raises(GputuiError, match=in_use),
    ):
        await session.start("three")
    with pytest.raises(GputuiError, match="no such file"):
        await session.start("four")
    with pytest.raises(GputuiError, match=f"alone runs on port {port}"):
        await session.start("five")
    with pytest.raises(GputuiError, match="one runs already"):
        await session.start("one")
    assert (await status_of(session, "one")).pid == one.pid


async def test_an_answer_refuses_the_start(rig: Rig) -> None:
    pair(rig, LONG)
    session = rig.session()
    one = await started(session, "one")
    async with answering(session, "one"), answering(session, "one"):
        with pytest.raises(AnsweringError) as refused:
            await session.start("two")
    assert "two is not started: one is answering (2 requests)" in refused.value.message
    assert "gputui stop one" in refused.value.hint
    assert 'when_busy = "queue"' in refused.value.hint
    assert (await status_of(session, "one")).pid == one.pid
    assert (await status_of(session, "two")).state is State.STOPPED

    async def idle() -> bool:
        with contextlib.suppress(AnsweringError):
            await session.start("two")
            return True
        return False

    await condition(idle, "the closed answers end")
    assert (await session.wait("two", 60)).state is State.READY


async def test_a_server_that_says_nothing_counts_as_answering(rig: Rig, tmp_path: Path) -> None:
    pair(rig, {"hang_file": str(tmp_path / "hang")})
    session = rig.session()
    await started(session, "one")
    (tmp_path / "hang").touch()
    with pytest.raises(AnsweringError, match="one does not say whether it is answering"):
        await session.start("two")
    assert (await status_of(session, "one", 0.2)).owned


async def test_an_answer_is_broken_off_where_the_group_says_so_or_it_is_forced(rig: Rig) -> None:
    pair(rig, LONG, "stop")
    session = rig.session()
    await started(session, "one")
    async with answering(session, "one"):
        await session.start("two")
    assert (await session.wait("two", 60)).state is State.READY
    rig.groups = (GroupConfig(name="big"),)
    session = rig.session()
    await started(session, "one")
    async with answering(session, "one"):
        await session.start("two", force=True)
    assert (
        await states(session) == {"one": State.STOPPED, "two": State.READY}
        or (await session.wait("two", 60)).state is State.READY
    )


async def test_a_start_queues_behind_an_answer_and_every_session_sees_it(rig: Rig) -> None:
    pair(rig, LONG, "queue")
    session, other = rig.session(), rig.session()
    one = await started(session, "one")
    async with answering(session, "one"):
        start = asyncio.create_task(session.start("two"))
        waiting = await until(other, "two", State.STARTING)
        await condition(lambda: _noted(other, "two", "waiting for one to finish its answer"))
        assert (waiting.pid, waiting.owned) == (None, True)
        assert (await status_of(other, "one")).pid == one.pid
        with pytest.raises(GputuiError, match="two is being started already"):
            await other.start("two")
        assert not start.done()
    await start
    assert (await session.wait("two", 60)).state is State.READY
    assert (await status_of(session, "one")).state is State.STOPPED


async def _noted(session: Supervisor, name: str, words: str) -> bool:
    return (await status_of(session, name)).note == words


async def test_a_wait_is_given_up_by_a_stop_and_nothing_has_changed(rig: Rig) -> None:
    pair(rig, LONG, "queue")
    session = rig.session()
    one = await started(session, "one")
    async with answering(session, "one"):
        start = asyncio.create_task(session.start("two"))
        await until(session, "two", State.STARTING)
        await condition(lambda: _noted(session, "two", "waiting for one to finish its answer"))
        await session.stop("two")
        with pytest.raises(GaveUpError):
            await start
        assert await states(session) == {"one": State.READY, "two": State.STOPPED}
        assert (await status_of(session, "one")).pid == one.pid


async def test_a_queue_dies_with_its_gputui(rig: Rig) -> None:
    pair(rig, LONG, "queue")
    session = rig.session()
    one = await started(session, "one")
    async with answering(session, "one"):
        waiting = gputui(rig, "start", "two")
        await condition(lambda: _noted(session, "two", "waiting for one to finish its answer"))
        with pytest.raises(GputuiError, match=rf"another gputui .pid {waiting.pid}.") as refused:
            await session.stop("two")
        assert "ctrl-C" in refused.value.hint
        waiting.kill()
        waiting.communicate()
        assert await states(session) == {"one": State.READY, "two": State.STOPPED}
        interrupted = gputui(rig, "start", "two")
        await condition(lambda: _noted(session, "two", "waiting for one to finish its answer"))
        interrupted.send_signal(signal.SIGINT)
        _, words = interrupted.communicate(timeout=60)
        assert interrupted.returncode == 130
        assert words.split("\n")[0] == "two: waiting for one to finish its answer"
        assert await states(session) == {"one": State.READY, "two": State.STOPPED}
    assert (await status_of(session, "one")).pid == one.pid


async def test_a_failure_after_the_stop_says_where_it_stands_and_the_way_back(rig: Rig) -> None:
    one = rig.add("one", {"ignore_sigterm": True}, group="big", stop_grace_seconds=60)
    two = rig.add("two", group="big")
    session = rig.session()
    await started(session, one.name)
    start = asyncio.create_task(session.start(two.name))
    await until(session, "one", State.STOPPING)
    assert (await status_of(session, "one")).note == "makes room for two"
    with socket.create_server(("127.0.0.1", two.port)):
        rig.kill("one")
        with pytest.raises(GputuiError) as refused:
            await start
    assert f"one is stopped, and two did not start: port {two.port}" in refused.value.message
    assert refused.value.hint.endswith("Back: gputui start one")
    assert await states(session) == {"one": State.STOPPED, "two": State.STOPPED}


async def test_a_server_that_fails_in_its_load_names_the_way_back(rig: Rig) -> None:
    rig.add("one", group="big")
    rig.add("two", {"load_log": "error: invalid argument: --foo", "crash": 1}, group="big")
    session = rig.session()
    await started(session, "one")
    await session.start("two")
    status = await session.wait("two", 60)
    assert status.state is State.FAILED
    assert status.hint.endswith("Back: gputui start one")
    await started(session, "one")
    assert "Back" not in (await status_of(session, "one")).hint


async def test_a_crash_long_after_a_swap_offers_no_way_back(rig: Rig) -> None:
    rig.add("one", group="big")
    rig.add("two", group="big")
    session = rig.session()
    await started(session, "one")
    await started(session, "two")
    rig.kill("two")
    await until(session, "two", State.FAILED)
    assert "Back" not in (await status_of(session, "two")).hint


async def test_a_member_that_waits_for_its_restart_does_not_come_back_to_fight(rig: Rig) -> None:
    rig.add("one", group="big")
    rig.add("two", group="big")
    session = rig.session()
    await started(session, "one")
    rig.kill("one")
    await until(session, "one", State.FAILED)
    record = rig.record("one")
    assert record
    paths = records.Paths(rig.state)
    later = msgspec.structs.replace(record, restart_at=record.started_at + 60)
    for act in (lambda: started(session, "two"), lambda: session.empty("one", "makes room")):
        records.write(paths, later)
        await act()
        record = rig.record("one")
        assert record
        assert (record.restart_at, record.failure is None) == (None, False)
        assert "It is not started again" in record.hint


def test_two_starts_at_once_are_one_running_member_and_a_clear_word(rig: Rig) -> None:
    pair(rig, {"load_seconds": 0.1})
    for _ in range(2):
        racers = [gputui(rig, "start", "--wait", name) for name in ("one", "two")]
        outcomes = [(*racer.communicate(timeout=60), racer.returncode) for racer in racers]
        assert len(records.running(rig.state)) == 1, outcomes
        assert 0 in [code for *_, code in outcomes]
        for _, error, code in outcomes:
            assert "Traceback" not in error
            # The later one may also have come first, and been stopped by the other in its load.
            assert code == 0 or "takes its turn in group big" in error or "was stopped" in error
        assert run(rig, "stop", "--all") == 0


async def test_many_sessions_at_once_leave_one_member(rig: Rig) -> None:
    names = ("a", "b", "c")
    for name in names:
        rig.add(name, group="big", stop_grace_seconds=1)
    sessions = [rig.session() for _ in names]
    for _ in range(3):
        starts = (one.start(name) for one, name in zip(sessions, names, strict=True))
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        assert all(one is None or isinstance(one, GputuiError) for one in outcomes), outcomes
        assert len(records.running(rig.state)) == 1, outcomes


async def test_ctrl_c_in_the_middle_of_a_swap_says_where_it_stands(rig: Rig) -> None:
    rig.add("one", {"ignore_sigterm": True}, group="big", stop_grace_seconds=30)
    rig.add("two", group="big")
    session = rig.session()
    await started(session, "one")
    swapping = gputui(rig, "start", "two")
    await until(session, "one", State.STOPPING)
    swapping.send_signal(signal.SIGINT)
    _, words = await asyncio.to_thread(swapping.communicate, timeout=60)
    assert swapping.returncode == 130
    assert "broken off: one was told to stop, and two is not started" in words
    assert "Back: gputui start one" in words
    assert (await status_of(session, "two")).state is State.STOPPED


def test_members_of_one_group_are_not_started_together(rig: Rig) -> None:
    pair(rig)
    for words in (("start", "--all"), ("restart", "one", "two")):
        process = gputui(rig, *words)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "one and two are both in group big" in error
        assert records.running(rig.state) == ()


def test_the_holder_that_was_killed_frees_the_group(rig: Rig) -> None:
    pair(rig)
    holder = session_that_stays(rig, "one")
    holder.kill()
    holder.communicate()
    assert run(rig, "start", "--wait", "two") == 0
    assert [record.name for record in records.running(rig.state)] == ["two"]
