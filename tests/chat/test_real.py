"""The chat over the real llama-server and both real models."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gputui.chat.asking.choosing import choose_value, drop
from gputui.chat.conversation import Conversation
from gputui.chat.endpoints import running_endpoint
from gputui.chat.model import STOPPED, Answer, Attachment, Endpoint, Sampling, Settings
from gputui.demo.config import INSTANCES
from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from tests.support.pictures import png
from tests.support.ports import new_port

pytestmark = pytest.mark.real
LONG = "Count from one to one thousand in words, one number a line."
PATIENCE = 90


@pytest.fixture(scope="module")
def servers(
    demo_parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Both models, each on its own server."""
    folder = tmp_path_factory.mktemp("servers")
    models = (demo_parts.smollm2, demo_parts.gemma3)
    ports = [new_port() for _ in models]
    started = [
        _start(demo_parts.llama_server, model, name, port, folder / f"{port}.log")
        for model, name, port in zip(models, INSTANCES, ports, strict=True)
    ]
    try:
        for process, port in zip(started, ports, strict=True):
            _wait_ready(process, port, folder / f"{port}.log")
        yield (
            Endpoint("smollm2", f"http://127.0.0.1:{ports[0]}/v1"),
            Endpoint("gemma3", f"http://127.0.0.1:{ports[1]}/v1"),
        )
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def _start(program: Path, model: Path, name: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    arguments = ["-m", model, "--port", str(port), "-c", "1024", "-np", "1", "-t", "1"]
    arguments += ["--alias", name]
    with log.open("wb") as output:
        return subprocess.Popen(
            [program, *arguments, "--no-webui", "--sse-ping-interval", "2"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"no server (exit code {process.poll()}): {log.read_text()[-2000:]}")


def _conversation(servers: tuple[Endpoint, Endpoint], max_tokens: int = 24) -> Conversation:
    conversation = Conversation()
    conversation.settings = Settings(
        sampling=Sampling(temperature=0, seed=1, max_tokens=max_tokens, cache_prompt=False)
    )
    for name, endpoint in zip("AB", servers, strict=True):
        conversation.sides[name].choose(endpoint)
    return conversation


async def _settled(conversation: Conversation) -> list[Answer]:
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    return [side.finished[-1].answers[name] for name, side in conversation.sides.items()]


async def test_only_the_model_that_is_meant_answers(servers: tuple[Endpoint, Endpoint]) -> None:
    """The server that gave another its place says who it is, whatever it is asked for."""
    right, wrong = (
        running_endpoint(replace(endpoint, name=name), endpoint.url[:-3], "m", owned=True)
        for endpoint, name in zip(servers, ("smollm2", "another"), strict=True)
    )
    conversation = _conversation((right, wrong), max_tokens=3)
    conversation.send("Hi")
    answers = await _settled(conversation)
    await conversation.close()
    assert answers[0].error is None
    assert answers[0].text
    assert "gemma3 answers at" in (answers[1].error or "")
    assert answers[1].text == ""


def _busy_slots(endpoint: Endpoint) -> int:
    slots = httpx.get(endpoint.url.removesuffix("/v1") + "/slots").json()
    return sum(slot["is_processing"] for slot in slots)


async def test_two_models_answer_one_prompt_with_the_servers_numbers(
    servers: tuple[Endpoint, Endpoint],
) -> None:
    conversation = _conversation(servers)
    conversation.send("Write one sentence about the sea.")
    answers = await _settled(conversation)
    await conversation.close()
    assert answers[0].text != answers[1].text
    for answer in answers:
        assert answer.error is None
        assert answer.finish_reason in ("stop", "length")
        assert answer.text.strip()
        numbers = answer.measurement
        for figure in (
            numbers.prompt_tokens,
            numbers.completion_tokens,
            numbers.prompt_tokens_per_second,
            numbers.generation_tokens_per_second,
        ):
            assert figure is not None
            assert figure.origin == "server"
            assert figure.value > 0
        assert numbers.completion_tokens is not None
        assert numbers.completion_tokens.value <= 24
        assert numbers.ttft_seconds is not None
        assert numbers.elapsed_seconds is not None
        assert 0 < numbers.ttft_seconds <= numbers.elapsed_seconds


async def test_our_clock_agrees_with_the_servers(servers: tuple[Endpoint, Endpoint]) -> None:
    """Prompt and generation as the server timed them fill the time that we measured, and no more."""
    conversation = _conversation(servers, max_tokens=60)
    conversation.send(LONG, ("A",))
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    numbers = conversation.sides["A"].finished[-1].answers["A"].measurement
    await conversation.close()
    assert numbers.completion_tokens
    assert numbers.generation_tokens_per_second
    assert numbers.prompt_tokens
    assert numbers.prompt_tokens_per_second
    assert numbers.elapsed_seconds
    generation = numbers.completion_tokens.value / numbers.generation_tokens_per_second.value
    prompt = numbers.prompt_tokens.value / numbers.prompt_tokens_per_second.value
    assert generation + prompt <= numbers.elapsed_seconds * 1.05


async def test_stopping_in_mid_stream_frees_the_slot(servers: tuple[Endpoint, Endpoint]) -> None:
    conversation = _conversation(servers, max_tokens=900)
    side = conversation.sides["A"]
    conversation.send(LONG, ("A",))
    async with asyncio.timeout(PATIENCE):
        while not (side.live and side.live.text):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(_busy_slots, servers[0]) == 1
        side.stop()
        while await asyncio.to_thread(_busy_slots, servers[0]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    answer = side.finished[-1].answers["A"]
    await conversation.close()
    assert answer.finish_reason == STOPPED
    assert answer.text


async def test_a_prompt_that_is_stopped_keeps_its_server_busy_and_that_is_said(
    servers: tuple[Endpoint, Endpoint],
) -> None:
    """The batch that is being computed goes on to its end; then the slot is free, and nothing is said."""
    conversation = _conversation((replace(servers[0], llama=True), servers[1]))
    side = conversation.sides["A"]
    conversation.send("word " * 500, ("A",))
    async with asyncio.timeout(PATIENCE):
        while not (side.live and side.live.measurement.prompt_progress is not None):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        side.stop()
        await conversation.wait()
        while not side.lingering:
            assert conversation.unsettled, "the look ended without a word"
            await asyncio.sleep(0.005)
        while conversation.unsettled:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert side.lingering == ""
    assert await asyncio.to_thread(_busy_slots, servers[0]) == 0
    await conversation.close()


async def test_a_conversation_too_long_says_both_numbers(
    servers: tuple[Endpoint, Endpoint],
) -> None:
    conversation = _conversation(servers)
    conversation.send("word " * 3000)
    answers = await _settled(conversation)
    await conversation.close()
    for answer in answers:
        assert answer.error is not None
        assert "1024" in answer.error
        assert answer.hint


async def test_the_second_turn_knows_the_first(servers: tuple[Endpoint, Endpoint]) -> None:
    conversation = _conversation(servers)
    conversation.send("My name is Ada.", ("A",))
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    conversation.send("What is my name?", ("A",))
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    first, second = (turn.answers["A"] for turn in conversation.sides["A"].finished)
    await conversation.close()
    assert first.measurement.prompt_tokens
    assert second.measurement.prompt_tokens
    assert second.measurement.prompt_tokens.value > first.measurement.prompt_tokens.value


async def test_a_model_that_sees_nothing_is_known_and_its_server_refuses_pictures(
    servers: tuple[Endpoint, Endpoint],
) -> None:
    """What /props says of vision is what is refused beforehand; unasked, the server says it itself."""
    props = (await asyncio.to_thread(httpx.get, f"{servers[0].root}/props")).json()
    assert props["modalities"]["vision"] is False
    picture = Attachment("cat.png", "image/png", png())
    conversation = _conversation(servers)
    conversation.sides["A"].choose(replace(servers[0], sees=props["modalities"]["vision"]))
    with pytest.raises(GputuiError, match="smollm2 takes no pictures: start it with mmproj"):
        conversation.send("What is it?", attachments=(picture,))
    conversation.send("What is it?", ("B",), (picture,))
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    answer = conversation.sides["B"].finished[-1].answers["B"]
    await conversation.close()
    assert answer.error is not None
    assert "image" in answer.error


async def test_what_is_to_be_dropped_makes_a_conversation_fit_again(
    servers: tuple[Endpoint, Endpoint],
) -> None:
    """The server counts, refuses with both numbers, and takes the conversation without its oldest turn."""
    conversation = _conversation(servers, max_tokens=8)
    conversation.sides["A"].choose(replace(servers[0], llama=True))
    choose_value(conversation, None, "cache_prompt", "on")
    for _ in range(2):
        conversation.send("Say hello. " * 170 + "Say hello to me now, please.", ("A",))
        await asyncio.wait_for(conversation.wait(), PATIENCE)
    side = conversation.sides["A"]
    failed = side.finished[-1].answers["A"]
    assert "the context of smollm2 holds 1024" in (failed.error or "")
    assert failed.hint.startswith("/drop 1 leaves out the oldest turn (about 5"), failed.hint
    use = side.context_use
    assert use is not None
    assert (use.size, use.used > 500) == (1024, True)
    drop(conversation, "A", "1")
    conversation.retry("A")
    await asyncio.wait_for(conversation.wait(), PATIENCE)
    answer = side.finished[-1].answers["A"]
    await conversation.close()
    assert answer.error is None
    assert answer.settings is not None
    assert answer.settings.sampling == Sampling(
        0.0, 40, 0.95, 0.05, 1.0, 0.0, 0.0, seed=1, max_tokens=8, cache_prompt=True
    )
    assert answer.left_out == ()
