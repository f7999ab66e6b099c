"""Unloading what idles; servers that are busy and do not move."""

from __future__ import annotations

import asyncio
import time

import httpx

from gputui.instances import records
from gputui.instances.status import State
from tests.instances.conftest import Rig, started, status_of, until_so
from tests.instances.keepers import is_, keeping

# ── unloading what idles ─────────────────────────────────────────────────────────────────────────


async def test_what_idles_is_unloaded_and_says_so_in_every_session(rig: Rig) -> None:
    rig.add("one", idle_unload=0.5)
    session, other = keeping(rig), keeping(rig)
    await started(session.supervisor, "one")
    status = await session.until("one", is_(State.STOPPED))
    assert status.note == "unloaded after 0.5 s without a request"
    assert (await status_of(other.supervisor, "one")).note == status.note
    await other.look()
    assert other.problems == []
    assert await started(other.supervisor, "one")
    await other.supervisor.stop("one")
    assert (await status_of(session.supervisor, "one")).note == ""


async def ask(url: str, **more: object) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]} | more
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        await client.post(f"{url}/v1/chat/completions", json=body)


async def test_a_request_begins_the_time_anew_and_an_answer_holds_it(rig: Rig) -> None:
    goes_on = rig.folder / "goes on"
    rig.add("one", {"rate": 1000, "hold_file": str(goes_on)}, idle_unload=30)
    session = rig.session()
    status = await started(session, "one")
    await asyncio.sleep(0.3)
    idle = (await status_of(session, "one")).idle_seconds
    assert idle is not None
    assert idle >= 0.3
    asking = asyncio.create_task(ask(status.url))
    await until_so(session, "one", lambda status: status.idle_seconds == 0.0)
    goes_on.touch()
    await asking
    await status_of(session, "one")  # this look sees that the counters have moved
    await asyncio.sleep(0.1)
    after = (await status_of(session, "one")).idle_seconds
    assert after is not None
    assert after >= 0.1
    assert await session.unload("one", 0.05, lambda: True) is False  # this program talks to it
    assert await session.unload("one", 20) is False
    assert await session.unload("one", 0.05) is True
    assert (await status_of(session, "one")).state is State.STOPPED


async def test_a_new_session_knows_nothing_of_requests_before_it(rig: Rig) -> None:
    rig.add("one", {"rate": 1000}, idle_unload=30)
    session = rig.session()
    status = await started(session, "one")
    await ask(status.url)
    await asyncio.sleep(0.2)
    await status_of(session, "one")
    assert (await status_of(rig.session(), "one")).idle_seconds == 0.0
    await session.stop("one")


async def test_time_stands_still_while_the_counters_cannot_be_read(rig: Rig) -> None:
    hang = rig.folder / "hang"
    rig.add("one", {"hang_file": str(hang), "hang_routes": ["/metrics"]}, idle_unload=0.4)
    session = keeping(rig)
    await started(session.supervisor, "one")
    hang.touch()
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        status = next(iter(await session.look()))
        assert status.state is State.READY
    assert status.idle_seconds is None
    await session.keeper.settle()
    assert records.running(rig.state)
    await session.supervisor.stop("one")


# ── hung servers ─────────────────────────────────────────────────────────────────────────────────


async def test_a_slot_that_is_busy_and_does_not_move_is_a_stall(rig: Rig) -> None:
    rig.add("one", {"rate": 20, "stall_after": 6}, restart="on-failure")
    session = keeping(rig)
    status = await started(session.supervisor, "one")
    assert status.stalled_seconds is None
    asking = asyncio.create_task(ask(status.url))
    moving = await session.until("one", lambda s: s.stalled_seconds is not None)
    assert moving.stalled_seconds is not None
    assert moving.stalled_seconds < 0.25
    stalled = await session.until("one", lambda s: (s.stalled_seconds or 0.0) > 0.6)
    assert stalled.state is State.READY
    assert stalled.metrics.slots_busy == 1
    asking.cancel()
    await session.supervisor.stop("one")


async def test_one_that_answers_health_alone_stalls_too(rig: Rig) -> None:
    hang = rig.folder / "hang"
    rig.add("one", {"hang_file": str(hang), "hang_routes": ["/metrics", "/slots"]})
    session = rig.session()
    await started(session, "one")
    hang.touch()
    end_at = time.monotonic() + 60
    while (await status_of(session, "one", 0.2)).stalled_seconds is None:
        assert time.monotonic() < end_at
        await asyncio.sleep(0.1)
    hang.unlink()
    while (await status_of(session, "one", 0.2)).stalled_seconds is not None:
        assert time.monotonic() < end_at
        await asyncio.sleep(0.05)
    await session.stop("one")
