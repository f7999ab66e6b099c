"""What a llama-server does after a stop: seen in its slots, said where it is certain, never waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gputui.chat.answering import slots as module
from gputui.chat.answering.slots import STILL_BUSY, STILL_READING, SlotWatch
from gputui.chat.conversation import Conversation
from gputui.chat.model import STOPPED
from gputui.llama.wire import Slot
from tests.chat.raw_server import RawServer, Request, head, serve
from tests.chat.talking import last, settled, until

FREE: list[dict[str, object]] = [{"id": 0, "id_task": 7, "is_processing": False}]


def reading(task: int = 7, slot: int = 0) -> dict[str, object]:
    return {"id": slot, "id_task": task, "is_processing": True, "next_token": [{"n_decoded": 0}]}


def writing(task: int = 7, slot: int = 0) -> dict[str, object]:
    return {"id": slot, "id_task": task, "is_processing": True, "next_token": [{"n_decoded": 5}]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks without the pauses between them."""
    monkeypatch.setattr(module, "_DELAYS", (0.001,))
    monkeypatch.setattr(module, "_LOOK_BEFORE_SECONDS", 0.0)
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.001)


class Looks:
    """Answers of /slots in turn, the last one for ever; what the watch said at each."""

    def __init__(self, *answers: Sequence[dict[str, object]] | None) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.watch = SlotWatch(self.ask)

    async def ask(self) -> Sequence[Slot] | None:
        self.said.append(self.watch.words)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return None if answer is None else [Slot(**one) for one in answer]

    async def run(self, *, before: bool, said_nothing: bool = True) -> list[str]:
        if before:
            await self.watch.look_before(lambda: True)
            self.said.clear()
        await self.watch.watch(said_nothing=said_nothing, reading=False)
        assert self.watch.words == ""
        return self.said[1:]


async def test_the_only_slot_is_ours_while_it_reads_a_prompt() -> None:
    looks = Looks([reading()], [reading()], FREE)
    assert await looks.run(before=False) == [STILL_READING, STILL_READING]


@pytest.mark.parametrize(
    "answer",
    [
        None,  # no /slots, or no server
        FREE,
        [writing()],  # nothing had come: it is another's
        [reading(1, 0), FREE[0]],  # whose it is, is not known
        [],
    ],
)
async def test_what_is_not_certain_is_not_said(
    answer: Sequence[dict[str, object]] | None,
) -> None:
    assert await Looks(answer).run(before=False) == []


async def test_after_tokens_a_slot_that_reads_a_prompt_is_anothers() -> None:
    assert await Looks([reading()]).run(before=False, said_nothing=False) == []


async def test_of_several_slots_it_is_certain_while_none_of_those_before_has_ended() -> None:
    two = [reading(3, 0), writing(4, 1)]
    one = [reading(3, 0), {**writing(4, 1), "is_processing": False}]
    assert await Looks(two, two, one).run(before=True) == [STILL_BUSY]
    alone = [reading(3, 0), {"id": 1, "is_processing": False}]
    assert await Looks(alone, alone, FREE).run(before=True) == [STILL_READING]


async def test_another_task_on_the_slot_is_not_ours() -> None:
    assert await Looks([reading(3)], [reading(3)], [reading(9)]).run(before=True) == [STILL_READING]


class Llama:
    """A server with slots: it reads a prompt until it is let go on."""

    def __init__(self, slots: Sequence[dict[str, object]], status: int = 200) -> None:
        self.slots = slots
        self.status = status
        self.silent: asyncio.Event | None = None
        self.keys: list[str | None] = []

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/slots":
            self.keys.append(request.headers.get("authorization"))
            if self.silent is not None:
                await self.silent.wait()
            writer.write(head(self.status, "application/json") + json.dumps(self.slots).encode())
            return
        progress = {
            "prompt_progress": {"total": 900, "cache": 0, "processed": 0},
            "timings": {"prompt_n": 0, "predicted_n": 5, "predicted_per_second": 26.7},
        }
        writer.write(
            head(200, "text/event-stream") + b"data: " + json.dumps(progress).encode() + b"\n\n"
        )
        await writer.drain()
        await asyncio.Event().wait()


@asynccontextmanager
async def stopped(llama: Llama) -> AsyncIterator[tuple[Conversation, RawServer]]:
    """A conversation whose side A was stopped in the midst of its prompt."""
    async with serve(llama.respond) as server:
        chat = Conversation(None)
        side = chat.sides["A"]
        side.choose(server.endpoint(llama=True, key="sk-test"))
        chat.send("long", ("A",))
        await until(lambda: side.live and side.live.measurement.prompt_progress is not None)
        side.stop()
        try:
            await settled(chat)
            assert last(chat, "A").finish_reason == STOPPED
            numbers = last(chat, "A").measurement
            assert numbers.completion_tokens is None, "those beside the progress are another task's"
            assert numbers.generation_tokens_per_second is None
            yield chat, server
        finally:
            await asyncio.wait_for(chat.close(), 20)


async def test_it_is_said_until_the_slot_is_free_and_nobody_waits_for_it() -> None:
    llama = Llama([reading()])
    async with stopped(llama) as (chat, _):
        side = chat.sides["A"]
        await until(lambda: side.lingering == STILL_READING)
        assert not chat.busy
        assert chat.unsettled
        llama.slots = FREE
        await until(lambda: not chat.unsettled)
        assert side.lingering == ""
        assert set(llama.keys) == {"Bearer sk-test"}


@pytest.mark.parametrize("status", [404, 501])
async def test_a_server_without_slots_is_asked_once(status: int) -> None:
    llama = Llama([], status)
    async with stopped(llama) as (chat, _):
        await until(lambda: not chat.unsettled)
        after = len(llama.keys)
        assert chat.sides["A"].lingering == ""
        assert after <= 2, "once before the stop, once behind it"


async def test_a_server_that_computes_a_batch_gives_no_answer_and_is_busy() -> None:
    llama = Llama([reading()])
    llama.silent = asyncio.Event()
    async with stopped(llama) as (chat, _):
        await until(lambda: chat.sides["A"].lingering == STILL_BUSY)
        llama.slots = FREE
        llama.silent.set()
        await until(lambda: not chat.unsettled)
        assert chat.sides["A"].lingering == ""


async def test_the_next_prompt_ends_it_and_so_does_another_model() -> None:
    llama = Llama([reading()])
    async with stopped(llama) as (chat, server):
        side = chat.sides["A"]
        await until(lambda: side.lingering)
        chat.send("next", ("A",))
        assert side.lingering == ""
        await until(lambda: side.live and side.live.measurement.prompt_progress is not None)
        side.stop()
        await settled(chat)
        await until(lambda: side.lingering)
        side.choose(server.endpoint("other"))
        assert side.lingering == ""
        await until(lambda: not chat.unsettled)


async def test_quitting_does_not_wait_for_it() -> None:
    llama = Llama([reading()])
    llama.silent = asyncio.Event()
    async with stopped(llama) as (chat, _):
        await until(lambda: chat.sides["A"].lingering)


async def test_another_kind_of_server_is_not_asked() -> None:
    llama = Llama([reading()])
    async with serve(llama.respond) as server:
        chat = Conversation(None)
        chat.sides["A"].choose(server.endpoint())
        chat.send("long", ("A",))
        await until(
            lambda: chat.sides["A"].live and chat.sides["A"].live.measurement.prompt_in_work
        )
        chat.stop()
        await settled(chat)
        assert not chat.unsettled
        await chat.close()
    assert llama.keys == []
