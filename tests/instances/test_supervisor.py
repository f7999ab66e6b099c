"""The supervisor over scripted servers: every state, every refusal."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from gputui.config import Config
from gputui.errors import ConfigError, GputuiError
from gputui.instances import records
from gputui.instances.lifecycle import NotRunningError
from gputui.instances.process import identify, matches
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor, UnknownInstanceError
from tests.instances.conftest import PRO, RTX, Rig, new_port, started, status_of


async def until(supervisor: Supervisor, name: str, *states: State) -> InstanceStatus:
    end = time.monotonic() + 20
    while True:
        status = await status_of(supervisor, name)
        if status.state in states:
            return status
        assert time.monotonic() < end, status
        await asyncio.sleep(0.02)


def run(argv: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, env={**os.environ, **environment})


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


async def test_files_are_private(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    for path in [rig.state, *rig.state.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    await session.stop("one")


async def test_loading_is_shown_with_an_estimate_until_ready(rig: Rig) -> None:
    rig.add("slow", {"load_seconds": 1.0})
    session = rig.session()
    await session.start("slow")
    status = await until(session, "slow", State.LOADING)
    assert status.load_progress is not None
    assert 0 <= status.load_progress <= 0.99
    assert (await session.wait("slow", 20)).state is State.READY
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
    status = await session.wait("one", 20)
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
    rig.add("stubborn", {"ignore_sigterm": True}, stop_grace_seconds=1.5)
    session, other = rig.session(), rig.session()
    await started(session, "stubborn")
    stopping = asyncio.create_task(session.stop("stubborn"))
    status = await until(other, "stubborn", State.STOPPING)
    assert status.stop_seconds_left is not None
    assert 0 < status.stop_seconds_left <= 1.5
    assert status.note == ""
    with pytest.raises(GputuiError, match="stubborn is already being stopped"):
        await other.stop("stubborn")
    await stopping
    assert (await status_of(other, "stubborn")).state is State.STOPPED


async def test_an_interrupted_stop_can_be_taken_over(rig: Rig) -> None:
    rig.add("stubborn", {"ignore_sigterm": True}, stop_grace_seconds=0.5)
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
    await rig.session().stop("stubborn")
    assert (await status_of(session, "stubborn")).state is State.STOPPED


async def test_restart_is_another_process_on_the_same_port(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    before = await started(session, "one")
    async with httpx.AsyncClient() as client:  # an open connection leaves TIME_WAIT behind
        await client.get(f"{before.url}/health")
        await session.restart("one")
    after = await session.wait("one", 20)
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
    assert (await session.wait("one", 20)).state is State.READY
    await session.stop("one")


async def test_refusals_name_the_reason(rig: Rig) -> None:
    one = rig.add("one")
    rig.add("two", port=one.port)
    session = rig.session()
    status = await started(session, "one")
    with pytest.raises(GputuiError, match=f"one runs already .pid {status.pid}"):
        await session.start("one")
    with pytest.raises(GputuiError, match=f"one runs on port {one.port}: stop it first"):
        await session.start("two")
    assert (await status_of(session, "two")).note == f"port {one.port} is used by one"
    with pytest.raises(NotRunningError, match="two is not running"):
        await session.stop("two")
    with pytest.raises(UnknownInstanceError) as refused:
        await session.start("onne")
    assert refused.value.hint == 'Did you mean "one"?'
    await session.stop("one")
    with pytest.raises(NotRunningError):
        await session.stop("one")


async def test_a_port_used_by_a_stranger_is_refused_with_its_name(rig: Rig) -> None:
    one = rig.add("one")
    with socket.create_server(("127.0.0.1", one.port)), pytest.raises(GputuiError) as refused:
        await rig.session().start("one")
    assert f"port {one.port} of one is used by" in refused.value.message
    assert f"pid {os.getpid()}" in refused.value.message
    assert rig.record("one") is None


async def test_two_starts_at_once_are_one_server_and_one_refusal(rig: Rig) -> None:
    rig.add("one")
    a, b = rig.session(), rig.session()
    results = await asyncio.gather(a.start("one"), b.start("one"), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), GputuiError}
    assert (await a.wait("one", 20)).pid == (await b.wait("one", 20)).pid
    await b.stop("one")


async def test_two_instances_of_one_port_at_once_are_one_server(rig: Rig) -> None:
    one = rig.add("one")
    rig.add("two", port=one.port)
    a, b = rig.session(), rig.session()
    results = await asyncio.gather(a.start("one"), b.start("two"), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), GputuiError}
    running = records.running(rig.state)
    assert len(running) == 1
    await a.stop(running[0].name)


async def test_a_model_or_server_that_is_not_there_is_told_before_anything_starts(
    rig: Rig,
) -> None:
    rig.add("model", model="/nowhere/x.gguf")
    rig.add("server", llama_server="/nowhere/llama-server")
    rig.add("path", llama_server="no-such-program-anywhere")
    library = "llama-server: error while loading shared libraries: libcudart.so.12: cannot open"
    rig.add("library", {"list_error": library})
    session = rig.session()
    for name, message in {
        "model": "/nowhere/x.gguf: no such file",
        "server": "/nowhere/llama-server: no such file",
        "path": "not found on PATH",
        "library": "the shared library libcudart.so.12 is missing",
    }.items():
        with pytest.raises(GputuiError, match=message) as refused:
            await session.start(name)
        assert refused.value.hint
    assert not records.read_all(rig.state)


async def test_a_selector_that_names_no_gpu_is_told_once_gpus_are_known(rig: Rig) -> None:
    rig.add("one", gpus=("RTX 9999",))
    session = rig.session()
    assert (await status_of(session, "one")).last_error is None  # nothing is known yet
    session.set_gpus((PRO, RTX))
    status = await status_of(session, "one")
    assert '"RTX 9999" names no GPU' in str(status.last_error)
    with pytest.raises(ConfigError, match="names no GPU"):
        await session.start("one")


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
    status = await session.wait("one", 20)
    assert status.gpus == (RTX.uuid,)
    assert json.loads(dump.read_text())["environment"]["CUDA_VISIBLE_DEVICES"] == RTX.uuid
    assert records.running_pids(rig.state) == {RTX.uuid: [status.pid]}
    assert records.names_by_pid(rig.state) == {status.pid: "one"}
    await session.stop("one")
    assert records.running_pids(rig.state) == {}


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


@pytest.mark.parametrize("change", ["boot", "start"])
async def test_a_stale_record_is_stopped_and_its_pid_never_signalled(rig: Rig, change: str) -> None:
    one = rig.add("one")
    innocent = run([sys.executable, "-c", "import time; time.sleep(600)"], GPUTUI_INSTANCE="one")
    try:
        true = identify(innocent.pid, "one")
        record = records.Record(
            name="one",
            pid=innocent.pid,
            start_ticks=true.start_ticks - (1 if change == "start" else 0),
            boot_id="another boot" if change == "boot" else true.boot_id,
            executable="x",
            argv=("x",),
            host="127.0.0.1",
            port=one.port,
            model="x",
            log=str(rig.folder / "log"),
            started_at=1.0,
        )
        paths = records.Paths(rig.state)
        records.write(paths, record)
        session = rig.session()
        with pytest.raises(NotRunningError):
            await session.stop("one")
        assert (await status_of(session, "one")).state is State.STOPPED
        assert rig.record("one") is None
        assert innocent.poll() is None
        records.write(paths, record)
        await started(session, "one")  # nor does it stand in the way
        await session.stop("one")
        assert innocent.poll() is None
        unmarked = replace(record, start_ticks=true.start_ticks, boot_id=true.boot_id, name="two")
        assert not matches(unmarked.identity)  # right process, another marker
    finally:
        innocent.kill()
        innocent.wait()


async def test_a_broken_record_is_set_aside_and_told(rig: Rig) -> None:
    rig.add("one")
    file = records.Paths(rig.state).record("one")
    file.parent.mkdir(parents=True)
    file.write_text('{"name": "one", "pid": ')
    session = rig.session()
    status = await status_of(session, "one")
    assert status.state is State.STOPPED
    assert "could not be read" in status.note
    await started(session, "one")
    assert (await status_of(session, "one")).note == ""
    await session.stop("one")


async def test_what_runs_without_a_configuration_is_shown_and_can_be_stopped(rig: Rig) -> None:
    rig.add("one")
    await started(rig.session(), "one")
    later = Supervisor(Config(), (), rig.state)
    rig.sessions.append(later)
    (status,) = await later.observe()
    assert (status.name, status.state, status.owned) == ("one", State.READY, True)
    await later.stop("one")
    assert await later.observe() == ()


async def test_the_running_port_counts_not_the_configured_one(rig: Rig) -> None:
    one = rig.add("one")
    await started(rig.session(), "one")
    rig.instances = [replace(one, port=new_port())]
    session = rig.session()
    status = await status_of(session, "one")
    assert (status.state, status.port) == (State.READY, one.port)
    await session.stop("one")


async def test_the_log_is_cleaned(rig: Rig) -> None:
    rig.add("one", {"load_log": "\x1b[31mred\x1b]52;c;aGk=\x07 done"})
    session = rig.session()
    await started(session, "one")
    assert (await session.log_tail("one")).strip() == "red done"
    assert await session.log_tail("never") == ""
    await session.stop("one")


async def test_a_state_directory_that_cannot_be_written_is_told(tmp_path: Path, rig: Rig) -> None:
    rig.add("one")
    rig.state.write_text("a file where the directory should be")
    with pytest.raises(GputuiError) as refused:
        await rig.session().start("one")
    assert refused.value.hint


async def test_a_stop_from_outside_is_a_failure_that_says_so(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    rig.kill("one", signal.SIGTERM)
    assert (await until(session, "one", State.FAILED)).last_error
