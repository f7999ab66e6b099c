"""The collector of cycles keeps still while answers stream, and makes up for it afterwards."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from gputui.ui.chat.panel import ChatPanel
from gputui.ui.collecting import IDLE_SECONDS, QUIET, STREAMING, Collecting
from tests.ui.harness import until, until_shown
from tests.ui.test_chat import END, chat_rig, chunk, server


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collecting(clock: Clock) -> Iterator[Collecting]:
    gc.collect()  # so that no look at young objects is due in the middle of a test
    one = Collecting(clock)
    yield one
    one.close()


class Cycle:
    """Only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_it_collects_once_nothing_streams_and_nothing_was_pressed(
    collecting: Collecting, clock: Clock
) -> None:
    collecting.streaming(True)
    assert gc.get_threshold() == STREAMING
    there = weakref.ref(Cycle())
    clock.now += 10 * IDLE_SECONDS
    assert not collecting.idle(), "an answer is being written"
    collecting.streaming(False)
    assert gc.get_threshold() == QUIET
    collecting.pressed()
    assert not collecting.idle(), "somebody types"
    assert there() is not None
    clock.now += IDLE_SECONDS
    assert collecting.idle()
    assert there() is None
    assert not collecting.due


def test_without_an_answer_nothing_is_due(collecting: Collecting) -> None:
    there = weakref.ref(Cycle())
    assert collecting.idle()
    assert there() is not None


AT_THE_START = """
import gc
from gputui.ui.collecting import Collecting, keep_still
keep_still()
assert not gc.isenabled()
collecting, kept = Collecting(), [[] for _ in range(1000)]
collecting.started()
assert gc.isenabled() and gc.get_freeze_count() >= len(kept)
"""


AT_THE_END = """
import gc
from gputui.ui.collecting import Collecting, keep_still
before = gc.get_threshold()
for pictures in range(2):
    keep_still()
    collecting = Collecting()
    for _ in range(pictures):
        collecting.started()
    collecting.close()
    assert gc.isenabled() and gc.get_threshold() == before, pictures
"""


@pytest.mark.parametrize("program", [AT_THE_START, AT_THE_END])
def test_a_program_that_kept_still(program: str) -> None:
    """In a process of its own: what is frozen stays so."""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_program_that_did_not_keep_still_freezes_nothing(collecting: Collecting) -> None:
    before = gc.get_freeze_count()
    kept = [Cycle() for _ in range(100)]
    collecting.started()
    assert gc.isenabled()
    assert gc.get_freeze_count() <= before
    assert kept


def test_memory_is_bounded_while_an_answer_streams(collecting: Collecting) -> None:
    collecting.streaming(True)
    there = [weakref.ref(Cycle()) for _ in range(100)]
    for _ in range(2 * STREAMING[0]):
        Cycle()
    assert not any(one() for one in there), "young cycles are collected meanwhile"


async def test_between_the_first_and_the_last_token_not_everything_is_looked_at() -> None:
    released, generations = asyncio.Event(), list[int]()

    def told(phase: str, facts: dict[str, int]) -> None:
        if phase == "start":
            generations.append(facts["generation"])

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(chunk(content="first words "))
        await writer.drain()
        await released.wait()
        for number in range(300):
            writer.write(chunk(content=f"word {number}\n\n"))
            await writer.drain()
        writer.write(END)
        await writer.drain()

    before = gc.get_threshold()
    async with server(slow) as left, server(slow) as right:
        one = chat_rig(left, right)
        async with one.app.run_test(size=(160, 40)) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"go", "enter")
            await until_shown(pilot, "first words")
            await until(pilot, lambda: one.app.collecting.streams)
            gc.callbacks.append(told)
            released.set()
            try:
                await until(pilot, lambda: not one.conversation.busy)
            finally:
                gc.callbacks.remove(told)
            assert 2 not in generations
            assert one.app.screen.query_one(ChatPanel)
            await until(pilot, lambda: not one.app.collecting.due)
    assert gc.get_threshold() == before
