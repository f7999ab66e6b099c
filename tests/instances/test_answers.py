"""What servers answer, and what becomes of it in a status."""

from __future__ import annotations

import asyncio
import http.server
import threading
import time

import httpx
import pytest

from gputui.errors import GputuiError
from gputui.instances.status import State
from tests.instances.conftest import Rig, run, started, status_of, until


async def test_a_server_of_somebody_else_is_shown_and_never_stopped(rig: Rig) -> None:
    one = rig.add("one")
    other = rig.add("other", port=one.port)
    argv = [str(one.llama_server), "-m", one.model, "--port", str(one.port)]
    stranger = run(argv)
    session = rig.session()
    try:
        status = await until(session, "one", State.READY)
        assert (status.owned, status.pid) == (False, None)
        assert "not started by gputui" in status.note
        with pytest.raises(GputuiError, match="was not started by gputui"):
            await session.stop("one")
        with pytest.raises(GputuiError, match=f"pid {stranger.pid}"):
            await session.start("one")
        assert (await status_of(session, other.name)).state is State.STOPPED
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_another_program_on_the_port_is_a_note(rig: Rig) -> None:
    one = rig.add("one")
    server = http.server.HTTPServer(("127.0.0.1", one.port), _Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        status = await status_of(rig.session(), "one")
    finally:
        server.shutdown()
        server.server_close()
    assert status.state is State.STOPPED
    assert "used by another program" in status.note


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


async def test_a_server_that_hangs_stays_ready_with_a_note_and_holds_nobody_up(rig: Rig) -> None:
    switch = rig.folder / "hang"
    rig.add("hung", {"hang_file": str(switch)})
    rig.add("fine")
    session = rig.session()
    await started(session, "hung")
    await started(session, "fine")
    switch.touch()
    end = time.monotonic() + 20
    while not (status := await status_of(session, "hung")).note:
        assert status.state is State.READY
        assert (await status_of(session, "fine")).state is State.READY
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    assert status.state is State.READY
    assert "no answer" in status.note
    assert (await status_of(rig.session(), "hung")).state is State.READY
    await session.stop("hung")
    await session.stop("fine")


@pytest.mark.parametrize(
    "bodies",
    [
        {"/props": "<html>", "/metrics": "\x00\x01 garbage", "/slots": "[1, 2"},
        {"/props": '{"total_slots": "four"}', "/metrics": "a b c\n", "/slots": "{}"},
        {"/props": "[]", "/metrics": "", "/slots": '[{"id": null, "next_token": 7}]'},
        {"/props": "[" * 100_000, "/metrics": "x" * 5_000_000, "/slots": '[{"is_processing": 3}]'},
    ],
    ids=["not-json", "wrong-types", "empty", "huge"],
)
async def test_garbage_answers_are_not_known_and_no_error(rig: Rig, bodies: dict[str, str]) -> None:
    rig.add("one", {"bodies": bodies})
    session = rig.session()
    status = await started(session, "one")
    assert status.metrics.slots_total is None
    assert status.metrics.generation_tokens_per_second is None
    await session.stop("one")


async def test_health_without_json_is_no_llama_server(rig: Rig) -> None:
    rig.add("one", {"health": "garbage"})
    session = rig.session()
    await session.start("one")
    end = time.monotonic() + 20
    while "not as llama-server" not in (status := await status_of(session, "one")).note:
        assert time.monotonic() < end, status
        await asyncio.sleep(0.05)
    assert status.state is State.STARTING
    await session.stop("one")


async def test_rates_come_from_what_was_generated_between_two_looks(rig: Rig) -> None:
    rig.add("one", {"rate": 100, "reply": ["word"] * 120})
    session = rig.session()
    status = await started(session, "one")
    assert status.metrics.generation_tokens_per_second is None

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            await client.post(f"{status.url}/v1/chat/completions", json={"messages": []})

    asking = asyncio.create_task(ask())
    rates, busy = [], set()
    while not asking.done():
        await asyncio.sleep(0.15)
        metrics = (await status_of(session, "one")).metrics
        busy.add(metrics.slots_busy)
        if metrics.generation_tokens_per_second is not None:
            rates.append(metrics.generation_tokens_per_second)
    await asking
    assert 1 in busy
    assert sorted(rates)[len(rates) // 2] == pytest.approx(100, rel=0.5)
    await asyncio.sleep(0.1)
    await status_of(session, "one")
    assert (await status_of(session, "one")).metrics.generation_tokens_per_second is None
    await session.stop("one")


async def test_a_sleeping_model_is_not_woken(rig: Rig) -> None:
    trap = {"/metrics": "requests_processing 9", "/slots": '[{"is_processing": true}]'}
    rig.add("one", {"sleeping": True, "bodies": trap})
    session = rig.session()
    status = await started(session, "one")
    assert status.note.startswith("sleeping")
    assert status.metrics.slots_busy is None
    await session.stop("one")
