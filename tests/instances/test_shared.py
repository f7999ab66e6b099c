"""What several look at at once: one look, one client."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from gputui.instances.shared import Shared
from gputui.llama import probe
from gputui.llama.probe import Client


class Looking:
    """A look that takes until it is let go; it shows its number."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.begins = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, patience: float) -> int:
        self.began.append(patience)
        self.begins.set()
        number = len(self.began)
        await self.go.wait()
        return number


async def test_all_who_ask_meanwhile_share_the_next_look() -> None:
    look = Looking()
    shared = Shared(look)
    first = asyncio.create_task(shared.take(0.25))
    await look.begins.wait()
    later = [asyncio.create_task(shared.take(patience)) for patience in (0.25, 2.0, 0.25)]
    await asyncio.sleep(0)
    look.go.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2, 2, 2], "the first one began before they asked"
    assert look.began == [0.25, 2.0]
    assert await shared.take(0.25) == 3
    assert look.began[-1] == 0.25


async def test_one_who_gives_up_takes_the_look_from_nobody() -> None:
    look = Looking()
    shared = Shared(look)
    one, other = (asyncio.create_task(shared.take(1)) for _ in range(2))
    await look.begins.wait()
    one.cancel()
    look.go.set()
    assert await other == 1
    await shared.close()


async def test_what_a_look_raises_is_told_to_all() -> None:
    async def broken(_patience: float) -> int:
        raise OSError("no files left")

    shared = Shared(broken)
    for _ in range(2):
        asked = [shared.take(1), shared.take(1)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(result) for result in results] == ["no files left"] * 2


async def test_the_end_ends_a_look() -> None:
    shared = Shared(Looking())
    asked = [asyncio.create_task(shared.take(1)) for _ in range(2)]
    await asyncio.sleep(0)
    await shared.close()
    for one in asked:
        with pytest.raises(asyncio.CancelledError):
            await one


async def test_one_client_however_many_ask_at_once() -> None:
    client = Client()
    found = await asyncio.gather(*(client.get() for _ in range(5)))
    assert all(one is found[0] for one in found)
    await client.close()
    assert found[0].is_closed
    again = await client.get()
    assert not again.is_closed
    await client.close()


async def test_a_client_that_could_not_be_made_is_made_at_the_next_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def short() -> NoReturn:
        raise OSError("no files left")

    client = Client()
    with monkeypatch.context() as patch:
        patch.setattr(probe, "new_client", short)
        with pytest.raises(OSError, match="no files left"):
            await client.get()
        await client.close()
        with pytest.raises(OSError, match="no files left"):
            await client.get()
    assert not (await client.get()).is_closed
    await client.close()
