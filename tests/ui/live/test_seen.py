"""What nobody sees of a streaming answer is not drawn, and is there once it is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from gputui.ui.chat.live.answer import LiveAnswer
from gputui.ui.chat.panel import ChatPanel
from tests.ui.harness import Rig, until, until_shown
from tests.ui.test_chat import END, chat_rig, chunk, server


@asynccontextmanager
async def streaming(size: tuple[int, int]) -> AsyncIterator[tuple[Rig, Pilot[str | None]]]:
    """Two answers that go on until the block ends."""
    over = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        number = 0
        while not over.is_set():
            number += 1
            writer.write(chunk(content=f"word {number}\n\n"))
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(END)
        await writer.drain()

    async with server(endless) as left, server(endless) as right:
        one = chat_rig(left, right)
        async with one.app.run_test(size=size) as pilot:
            await until_shown(pilot, "left")
            await pilot.press("c", *"go", "enter")
            await until_shown(pilot, "word")
            try:
                yield one, pilot
            finally:
                over.set()


def live(rig: Rig, side: str) -> LiveAnswer:
    return rig.app.screen_stack[1].query_one(ChatPanel).pane(side).query_one(LiveAnswer)


async def written(rig: Rig, pilot: Pilot[str | None], characters: int) -> None:
    """Until so much more has come of both answers."""
    sides = rig.conversation.sides.values()
    so_far = {side.name: len(side.live.text) for side in sides if side.live}

    def more() -> bool:
        return all(
            side.live and len(side.live.text) > so_far[side.name] + characters for side in sides
        )

    await until(pilot, more)


async def test_of_two_sides_of_which_one_is_shown_the_other_is_drawn_when_it_is() -> None:
    async with streaming((80, 24)) as (one, pilot):
        await written(one, pilot, 500)
        assert live(one, "A").scheduled > 0
        assert live(one, "B").scheduled == 0
        await pilot.press("ctrl+o")
        await until(pilot, lambda: live(one, "B").scheduled > 0)
        await until_shown(pilot, "word")


async def test_nothing_is_drawn_beneath_another_screen_and_all_of_it_afterwards() -> None:
    async with streaming((160, 40)) as (one, pilot):
        one.app.screen.set_focus(None)
        await pilot.press("question_mark")
        await until(pilot, lambda: len(one.app.screen_stack) == 3)
        await written(one, pilot, 200)
        before = live(one, "A").scheduled
        await written(one, pilot, 500)
        assert live(one, "A").scheduled == before
        await pilot.press("escape")
        await until(pilot, lambda: live(one, "A").scheduled > before)
