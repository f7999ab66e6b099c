"""The same on the real llama-server with a real model."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gputui.config import Config, InstanceConfig
from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.llama.binary import inspect
from tests.instances.conftest import end_all, status_of
from tests.support.ports import new_port

pytestmark = pytest.mark.real


@pytest.fixture
async def make(demo_parts: Parts, tmp_path: Path) -> AsyncIterator[object]:
    """Makes a supervisor of one instance, "x", with these fields."""
    made: list[Supervisor] = []

    def supervisor(**fields: object) -> Supervisor:
        values = {"port": new_port(), "model": str(demo_parts.smollm2), "ctx_size": 512} | fields
        instance = InstanceConfig(name="x", threads=1, **values)  # type: ignore[arg-type]
        config = Config(instances=(instance,), llama_server=str(demo_parts.llama_server))
        made.append(Supervisor(config, (), tmp_path / "state"))
        return made[-1]

    yield supervisor
    for one in made:
        await one.close()
    end_all(tmp_path / "state")


async def ready(supervisor: Supervisor) -> InstanceStatus:
    await supervisor.start("x")
    status = await supervisor.wait("x", 60)
    assert status.state is State.READY, (status.last_error, supervisor.log("x").path.read_text())
    return status


async def failure(supervisor: Supervisor) -> InstanceStatus:
    await supervisor.start("x")
    status = await supervisor.wait("x", 60)
    assert status.state is State.FAILED, status
    assert status.hint
    return status


async def test_start_ready_answer_restart_stop(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    session = make()
    status = await ready(session)
    assert status.metrics.slots_total == 4
    rates = []
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        body = {"prompt": "Once upon a time", "n_predict": 64, "ignore_eos": True}
        asking = asyncio.create_task(client.post(f"{status.url}/completion", json=body))
        while not asking.done():
            await asyncio.sleep(0.1)
            rates.append((await status_of(session, "x")).metrics.generation_tokens_per_second)
        timings = (await asking).json()["timings"]
    await asyncio.sleep(0.1)
    rates.append((await status_of(session, "x")).metrics.generation_tokens_per_second)
    known = [rate for rate in rates if rate is not None]
    assert known
    assert min(known) / 3 < timings["predicted_per_second"] < max(known) * 3
    await session.restart("x")
    again = await session.wait("x", 60)
    assert (again.state, again.port) == (State.READY, status.port)
    assert again.pid != status.pid
    await session.stop("x")
    assert (await status_of(session, "x")).state is State.STOPPED
    assert records.read_all(tmp_path / "state") == {}


async def test_requests_and_failures_are_counted_from_its_log(make) -> None:  # type: ignore[no-untyped-def]
    session = make()
    url = f"{(await ready(session)).url}/v1/chat/completions"
    question = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    long = {"messages": [{"role": "user", "content": "word " * 2000}]}
    once = {"Connection": "close"}  # the server may close a connection just as it is used again
    async with httpx.AsyncClient(timeout=60, trust_env=False, headers=once) as client:
        answers = [await client.post(url, json=question) for _ in range(2)]
        answers.append(await client.post(url, json=question | {"stream": True}))
        answers.append(await client.post(url, json=long))
        answers.append(await client.post(url, json=question | {"grammar": "root ::= ("}))
        answers.append(await client.post(url, content=b"{"))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 400, 500]
    metrics = (await status_of(session, "x")).metrics
    assert (metrics.requests_total, metrics.requests_failed) == (6, 1)


async def test_stop_during_the_load_is_no_failure(make) -> None:  # type: ignore[no-untyped-def]
    session = make()
    await session.start("x")
    await session.stop("x")
    assert (await status_of(session, "x")).state is State.STOPPED


async def test_stop_with_an_open_stream_is_prompt(make) -> None:  # type: ignore[no-untyped-def]
    session = make(stop_grace_seconds=30)
    status = await ready(session)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        body = {"prompt": "Once", "n_predict": 400, "ignore_eos": True, "stream": True}
        async with client.stream("POST", f"{status.url}/completion", json=body) as answer:
            async for _ in answer.aiter_lines():
                break
            began = time.monotonic()
            await session.stop("x")
    assert time.monotonic() - began < 29  # by itself, not by the SIGKILL
    assert (await status_of(session, "x")).state is State.STOPPED


async def test_files_that_are_no_models(make, demo_parts: Parts, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = tmp_path / "text.gguf"
    text.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "not a GGUF" in str((await failure(make(model=str(text)))).last_error)
    cut = tmp_path / "cut.gguf"
    with demo_parts.smollm2.open("rb") as file:
        cut.write_bytes(file.read(10_000_000))
    assert "incomplete or corrupt" in str((await failure(make(model=str(cut)))).last_error)


async def test_an_unknown_flag_and_a_bad_value(make) -> None:  # type: ignore[no-untyped-def]
    unknown = await failure(make(args=("--no-such-flag",)))
    assert unknown.last_error == "llama-server knows no flag --no-such-flag"
    value = await failure(make(args=("--cache-type-k", "f17")))
    assert "does not take this value of --cache-type-k" in str(value.last_error)


async def test_a_port_that_is_taken_after_the_check_is_told_with_its_user(
    make,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gputui.instances import ports

    session = make(port=(port := new_port()))
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(GputuiError, match=f"port {port} of x is used by"):
            await session.start("x")
        monkeypatch.setattr(ports, "is_free", lambda *_: True)  # it came just after the look
        status = await failure(session)
    assert f"port {port} is used by" in str(status.last_error)


def test_the_real_server_lists_its_devices(demo_parts: Parts) -> None:
    assert inspect(demo_parts.llama_server).path == str(demo_parts.llama_server)


async def test_a_long_prompt_is_followed_in_the_status(make) -> None:  # type: ignore[no-untyped-def]
    session = make(
        ctx_size=8192, args=("-ub", "64", "-b", "64", "--parallel", "1"), stop_grace_seconds=0.1
    )
    status = await ready(session)
    seen: list[float] = []
    async with httpx.AsyncClient(timeout=150, trust_env=False) as client:
        body = {"prompt": "word " * 7500, "n_predict": 10}
        asking = asyncio.ensure_future(client.post(f"{status.url}/completion", json=body))
        while len(set(seen)) < 3:  # from the log, which begins to tell after some seconds
            progress = (await status_of(session, "x")).prompt_progress
            seen += [] if progress is None else [progress]
            assert not asking.done()
            await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert seen == sorted(seen)
    assert all(0 < progress < 1 for progress in seen)
    await session.stop("x")  # it would read the prompt to its end
    assert (await status_of(session, "x")).prompt_progress is None
