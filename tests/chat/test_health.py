"""The health of endpoints: whatever answers, or does not, becomes a state and words."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from gputui.chat.health import EndpointState, EndpointStatus, EndpointWatch, endpoints_json
from gputui.cli.root import group
from gputui.config import Config, EndpointConfig
from tests.chat.raw_server import Responder, serve
from tests.support.ports import new_port
from tests.support.waiting import wait_for

MODELS = {"object": "list", "data": [{"id": "qwen2.5-32b"}, {"id": "phi\x1b[31m-4"}]}


def answers(body: object, status: str = "200 OK", *headers: str) -> Responder:
    """One whole answer: JSON, or text as it is."""

    async def respond(request: object, writer: asyncio.StreamWriter) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(text.encode())}", *headers, "", "")
        writer.write("\r\n".join(lines).encode() + text.encode())
        await writer.drain()

    return respond


async def silent(request: object, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def endless(request: object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while True:
        writer.write(b"1," * 5000)
        await writer.drain()


async def garbage(request: object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.example.org ESMTP\r\n")
    await writer.drain()


def watch_of(url: str, **more: str) -> EndpointWatch:
    config = Config(endpoints=(EndpointConfig(name="far", url=url, **more),))
    return EndpointWatch(config)


async def asked(*responders: Responder) -> EndpointStatus:
    async with serve(*responders) as server:
        (status,) = await watch_of(f"{server.url}/v1").ask_once()
        assert [request.path for request in server.requests] == ["/v1/models"]
        return status


async def test_one_that_is_up() -> None:
    status = await asked(answers(MODELS))
    assert status.state is EndpointState.UP
    assert status.latency_seconds is not None
    assert 0 < status.latency_seconds < 5
    assert status.models == ("qwen2.5-32b", "phi-4")
    assert status.served == "qwen2.5-32b +1"
    assert status.problem == ""
    (shape,) = endpoints_json((status,))
    assert (shape["state"], shape["problem"]) == ("up", None)


LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}


@pytest.mark.parametrize(
    ("responder", "state", "words"),
    [
        (answers({"error": "no"}, "401 Unauthorized"), "unauthorised", "without a key (HTTP 401)"),
        (answers({}, "403 Forbidden"), "unauthorised", "HTTP 403"),
        (answers(LOADING, "503 Service Unavailable"), "loading", "still loading"),
        (answers({}, "500 Internal Server Error"), "down", "HTTP 500"),
        (answers("<html><title>Login</title>"), "down", 'a web page ("Login")'),
        (
            answers("", "302 Found", "Location: http://elsewhere/"),
            "down",
            "redirects to http://else",
        ),
        (answers({"detail": "x"}, "404 Not Found"), "down", "nothing is served at"),
        (answers({"data": 7}), "down", "no list of models"),
        (answers("[" * 100_000), "down", "no list of models"),
        (endless, "down", "no list of models"),
        (garbage, "down", "closed the connection"),
    ],
)
async def test_what_else_answers(responder: Responder, state: str, words: str) -> None:
    status = await asked(responder)
    assert (str(status.state), words in status.problem) == (state, True), status
    assert status.models == ()


async def test_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gputui.chat.health._WHOLE_SECONDS", 0.2)
    status = await asked(silent)
    assert status.state is EndpointState.DOWN
    assert "no answer in" in status.problem


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}/v1", "nothing listens at 127.0.0.1"),
        ("http://no-such-host.invalid/v1", "no-such-host.invalid"),
        ("http://127.0.0.1:99999/v1", ""),
        ("http://[::1/v1", ""),
        ("https://ann:pw@127.0.0.1/v1", "holds a user name or password"),
    ],
)
async def test_where_nothing_answers(url: str, words: str) -> None:
    (status,) = await watch_of(url.format(port=new_port())).ask_once()
    assert status.state is EndpointState.DOWN
    assert status.problem
    assert words in status.problem


async def test_a_server_without_tls() -> None:
    async with serve(answers(MODELS)) as server:
        (status,) = await watch_of(server.url.replace("http:", "https:") + "/v1").ask_once()
    assert status.state is EndpointState.DOWN
    assert "no secure connection" in status.problem


async def test_the_key_goes_into_the_header_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAR_KEY", "s3cret")
    said = answers({"error": {"message": "bad key s3cret"}}, "401 Unauthorized")
    async with serve(said) as server:
        (status,) = await watch_of(f"{server.url}/v1", api_key_env="FAR_KEY").ask_once()
        (request,) = server.requests
    assert request.headers["authorization"] == "Bearer s3cret"
    assert status.state is EndpointState.UNAUTHORISED
    assert "s3cret" not in repr(status) + request.path


async def test_a_key_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    (status,) = await watch_of("http://127.0.0.1:1/v1", api_key_env="FAR_KEY").ask_once()
    assert status.state is EndpointState.DOWN
    assert "FAR_KEY is not set" in status.problem


async def test_a_slow_one_holds_up_no_other() -> None:
    async with serve(silent) as slow, serve(answers(MODELS)) as quick:
        tables = [
            EndpointConfig(name=name, url=url)
            for name, url in (("slow", slow.url), ("quick", quick.url))
        ]
        watch = EndpointWatch(Config(endpoints=tuple(tables)))
        running = asyncio.create_task(watch.run_forever())
        await asyncio.to_thread(wait_for, lambda: watch.statuses[1].state is EndpointState.UP)
        assert watch.statuses[0].state is EndpointState.ASKING
        watch.set_config(Config(endpoints=tuple(tables[1:])))
        assert [one.state for one in watch.statuses] == [EndpointState.UP]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_changed_configuration_is_asked_for_at_once_and_what_stays_is_kept() -> None:
    async with serve(answers(MODELS)) as server:
        one, two = (EndpointConfig(name=name, url=server.url) for name in ("one", "two"))
        watch = EndpointWatch(Config())
        running = asyncio.create_task(watch.run_forever())
        watch.set_config(Config(endpoints=(one,)))
        await asyncio.to_thread(
            wait_for, lambda: all(s.state is EndpointState.UP for s in watch.statuses)
        )
        (known,) = watch.statuses
        watch.set_config(Config(endpoints=(two, one)))
        assert watch.statuses[1] == known
        await asyncio.to_thread(wait_for, lambda: watch.statuses[0].state is EndpointState.UP)
        watch.set_config(Config())
        assert watch.statuses == ()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_status_tells_of_endpoints(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    file = tmp_path / "config.toml"
    file.write_text(f'[[endpoints]]\nname = "far"\nurl = "http://127.0.0.1:{port}/v1"\n')
    table = CliRunner().invoke(group, ["--config", str(file), "status"])
    assert table.exit_code == 0, table.output
    assert f"nothing listens at 127.0.0.1:{port}" in table.stdout
    shown = json.loads(
        CliRunner().invoke(group, ["--config", str(file), "status", "--json"]).stdout
    )
    (endpoint,) = shown["endpoints"]
    assert (endpoint["name"], endpoint["state"]) == ("far", "down")
