"""The chat pane over true HTTP: two scripted servers, keys in, screen out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gputui.chat.conversation import Conversation
from gputui.config import Config, EndpointConfig
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.prompt import Prompt
from tests.support.hostile import HOSTILE
from tests.ui.harness import BOTH, Rig, make_rig, rig, screen_text, until, until_shown

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(**delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"


END = (
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"timings":{"prompt_n":5,'
    b'"prompt_per_second":310.5,"predicted_n":7,"predicted_per_second":14.2}}\n\ndata: [DONE]\n\n'
)


def answers(*chunks: bytes) -> Script:
    async def script(writer: asyncio.StreamWriter) -> None:
        for one in chunks:
            writer.write(one)
            await writer.drain()

    return script


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[str]:
    """An OpenAI-compatible server on loopback that answers every request by ``script``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            )
            await script(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    finally:
        listening.close()


def chat_rig(a: str, b: str) -> Rig:
    config = Config(
        endpoints=(EndpointConfig(name="left", url=a), EndpointConfig(name="right", url=b))
    )
    return make_rig(config, conversation=Conversation(None))


async def test_one_prompt_two_answers_with_their_numbers_and_who_measured_them() -> None:
    left = answers(chunk(content="Hello **bold**"), END)
    right = answers(chunk(content="Good day"), END)
    async with server(left) as a, server(right) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "Good day")
            await until_shown(pilot, "Hello bold")
            numbers = "server: tg 14.2 pp 310.5 tok/s · 5+7 tok | client: TTFT"
            await until(pilot, lambda: screen_text(one.app).count(numbers) == 2)
            assert screen_text(one.app).count("› hi") == 2
            assert one.app.screen.query_one(Prompt).text == ""


async def test_one_side_fails_in_words_the_other_goes_on_and_it_alone_is_retried() -> None:
    calls: list[int] = []

    async def flaky(writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        if len(calls) == 1:
            writer.write(
                b'data: {"error":{"code":500,"message":"[/]boom[/]","type":"server_error"}}\n\n'
            )
        else:
            await answers(chunk(content="second try"), END)(writer)

    async with server(flaky) as a, server(answers(chunk(content="fine"), END)) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "fine")
            await until_shown(pilot, "[/]boom[/]")
            await pilot.press("escape", "left", "r")
            await until_shown(pilot, "second try")
            assert "boom" not in screen_text(one.app)
            assert screen_text(one.app).count("fine") == 1


async def test_a_retry_that_fails_is_told_and_the_answer_stays() -> None:
    calls: list[int] = []

    async def once(writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        if len(calls) == 1:
            await answers(chunk(content="the good one"), END)(writer)

    async with server(once) as a, server(answers(chunk(content="fine"), END)) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "the good one")
            await pilot.press("escape", "left", "r")
            await until(
                pilot, lambda: len(calls) == 2 and one.conversation.sides["A"].problem is not None
            )
            await until_shown(pilot, "Retry failed")
            assert "the good one" in screen_text(one.app)


async def test_escape_stops_both_and_keeps_what_came() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(chunk(content="more and "))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with server(endless) as a, server(endless) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until(pilot, lambda: screen_text(one.app).count("more and more and") >= 2)
            await pilot.press("escape")
            await until(pilot, lambda: screen_text(one.app).count("stopped by you") == 2)
            assert isinstance(one.app.focused, Prompt), "the first escape stops, the second leaves"
            await pilot.press("escape")
            assert not isinstance(one.app.focused, Prompt)


async def test_one_side_alone_can_be_stopped() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(chunk(content="x "))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(endless) as a, server(endless) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until(
                pilot,
                lambda: all(
                    side.live and side.live.text for side in one.conversation.sides.values()
                ),
            )
            one.app.screen.query_one("#instances").focus()
            await pilot.press("right", "x")
            await until_shown(pilot, "stopped by you")
            assert one.conversation.sides["A"].busy
            assert not one.conversation.sides["B"].busy


async def test_the_target_key_sends_to_one_side_alone() -> None:
    async with server(answers(chunk(content="only me"), END)) as a, server(answers()) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", "ctrl+t")
            await until_shown(pilot, "to A")
            await pilot.press(*"hi", "enter")
            await until_shown(pilot, "only me")
            assert not one.conversation.sides["B"].finished


async def test_reasoning_is_folded_and_unfolds() -> None:
    thinking = answers(chunk(reasoning_content="deep thought here"), chunk(content="42"), END)
    async with server(thinking) as a, server(answers(chunk(content="b"), END)) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "▸ reasoning 1 token (client), ")
            assert "deep thought here" not in screen_text(one.app)
            await pilot.press("escape", "left", "e")
            await until_shown(pilot, "deep thought here")


async def test_a_burst_of_keys_arrives_in_order() -> None:
    async with (
        server(answers(chunk(content="ok"), END)) as a,
        server(answers(chunk(content="ok"), END)) as b,
    ):
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c")
            from textual.events import Key

            for key in [*"first", "ctrl+j", *"second", "enter"]:
                one.app.post_message(Key(key, key if len(key) == 1 else None))
            await until(pilot, lambda: one.conversation.sides["A"].prompt == "first\nsecond")


async def test_a_narrow_terminal_shows_one_side_at_a_time() -> None:
    async with (
        server(answers(chunk(content="from the left"), END)) as a,
        server(answers(chunk(content="from the right"), END)) as b,
    ):
        one = chat_rig(a, b)
        async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
            await until_shown(pilot, "ctrl+o: side B")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "from the left")
            assert "from the right" not in screen_text(one.app)
            await pilot.press("ctrl+o")
            await until_shown(pilot, "from the right")
            assert "from the left" not in screen_text(one.app)
            assert isinstance(one.app.focused, Prompt), "typing goes on"
            await pilot.press("escape", "left")
            await until_shown(pilot, "from the left")


async def test_the_end_of_an_answer_stays_in_sight_as_room_is_taken_from_it() -> None:
    lines = "\n\n".join(f"line {number}" for number in range(60))
    async with (
        server(answers(chunk(content=lines), END)) as a,
        server(answers(chunk(content="x"), END)) as b,
    ):
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "line 59")
            await pilot.resize_terminal(160, 30)
            await until_shown(pilot, "line 59")
            await pilot.press("escape", "left", *["pageup"] * 3)
            await until(pilot, lambda: "line 59" not in screen_text(one.app))
            await pilot.resize_terminal(160, 26)
            await pilot.pause()
            await pilot.pause()
            assert "line 59" not in screen_text(one.app), "who scrolled back reads on in peace"


async def test_a_turn_is_one_widget() -> None:
    table = "# T\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 50
    async with (
        server(answers(chunk(content=table), END)) as a,
        server(answers(chunk(content="x"), END)) as b,
    ):
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            before = len(one.app.screen.query(".side *"))
            for turn in range(1, 4):
                await pilot.press("c", *"hi", "enter")
                await until(
                    pilot, lambda turn=turn: len(one.app.screen.query(FinishedAnswer)) == 2 * turn
                )  # type: ignore[misc]
            assert len(one.app.screen.query(".side *")) - before == 6


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=[name for name, _ in HOSTILE])
async def test_hostile_answers_reach_the_screen_as_plain_text(name: str, text: str) -> None:
    body = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    async with (
        server(answers(chunk(reasoning_content=body), chunk(content=body), END)) as a,
        server(answers(chunk(content=body[:1000]), END)) as b,
    ):
        one = chat_rig(a, b)
        async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            one.conversation.send("? " + body[:2000])
            one.app.screen.query_one(ChatPanel).refresh_sides()
            await until(pilot, lambda: len(one.app.screen.query(FinishedAnswer)) == 2, seconds=60)
            await pilot.press("left", "e")
            await pilot.pause()
            assert one.app.is_running
            for strip in one.app.screen._compositor.render_strips(one.app.size):
                for segment in strip:
                    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in segment.text), (
                        segment
                    )
                    assert not any(c in segment.text for c in "\u202e\u2066\u200b"), segment
                    assert not (segment.style and segment.style.meta.get("@click")), segment
                    assert not (segment.style and segment.style.link), segment


@pytest.mark.parametrize(("alias", "shown"), [("deepseek", "it is me"), ("impostor", "impostor")])
async def test_an_instance_is_asked_where_it_runs_and_must_answer_under_its_name(
    alias: str, shown: str
) -> None:
    named = json.dumps({"model": alias, "choices": [{"delta": {"content": "it is me"}}]})
    async with server(answers(f"data: {named}\n\n".encode(), END)) as url:
        elsewhere = replace(BOTH[0], url=url.removesuffix("/v1"))  # not the port that is configured
        one = rig(statuses=(elsewhere, BOTH[1]))
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "1 of 2 ready")
            await pilot.press("c", "ctrl+t", *"hi", "enter")
            await until(pilot, lambda: bool(one.conversation.sides["A"].finished))
            await until_shown(pilot, shown)
            assert ("it is me" in screen_text(one.app)) == (alias == "deepseek")


async def test_a_side_that_answers_follows_a_changed_configuration_once_it_is_done() -> None:
    go_on = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await answers(chunk(content="begun"))(writer)
        await go_on.wait()
        await answers(END)(writer)

    async with server(slow) as a, server(slow) as b:
        one = chat_rig(a, b)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await pilot.press("c", *"hi", "enter")
            await until(pilot, lambda: screen_text(one.app).count("begun") == 2)
            moved = EndpointConfig(name="left", url="http://127.0.0.1:9/v1")
            one.app.services.config = Config(endpoints=(moved,))
            seating = one.app.screen.chatting.seating  # type: ignore[attr-defined]
            seating.reconfigured()
            left, right = one.conversation.sides.values()
            assert left.busy
            assert left.seated is not None
            assert left.seated.url == a, "what is being written goes on"
            go_on.set()
            await until(pilot, lambda: not one.conversation.busy)
            assert seating.prepare("A") is None
            assert left.seated.url == moved.url
            assert right.seated is None
            assert left.finished[0].answers["A"].finish_reason == "stop"
