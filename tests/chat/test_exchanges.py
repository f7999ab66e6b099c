"""Recorded exchanges with every kind of server, served byte for byte."""

from __future__ import annotations

import contextlib
import time
from itertools import groupby
from typing import Any

import pytest

from gputui.chat.answering.client import make_client, stream
from gputui.chat.answering.live import Exchange, LiveAnswer
from gputui.chat.answering.wire import Event
from gputui.chat.model import Figure, Message, Sampling, Settings
from gputui.errors import GputuiError
from tests.chat.raw_server import RawServer, serve
from tests.chat.recorded import Recorded, check_request, recorded
from tests.support.hostile import assert_clean

ALL = recorded()
FIGURES = (
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "prompt_tokens_per_second",
    "generation_tokens_per_second",
)


class Heard:
    """What a side makes of an exchange."""

    def __init__(self, one: Recorded, server: RawServer) -> None:
        given: dict[str, Any] = {
            name: float(value) if "." in value else int(value)
            for name, value in one.assignments("sampling").items()
        }
        self.settings = Settings(sampling=Sampling(**given))
        endpoint = server.endpoint(**one.assignments("endpoint"))
        self.live = LiveAnswer(Exchange("hi"), endpoint, self.settings)
        self.events: list[Event] = []
        self.error: GputuiError | None = None

    async def listen(self) -> None:
        async with make_client() as client:
            asked = [Message("user", "hi")]
            arrivals = stream(client, self.live.endpoint, asked, self.settings.sampling)
            try:
                async with contextlib.aclosing(arrivals):
                    async for arrival in arrivals:
                        for event in arrival.events:
                            self.events.append(event)
                            self.live.take(arrival.at, event)
            except GputuiError as error:
                self.error = error
        self.live.close()


@pytest.mark.parametrize("one", ALL, ids=[one.name for one in ALL])
async def test_a_recorded_exchange(one: Recorded) -> None:
    async with serve(*one.responders()) as server:
        heard = Heard(one, server)
        await heard.listen()
    assert len(server.requests) == len(one.requests)
    for lines, request in zip(one.requests, server.requests, strict=True):
        check_request(lines, request, server.url)
    check_answer(one.expect, heard)


def check_answer(expect: dict[str, str], heard: Heard) -> None:
    answer = heard.live.answer("A")
    said = heard.error.message if heard.error else ""
    for line in filter(None, (said, heard.error.hint if heard.error else "", answer.text)):
        assert_clean(line)
    left = dict(expect)
    if "error" in left:
        assert left.pop("error") in said
    else:
        assert said == ""
    if "hint" in left:
        assert heard.error is not None
        assert left.pop("hint") in heard.error.hint
    assert answer.text == left.pop("text", "")
    assert answer.reasoning == left.pop("reasoning", "")
    assert answer.finish_reason == (left.pop("finish", None))
    assert " ".join(answer.left_out) == left.pop("left_out", "")
    if "model" in left:
        assert answer.model == left.pop("model")
    if "events" in left:
        assert [k for k, _ in groupby(type(event).__name__ for event in heard.events)] == left.pop(
            "events"
        ).split()
    check_figures(left, heard)
    assert left == {}, "unknown expectations"


def check_figures(left: dict[str, str], heard: Heard) -> None:
    numbers = heard.live.watch.measurement(time.monotonic())
    for name in FIGURES:
        figure: Figure | None = getattr(numbers, name)
        wanted = left.pop(name, None)
        if wanted == "none":
            assert figure is None
        elif wanted is not None:
            assert figure is not None
            value, origin = wanted.split()
            assert figure.origin == origin
            assert figure.value == pytest.approx(float(value))


def test_the_servers_of_the_field_are_all_there() -> None:
    servers = {one.name.partition("-")[0] for one in ALL}
    assert {"vllm", "ollama", "llamaswap", "openai", "llamacpp", "lmstudio", "proxy"} <= servers
