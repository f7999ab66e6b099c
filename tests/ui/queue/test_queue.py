"""A queue of more than two: marked, asked two at a time, paged through, left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from gputui.chat.answering.slots import STILL_READING
from gputui.chat.conversation import Conversation
from gputui.chat.side import Side
from gputui.config import Config, EndpointConfig
from gputui.errors import GputuiError
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.queue.line import progress
from gputui.ui.chat.queue.picker import ModelPicker
from gputui.ui.dialogs import Choice
from tests.chat.raw_server import Responder, reply, reply_then, serve
from tests.chat.talking import PIECE
from tests.support.hostile import completion
from tests.ui.harness import Rig, make_rig, screen_text, until, until_shown

NAMES = ("ant", "bee", "cat", "dog")


@asynccontextmanager
async def queue_rig(
    *responders: Responder, size: tuple[int, int] = (160, 45)
) -> AsyncIterator[tuple[Rig, Pilot[str | None]]]:
    """A dashboard with as many endpoints, each answered so."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serve(one)) for one in responders]
        endpoints = tuple(
            EndpointConfig(name=name, url=f"{server.url}/v1")
            for name, server in zip(NAMES, servers, strict=False)
        )
        one = make_rig(Config(endpoints=endpoints), conversation=Conversation(None))
        pilot = await stack.enter_async_context(one.app.run_test(size=size, notifications=True))
        yield one, pilot


def shown(one: Rig) -> list[str]:
    return [pane.side.name for pane in one.app.screen.query_one(ChatPanel).panes]


async def test_four_are_marked_asked_and_paged_through() -> None:
    go_on = asyncio.Event()
    slow = [reply_then(PIECE, wait=go_on, rest=completion(f" of {name}")) for name in NAMES[:2]]
    quick = [reply(completion(f"from {name}")) for name in NAMES[2:]]
    async with queue_rig(*slow, *quick) as (one, pilot):
        await until_shown(pilot, "B  bee")
        one.app.screen.action_chat("queue")  # type: ignore[attr-defined]
        await until_shown(pilot, "2 of at most 8 marked")
        await pilot.press("down", "down", "space", "down", "space")
        await until_shown(pilot, "[x] dog")
        await pilot.press("enter")
        await until_shown(pilot, "A  ant  (1/4)")
        text = screen_text(one.app)
        assert "B  bee  (2/4)" in text
        assert "queue of 4: A ant, B bee, C cat, D dog" in text
        assert "to all 4" in text
        await pilot.press("c", *"hi", "enter")
        await until_shown(pilot, "waiting C, D")
        assert "answering A ant, B bee" in screen_text(one.app)
        await pilot.press("escape")  # which stops all: what came is kept
        await until_shown(pilot, "4 of 4 done")
        go_on.set()
        await pilot.press("c", *"again", "enter")
        await until(pilot, lambda: not one.conversation.busy)
        await until_shown(pilot, "4 of 4 done")
        await pilot.press("escape", "left", "greater_than_sign")
        await until_shown(pilot, "C  cat  (3/4)")
        assert shown(one) == ["C", "B"]
        assert "from cat" in screen_text(one.app)
        assert "of ant" not in screen_text(one.app)
        await pilot.press("greater_than_sign", "greater_than_sign")
        await until(pilot, lambda: shown(one) == ["A", "B"])
        await pilot.press("less_than_sign")
        await until(pilot, lambda: shown(one) == ["D", "B"])
        one.app.screen.action_chat("show", "b d")  # type: ignore[attr-defined]
        await until_shown(pilot, "D  dog  (4/4)")
        assert shown(one) == ["B", "D"]
        one.app.screen.action_chat("queue", "off")  # type: ignore[attr-defined]
        await until(pilot, lambda: shown(one) == ["A", "B"])
        await pilot.pause()
        text = screen_text(one.app)
        assert "A  ant" in text
        assert "/4" not in text
        assert "queue" not in text
        assert "to A and B" in text
        assert one.conversation.at_once is None


async def test_names_can_be_typed_and_what_is_wrong_with_them_is_told() -> None:
    async with queue_rig(*[reply(completion("x"))] * 3, size=(80, 24)) as (one, pilot):
        await until_shown(pilot, "A  ant")
        chat = one.app.screen
        for wrong, words in (
            (("queue", "ant"), "1 models are named"),
            (("queue", "ant nobody"), '"nobody" does not chat here'),
            (("queue", "off"), "There is no queue"),
            (("page", "next"), "Both sides are shown"),
            (("show", "Q"), "There is no side Q"),
            (("show", ""), "Which side?"),
            (("model", "A nobody"), '"nobody" does not chat here'),
            (("queue", "ant bee"), "Two are A and B: no queue"),
        ):
            chat.action_chat(*wrong)  # type: ignore[attr-defined]
            await until_shown(pilot, words)
        await until_shown(pilot, "A is ant and B is bee")
        chat.action_chat("model", "A cat")  # type: ignore[attr-defined]
        await until_shown(pilot, "A  cat")
        chat.action_chat("model", "A ant")  # type: ignore[attr-defined]
        await until_shown(pilot, "A  ant")
        chat.action_chat("queue", "cat, ant bee")  # type: ignore[attr-defined]
        await until_shown(pilot, "A  ant  (1/3)")
        seated = [side.endpoint.name for side in one.conversation.sides.values() if side.endpoint]
        assert seated == ["ant", "bee", "cat"], "who sits somewhere stays there"
        await pilot.press("left", "greater_than_sign")
        await until_shown(pilot, "C  cat  (3/3)")
        chat.action_chat("show", "B")  # type: ignore[attr-defined]
        await until_shown(pilot, "B  bee  (2/3)")
        assert shown(one) == ["B", "C"], "the one that was read takes the other's place"


async def test_the_picker_marks_two_at_least_and_eight_at_most() -> None:
    choices = [Choice(f"m{n}", f"m{n}", disabled=n == 0) for n in range(10)]
    async with queue_rig(reply(completion("x"))) as (one, pilot):
        picked: list[object] = []
        picker = ModelPicker(choices, ["m0", "m1"])
        await one.app.push_screen(picker, picked.append)
        question = picker.query_one(".question", Static)
        await pilot.press("enter")
        await until(pilot, lambda: "2 at least" in str(question.content))
        for _ in range(8):
            await pilot.press("down", "space")
        await until(pilot, lambda: "8 are the most" in str(question.content))
        await pilot.press("enter")
        await until(pilot, lambda: bool(picked))
        assert picked == [tuple(f"m{n}" for n in range(1, 9))]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 160])
async def test_the_line_says_what_fits(width: int) -> None:
    chat = Conversation(None, names="ABCDE")
    async with serve(reply(completion("x"))) as server:
        for name, side in chat.sides.items():
            side.choose(server.endpoint(f"a-model-of-some-length-{name}"))
        runs = progress(chat.sides, width)
        line = "".join(text for text, _ in runs)
        assert "queue of 5" in line
        assert len(line) <= max(width, 30)
        chat.at_once = 2
        chat.send("hi", tuple("ABCDE"))
        await asyncio.sleep(0)
        assert "0 of 5 done" in "".join(text for text, _ in progress(chat.sides, width))
        with pytest.raises(GputuiError):
            chat.begin_anew()
        await chat.close()


async def test_what_the_server_still_does_after_a_stop_is_on_the_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with queue_rig(reply(completion("x")), reply(completion("y"))) as (one, pilot):
        await until_shown(pilot, "A  ant")
        monkeypatch.setattr(Side, "lingering", property(lambda _: STILL_READING))
        one.app.screen.query_one(ChatPanel).refresh_sides()
        await until_shown(pilot, "stopped: the server is still processing the prompt")


async def test_who_sits_somewhere_stays_there_and_an_order_chosen_meanwhile_holds() -> None:
    async with queue_rig(*[reply(completion("x"))] * 3) as (one, pilot):
        await until_shown(pilot, "A  ant")
        chat = one.app.screen

        def seated() -> list[str]:
            return [side.seated.name for side in one.conversation.sides.values() if side.seated]

        chat.action_chat("queue", "bee cat")  # type: ignore[attr-defined]
        await until_shown(pilot, "A  cat")
        assert seated() == ["cat", "bee"]
        chat.action_chat("queue", "ant bee cat")  # type: ignore[attr-defined]
        await until_shown(pilot, "A  cat  (1/3)")
        assert seated() == ["cat", "bee", "ant"]
        assert one.conversation.at_once == 2
        chat.action_chat("order", "one")  # type: ignore[attr-defined]
        await until(pilot, lambda: one.conversation.at_once == 1)
        chat.action_chat("queue", "off")  # type: ignore[attr-defined]
        await until(pilot, lambda: seated() == ["cat", "bee"])
        assert one.conversation.at_once == 1
