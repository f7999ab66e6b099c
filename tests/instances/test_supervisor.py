"""The supervisor over scripted servers: starting, stopping, several sessions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time

import httpx
import pytest

from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.status import State
from tests.instances.conftest import PRO, RTX, Rig, started, status_of, until, until_so


async def test_start_ready_stop(rig: Rig) -> None:
    one = rig.add("one")
    session = rig.session()
    assert (await status_of(session, "one")).state is State.STOPPED
    status = await started(session, "one")
    assert (status.owned, status.port, status.url) == (True, one.port, one.url)
    assert status.pid is not None
    assert (status.metrics.slots_total, status.metrics.slots_busy) == (4, 0)
    assert status.metrics.memory_bytes
    assert status.started_at == pytest.approx(time.time(), abs=60)
    await session.stop("one")
    assert (await status_of(session, "one")).state is State.STOPPED
    assert rig.record("one") is None


async def test_a_server_has_nothing_of_ours_but_its_environment(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "7")
    monkeypatch.setenv("LLAMA_API_KEY", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("HARMLESS", "kept")
    dump = rig.folder / "dump.json"
    one = rig.add("one", {"dump": str(dump)}, ctx_size=512, threads=2, args=("-fa", "on"))
    session = rig.session()
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        os.set_inheritable(ours.fileno(), True)
        status = await started(session, "one")
    seen = json.loads(dump.read_text())
    assert seen["argv"] == [
        *("--model", one.model, "--alias", "one", "--host", "127.0.0.1", "--port", str(one.port)),
        *("--metrics", "--sse-ping-interval", "2", "--device", "none"),
        *("--ctx-size", "512", "--threads", "2", "-fa", "on"),
    ]
    environment = seen["environment"]
    assert environment["GPUTUI_INSTANCE"] == "one"
    assert environment["HARMLESS"] == "kept"
    for name in ("LLAMA_ARG_CTX_SIZE", "LLAMA_API_KEY", "CUDA_VISIBLE_DEVICES"):
        assert name not in environment
    assert seen["session"] == status.pid  # a session of its own: no terminal, no SIGHUP
    assert seen["fds"][:3] == [0, 1, 2]
    assert len(seen["fds"]) <= 4  # and the listing itself
    await session.stop("one")


async def test_loading_is_shown_with_an_estimate_until_ready(rig: Rig) -> None:
    ends = rig.folder / "ends"
    rig.add("slow", {"load_file": str(ends)})
    session = rig.session()
    await session.start("slow")
    status = await until(session, "slow", State.LOADING)
    assert status.load_progress is not None
    assert 0 <= status.load_progress <= 0.99
    ends.touch()
    assert (await session.wait("slow", 60)).state is State.READY
    assert (await status_of(session, "slow")).load_progress is None
    await session.stop("slow")


async def test_stopped_during_the_load_is_stopped_not_failed(rig: Rig) -> None:
    rig.add("slow", {"load_seconds": 600})
    session, other = rig.session(), rig.session()
    await session.start("slow")
    await until(session, "slow", State.LOADING)
    await session.stop("slow")
    for supervisor in (session, other):
        assert (await status_of(supervisor, "slow")).state is State.STOPPED


async def test_a_crash_says_why_in_every_session_until_the_next_start(rig: Rig) -> None:
    rig.add(
        "one",
        {
            "load_log": "gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'",
            "crash": 1,
        },
    )
    session, other = rig.session(), rig.session()
    await session.start("one")
    status = await session.wait("one", 60)
    assert status.state is State.FAILED
    assert status.last_error == "the model file is not a GGUF: it begins with 'hell'"
    assert status.hint
    assert (await status_of(other, "one")).last_error == status.last_error
    await other.stop("one")  # seen, done with
    assert (await status_of(session, "one")).state is State.STOPPED


async def test_killed_while_ready_is_failed_and_can_be_started_again(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    rig.kill("one")
    status = await until(session, "one", State.FAILED)
    assert "SIGKILL" in str(status.last_error)
    assert await started(session, "one")
    await session.stop("one")


async def test_another_session_sees_the_same(rig: Rig) -> None:
    rig.add("one")
    session, other = rig.session(), rig.session()
    ours = await started(session, "one")
    theirs = await status_of(other, "one")
    assert (theirs.state, theirs.pid, theirs.owned) == (State.READY, ours.pid, True)
    await other.stop("one")
    assert (await status_of(session, "one")).state is State.STOPPED


async def test_what_ignores_sigterm_is_counted_down_in_all_sessions_and_killed(rig: Rig) -> None:
    rig.add("stubborn", {"ignore_sigterm": True}, stop_grace_seconds=60)
    rig.add("short", {"ignore_sigterm": True}, stop_grace_seconds=0.3)
    session, other = rig.session(), rig.session()
    await started(session, "stubborn")
    stopping = asyncio.create_task(session.stop("stubborn"))
    status = await until(other, "stubborn", State.STOPPING)
    assert status.stop_seconds_left is not None
    assert 0 < status.stop_seconds_left <= 60
    assert status.note == ""
    with pytest.raises(GputuiError, match="stubborn is already being stopped"):
        await other.stop("stubborn")
    rig.kill("stubborn")
    await stopping
    assert (await status_of(other, "stubborn")).state is State.STOPPED
    await started(session, "short")
    await session.stop("short")
    assert records.running(rig.state) == ()
    assert (await status_of(other, "short")).state is State.STOPPED


async def test_an_interrupted_stop_can_be_taken_over(rig: Rig) -> None:
    rig.add("stubborn", {"ignore_sigterm": True}, stop_grace_seconds=60)
    session = rig.session()
    await started(session, "stubborn")
    stopping = asyncio.create_task(session.stop("stubborn"))
    await until(session, "stubborn", State.STOPPING)
    stopping.cancel()
    await asyncio.wait({stopping})
    status = await status_of(session, "stubborn")
    assert (status.state, status.note) == (
        State.STOPPING,
        "its stop was interrupted: stop it again",
    )
    with pytest.raises(GputuiError, match="its stop was interrupted") as refused:
        await session.start("stubborn")
    assert refused.value.hint == "Stop it again: gputui stop stubborn"
    again = asyncio.create_task(rig.session().stop("stubborn"))
    await until_so(session, "stubborn", lambda status: not status.note)
    rig.kill("stubborn")
    await again
    assert (await status_of(session, "stubborn")).state is State.STOPPED


async def test_restart_is_another_process_on_the_same_port(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    before = await started(session, "one")
    async with httpx.AsyncClient() as client:  # an open connection leaves TIME_WAIT behind
        await client.get(f"{before.url}/health")
        await session.restart("one")
    after = await session.wait("one", 60)
    assert after.state is State.READY
    assert after.pid != before.pid
    log = records.Paths(rig.state).log("one")
    assert log.exists()
    assert log.with_name("one.log.1").exists()
    await session.stop("one")


async def test_restart_starts_what_does_not_run(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await session.restart("one")
    assert (await session.wait("one", 60)).state is State.READY
    await session.stop("one")


async def test_a_start_waits_for_gpus_that_are_not_known_yet(rig: Rig) -> None:
    dump = rig.folder / "dump.json"
    rig.add(
        "one",
        {"dump": str(dump), "devices": [f"CUDA0: {RTX.name} (1 MiB, 1 MiB free)"]},
        gpus=("5090",),
    )
    session = rig.session()
    starting = asyncio.create_task(session.start("one"))
    await asyncio.sleep(0)
    session.set_gpus((PRO, RTX))
    await starting
    status = await session.wait("one", 60)
    assert status.gpus == (RTX.uuid,)
    assert json.loads(dump.read_text())["environment"]["CUDA_VISIBLE_DEVICES"] == RTX.uuid
    assert records.running_pids(rig.state) == {RTX.uuid: [status.pid]}
    assert records.names_by_pid(rig.state) == {status.pid: "one"}
    await session.stop("one")
    assert records.running_pids(rig.state) == {}


async def test_a_stop_from_outside_is_a_failure_that_says_so(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    rig.kill("one", signal.SIGTERM)
    assert (await until(session, "one", State.FAILED)).last_error
