"""What servers answer, and what becomes of it in a status."""

from __future__ import annotations

import asyncio
import http.server
import threading
import time
from typing import NoReturn

import httpx
import pytest

from gputui.config import Config
from gputui.errors import GputuiError
from gputui.instances.status import InstanceMetrics, State, status_json
from gputui.instances.supervisor import Supervisor
from gputui.llama.probe import Health, Probe
from tests.instances.conftest import PRO, RTX, Rig, run, started, status_of, until


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
    counters = "llamacpp:requests_processing 1\nllamacpp:requests_deferred 7\n"
    rig.add("hung", {"hang_file": str(switch), "bodies": {"/metrics": counters}})
    rig.add("fine")
    session = rig.session()
    status = await started(session, "hung")
    assert (status.metrics.slots_busy, status.metrics.requests_deferred) == (0, 7)
    await started(session, "fine")
    switch.touch()
    end = time.monotonic() + 60
    while not (status := await status_of(session, "hung", 0.2)).note:
        assert status.state is State.READY
        assert (await status_of(session, "fine", 0.2)).state is State.READY
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    assert status.state is State.READY
    assert "no answer" in status.note
    memory = status.metrics.memory_bytes
    assert memory, "the host tells it"
    assert status.metrics == InstanceMetrics(memory_bytes=memory), "its last numbers are not of now"
    fresh = await status_of(rig.session(), "hung", 0.2)  # knows only the record, and hears nothing
    assert (fresh.state, fresh.note) == (State.READY, "gives no answer yet")
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
    end = time.monotonic() + 60
    while "not as llama-server" not in (status := await status_of(session, "one")).note:
        assert time.monotonic() < end, status
        await asyncio.sleep(0.05)
    assert status.state is State.STARTING
    await session.stop("one")


async def test_rates_come_from_what_was_generated_between_two_looks(rig: Rig) -> None:
    rig.add("one", {"rate": 100, "reply": ["word"] * 100_000})
    session = rig.session()
    status = await started(session, "one")
    assert status.metrics.generation_tokens_per_second is None

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            await client.post(f"{status.url}/v1/chat/completions", json={"messages": []})

    async def rate() -> float | None:
        await asyncio.sleep(0.15)
        metrics = (await status_of(session, "one")).metrics
        busy.add(metrics.slots_busy)
        return metrics.generation_tokens_per_second

    busy: set[int | None] = set()
    asking = asyncio.create_task(ask())
    async with asyncio.timeout(60):
        rates: list[float] = []
        while len(rates) < 3:
            rates += [one for one in [await rate()] if one is not None]
        assert 1 in busy
        assert sorted(rates)[1] == pytest.approx(100, rel=0.5)
        asking.cancel()
        while await rate() is not None:
            pass
    await session.stop("one")


async def test_a_sleeping_model_is_not_woken(rig: Rig) -> None:
    trap = {"/metrics": "requests_processing 9", "/slots": '[{"is_processing": true}]'}
    rig.add("one", {"sleeping": True, "bodies": trap})
    session = rig.session()
    status = await started(session, "one")
    assert status.note.startswith("sleeping")
    assert status.metrics.slots_busy is None
    await session.stop("one")


async def test_no_answer_however_odd_leaves_a_look() -> None:
    replies = [httpx.Response(200, json={"status": "ok"})]

    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health" and replies:
            return replies[0]
        raise ValueError("\x1b[31mnobody\nforesaw this")

    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as client:
        probe = Probe("http://127.0.0.1:1", may_wake=True)
        for _ in range(2):
            reading = await probe.look(client, 5)
            assert reading.health is Health.READY
            assert reading.trouble == "ValueError: nobody foresaw this"
        replies.clear()  # not even /health: what was known stays
        assert (await probe.look(client, 5)).health is Health.READY


async def test_trouble_with_answers_is_a_note_until_they_are_read(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    with monkeypatch.context() as patched:

        def fail(_: str) -> NoReturn:
            raise ValueError("odd")

        patched.setattr("gputui.llama.probe.read_metrics", fail)
        status = await status_of(session, "one")
        assert (status.state, status.note) == (
            State.READY,
            "its answers cannot be read: ValueError: odd",
        )
    assert (await status_of(session, "one")).note == ""
    await session.stop("one")


async def test_only_a_known_empty_pin_is_the_cpu(rig: Rig) -> None:
    cpu = rig.add("cpu")
    devices = {"devices": [f"CUDA0: {RTX.name} (1 MiB, 1 MiB free)"]}
    rig.add("gpu", devices, gpus=("5090",))
    rig.gpus = (PRO, RTX)
    session = rig.session()
    await started(session, "cpu")
    await started(session, "gpu")
    blind = Supervisor(Config(), (), rig.state)  # no configuration, no driver: the records know
    rig.sessions.append(blind)
    for supervisor in (session, blind):
        statuses = {status.name: status for status in await supervisor.observe()}
        assert (statuses["cpu"].pinned, statuses["cpu"].gpus) == (False, ())
        assert (statuses["gpu"].pinned, statuses["gpu"].gpus) == (True, (RTX.uuid,))
    for name in ("cpu", "gpu"):
        await session.stop(name)
    before_the_driver = Supervisor(Config(instances=tuple(rig.instances)), (), rig.state)
    rig.sessions.append(before_the_driver)
    stopped = {status.name: status for status in await before_the_driver.observe()}
    assert (stopped["cpu"].pinned, stopped["gpu"].pinned) == (False, True)
    assert [entry["gpus"] for entry in status_json(tuple(stopped.values()))["instances"]] == [
        (),
        None,
    ]
    stranger = run([str(cpu.llama_server), "-m", cpu.model, "--port", str(cpu.port)])
    try:
        assert (await until(session, "cpu", State.READY)).pinned is None
    finally:
        stranger.kill()
        stranger.wait()
