"""What leaves gives its GPU memory back before the next one loads."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.instances.switching import release
from gputui.processes import identify, matches
from tests.instances.conftest import PRO, Rig, started, status_of
from tests.support.gguf_files import llama, write_gguf
from tests.support.gpu_memory import GIB, LateMemory
from tests.support.waiting import wait_for

CUDA = [f"CUDA0: {PRO.name} (97887 MiB, 97000 MiB free)"]


def on_gpu(rig: Rig, memory: LateMemory, **fields: Any) -> None:
    """Two members on one GPU, one of them loaded with 54 GiB once it is started."""
    for name in ("one", "two"):
        rig.add(name, {"devices": CUDA}, group="big", gpus=("0",), stop_grace_seconds=2, **fields)
    rig.gpus = (PRO,)
    rig.memory = memory.read


async def loaded(rig: Rig, session: Supervisor, memory: LateMemory, held: float) -> None:
    await started(session, "one")
    record = rig.record("one")
    assert record
    memory.load(record.identity, held)


@pytest.mark.parametrize("names_pids", [True, False])
@pytest.mark.parametrize("action", ["swap", "restart", "empty"])
async def test_the_next_load_waits_until_the_memory_is_really_free(
    rig: Rig, action: str, names_pids: bool
) -> None:
    memory = LateMemory(PRO.uuid, names_pids=names_pids)
    on_gpu(rig, memory)
    session = rig.session()
    await loaded(rig, session, memory, 54 * GIB)
    first = rig.record("one")
    assert first
    told: list[str] = []
    call = {
        "swap": lambda: session.start("two", told.append),
        "restart": lambda: session.restart("one", told.append),
        "empty": lambda: session.empty("one", "makes room for two", told.append),
    }[action]()
    acting = asyncio.create_task(call)
    await asyncio.to_thread(wait_for, lambda: any("to be free" in words for words in told))
    if names_pids:  # somebody else takes some: that is not what is waited for
        memory.load(identify(os.getpid()), 20 * GIB)
    reads = len(memory.readings)
    await asyncio.to_thread(wait_for, lambda: len(memory.readings) > reads + 3)
    assert not acting.done()
    assert not matches(first.identity)
    assert records.running(rig.state) == ()
    if action != "empty":
        name = {"swap": "two", "restart": "one"}[action]
        status = await status_of(rig.session(), name)
        assert (status.state, status.note) == (State.STARTING, told[-1])
    what = "54.0 GiB" if names_pids else "the memory"
    assert told[-1] == f"waiting for {what} on GPU 0 to be free"
    memory.free()
    await acting
    running = [record.name for record in records.running(rig.state)]
    assert running == {"swap": ["two"], "restart": ["one"], "empty": []}[action]


async def test_memory_that_never_comes_back_refuses_what_does_not_fit_beside_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "SECONDS", 0.4)
    memory = LateMemory(PRO.uuid, total=55 * GIB)
    memory.base = 0
    on_gpu(rig, memory)
    session = rig.session()
    await loaded(rig, session, memory, 55 * GIB)
    with pytest.raises(GputuiError) as refused:
        await session.start("two")
    words = refused.value.message
    assert "one is stopped, and two did not start: 55.0 GiB on GPU 0 is still not free" in words
    assert "Back: gputui start one" in refused.value.hint
    memory.free()
    await loaded(rig, session, memory, 54 * GIB)
    told: list[str] = []
    await session.start("two", told.append)  # 1 GiB is free, and its file is smaller
    assert told[-1] == "54.0 GiB on GPU 0 is still taken; there is room beside it"


async def test_nothing_is_waited_for_where_memory_is_not_known(rig: Rig) -> None:
    class Gone(LateMemory):
        def read(self) -> Any:
            return {} if not records.running(rig.state) else super().read()

    memory = Gone(PRO.uuid)
    on_gpu(rig, memory)
    session = rig.session()
    await loaded(rig, session, memory, 54 * GIB)
    told: list[str] = []
    await session.start("two", told.append)
    assert told == ["waiting for one to stop"]


async def test_a_fit_counts_what_the_other_member_gives_back(rig: Rig) -> None:
    memory = LateMemory(PRO.uuid, total=60 * GIB)
    model = write_gguf(rig.folder / "true.gguf", *llama())
    on_gpu(rig, memory, model=str(model), ctx_size=512)
    rig.add("three", {"devices": CUDA}, gpus=("0",), model=str(model), ctx_size=512)
    session = rig.session()
    await loaded(rig, session, memory, 55 * GIB)
    assert (await session.fit("two")).fits is True
    assert (await session.fit("three")).fits is False, "nobody makes room for it"
