"""The client over a server that sends whatever a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import httpx
import pytest

from gputui.chat.answering.arrivals import StampedStream
from gputui.chat.answering.client import Arrival, make_client, stream
from gputui.chat.answering.failures import http_failure
from gputui.chat.answering.wire import RequestSent, TextDelta
from gputui.chat.model import Endpoint, Message, Sampling, Secret
from gputui.errors import GputuiError
from tests.chat.raw_server import (
    RawServer,
    Responder,
    break_off,
    hang_up,
    reply,
    reply_json,
    reply_then,
    serve,
)
from tests.support.hostile import completion

KEY = "sk-very-secret-4711"


async def ask(endpoint: Endpoint, sampling: Sampling | None = None) -> list[Arrival]:
    async with make_client() as client:
        arrivals = stream(client, endpoint, [Message("user", "hi")], sampling or Sampling())
        async with contextlib.aclosing(arrivals):
            return [arrival async for arrival in arrivals]


async def test_an_answer_under_another_alias_is_refused_before_its_text() -> None:
    stream_bytes = b'data: {"model":"o\\u001b[31mne","choices":[{"delta":{"content":"x"}}]}\n\n'
    async with serve(reply(stream_bytes)) as server, make_client() as client:
        endpoint = server.endpoint("two", expected_model="two")
        arrivals = stream(client, endpoint, [Message("user", "hi")], Sampling())
        seen = [await anext(arrivals)]
        with pytest.raises(GputuiError, match=f"two: one answers at {server.url}") as caught:
            seen += [arrival async for arrival in arrivals]
    assert [event for arrival in seen for event in arrival.events] == [RequestSent()]
    assert "\x1b" not in str(caught.value)
    assert server.requests[0].body["model"] == "two", "which older builds repeat"


def text_of(arrivals: list[Arrival]) -> str:
    events = [event for arrival in arrivals for event in arrival.events]
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def failure(*responders: Responder, key: str | None = None) -> GputuiError:
    """What a user is told where the server answers so."""
    async with serve(*responders) as server:
        with pytest.raises(GputuiError) as caught:
            await ask(server.endpoint(key=key))
    assert "raw" in caught.value.message
    assert KEY not in str(caught.value)
    return caught.value


async def test_an_answer_arrives_with_the_time_of_each_piece() -> None:
    stream_bytes = completion("Hello", ", ", "world")
    async with serve(
        reply(*[stream_bytes[i : i + 7] for i in range(0, len(stream_bytes), 7)])
    ) as s:
        before = time.monotonic()
        arrivals = await ask(s.endpoint())
    assert text_of(arrivals) == "Hello, world"
    assert arrivals[0].events == (RequestSent(),)
    times = [arrival.at for arrival in arrivals]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.monotonic()


async def test_the_connection_of_an_answer_stamps_what_arrives() -> None:
    async with (
        serve(reply(completion("x"))) as server,
        make_client() as client,
        client.stream("POST", f"{server.url}/v1/chat/completions", json={}) as response,
    ):
        connection = response.extensions["network_stream"]
        assert isinstance(connection, StampedStream)
        await response.aread()
        assert connection.read_at > 0


async def test_the_request_asks_for_numbers_and_sends_only_what_was_chosen() -> None:
    async with serve(reply(completion("x"))) as server:
        await ask(server.endpoint(), Sampling(temperature=0.5, seed=7, cache_prompt=False))
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body == {
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,
        "return_progress": True,
        "temperature": 0.5,
        "seed": 7,
        "cache_prompt": False,
    }
    assert "authorization" not in request.headers


async def test_the_key_is_in_the_header_and_nowhere_else() -> None:
    async with serve(reply(completion("x"))) as server:
        endpoint = server.endpoint(key=KEY, model="m")
        await ask(endpoint)
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == "m"
    assert KEY not in repr(endpoint)
    assert KEY not in json.dumps(request.body)


async def test_a_strict_server_gets_the_request_without_llama_cpps_own_fields() -> None:
    refusal = {"detail": [{"type": "extra_forbidden", "loc": ["body", "return_progress"]}]}
    async with serve(reply_json(refusal, 422), reply(completion("ok"))) as server:
        arrivals = await ask(server.endpoint())
    assert text_of(arrivals) == "ok"
    assert "return_progress" not in server.requests[1].body
    assert "timings_per_token" not in server.requests[1].body
    assert server.requests[1].body["stream_options"] == {"include_usage": True}
    sent = [a for a in arrivals if a.events == (RequestSent(),)]
    assert len(sent) == 2, "the clock starts again"


async def test_a_server_that_refuses_for_good_is_not_asked_for_ever() -> None:
    refusal = {"error": {"message": "unknown field stream_options"}}
    async with serve(reply_json(refusal, 400)) as server:
        with pytest.raises(GputuiError, match="unknown field stream_options"):
            await ask(server.endpoint())
    assert [*server.requests[-1].body] == ["messages", "stream"]


async def test_nobody_listens(free_port: int) -> None:
    with pytest.raises(GputuiError, match=f"nothing listens at 127.0.0.1:{free_port}") as caught:
        await ask(Endpoint("gone", f"http://127.0.0.1:{free_port}/v1"))
    assert caught.value.hint


async def test_an_unknown_host() -> None:
    with pytest.raises(GputuiError, match=r"host no-such-host\.invalid is not known"):
        await ask(Endpoint("gone", "http://no-such-host.invalid/v1"))


async def test_https_where_http_is_spoken() -> None:
    async def speak_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(GputuiError) as caught:
            await ask(Endpoint("raw", f"https://127.0.0.1:{port}/v1"))
    assert "no secure connection" in caught.value.message
    assert "http" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("key", [None, KEY])
async def test_a_refused_key_is_said_without_the_key(status: int, key: str | None) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {KEY}", "type": "x"}}
    error = await failure(reply_json(body if key else {}, status), key=key)
    assert "key" in error.message
    assert "api_key_env" in error.hint


async def test_a_wrong_path() -> None:
    assert "nothing is served at" in (await failure(reply(b"", status=404))).message


async def test_an_unknown_model_is_said_in_the_servers_words() -> None:
    body = {"error": {"message": 'model "x" not found, try pulling it first'}}
    assert 'model "x" not found' in (await failure(reply_json(body, 404))).message


async def test_context_overflow() -> None:
    body = {
        "error": {
            "code": 400,
            "message": "too long",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 5093,
            "n_ctx": 2048,
        }
    }
    async with serve(reply_json(body, 400)) as server:
        with pytest.raises(GputuiError) as caught:
            await ask(server.endpoint())
    assert "5093" in caught.value.message
    assert "2048" in caught.value.message
    assert "ctx_size" in caught.value.hint
    assert len(server.requests) == 1, "nothing can be left out of it"


async def test_too_many_requests_says_when_to_come_back() -> None:
    error = await failure(reply_json({"error": {"message": "slow down"}}, 429, Retry_After="17"))
    assert "slow down" in error.message
    assert "17 s" in error.hint


async def test_a_model_that_is_loading() -> None:
    body = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
    assert "still loading" in (await failure(reply_json(body, 503))).message


@pytest.mark.parametrize("status", [200, 502])
async def test_the_page_of_a_proxy(status: int) -> None:
    page = b"<!DOCTYPE html><html><head><title>\x1b[31mBad Gateway</title></head></html>"
    error = await failure(reply(page, status=status, kind="text/html; charset=utf-8"))
    assert "web page" in error.message
    assert "Bad Gateway" in error.message
    assert "\x1b" not in error.message


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_refused_and_the_key_goes_nowhere(status: int) -> None:
    async with serve(reply(completion("stolen"))) as other:
        error = await failure(reply(b"", status=status, Location=f"{other.url}/v1"), key=KEY)
        assert "redirects to" in error.message
        assert other.requests == []


@pytest.mark.parametrize(
    "responder",
    [
        break_off,
        reply(b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n'),
        hang_up,
        reply(b""),
    ],
    ids=["content-length", "no end", "no answer", "empty"],
)
async def test_a_connection_that_closes_early_is_an_error(responder: Responder) -> None:
    assert "closed the connection" in (await failure(responder)).message


async def test_garbage_in_mid_stream() -> None:
    half = b'data: {"choices":[{"delta":{"content":"half"}}]}\n\ndata: {"cho\n\n'
    assert "not JSON" in (await failure(reply(half))).message


async def test_an_error_in_mid_stream_comes_after_the_text_before_it() -> None:
    half = b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n'
    error = b'data: {"error":{"message":"out of memory","code":500}}\n\n'
    arrivals: list[Arrival] = []

    async def collect() -> None:
        async for arrival in stream(client, server.endpoint(), [Message("user", "hi")], Sampling()):
            arrivals.append(arrival)

    async with serve(reply(half + error)) as server, make_client() as client:
        with pytest.raises(GputuiError, match="out of memory"):
            await collect()
    assert text_of(arrivals) == "half"


async def test_a_server_that_does_not_stream() -> None:
    body = {"model": "m", "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    async with serve(reply_json(body, 200)) as server:
        assert text_of(await ask(server.endpoint())) == "whole"


async def test_json_that_is_no_answer() -> None:
    assert "no chat completion" in (await failure(reply_json(["?"], 200))).message


@pytest.mark.parametrize("body", [b"", b"plain words", b"\xff\xfe", b"[]", b'"text"', b"0"])
async def test_a_server_error_with_any_body(body: bytes) -> None:
    assert (await failure(reply(body, status=500, kind="application/json"))).hint


async def test_an_endless_error_body_ends() -> None:
    async def endless(_: object, writer: object) -> None:
        await reply(*[b"x" * 65536] * 64, status=500)(_, writer)  # type: ignore[arg-type]

    assert "HTTP 500" in (await failure(endless)).message


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with serve(reply(completion("direct"))) as server:
        assert text_of(await ask(server.endpoint())) == "direct"


async def test_closing_the_iterator_closes_the_connection() -> None:
    first = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    never = asyncio.Event()
    async with serve(reply_then(first, wait=never)) as server, make_client() as client:
        await _read_one_piece(server, client)
        await asyncio.wait_for(server.hung_up.wait(), 60)


async def _read_one_piece(server: RawServer, client: object) -> None:
    arrivals = stream(client, server.endpoint(), [Message("user", "hi")], Sampling())  # type: ignore[arg-type]
    async with contextlib.aclosing(arrivals):
        async for arrival in arrivals:
            if any(isinstance(event, TextDelta) for event in arrival.events):
                return


@pytest.mark.parametrize("before", range(150, 300, 7))
def test_a_key_that_is_cut_leaves_no_piece_of_it(before: int) -> None:
    padding = "x" * before
    for body in ({"error": {"message": padding + KEY}}, padding + KEY):
        retry = {"retry-after": f"{'y' * (before % 40)}{KEY}", "content-type": "text/plain"}
        said = json.dumps(body) if isinstance(body, dict) else body
        response = httpx.Response(429, headers=retry)
        error = http_failure(
            Endpoint("a", "http://h/v1", api_key=Secret(KEY)), response, said.encode()
        )
        assert KEY[:8] not in error.message + error.hint
