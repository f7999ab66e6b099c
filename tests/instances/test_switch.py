"""Switching layouts on scripted servers: order, failures half-way, what is asked before."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest

from gputui.config import LayoutConfig
from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.instances.switching.switch import Layouts, Step, SwitchError
from gputui.instances.switching.words import AnsweringError
from tests.instances.conftest import PRO, RTX, Rig, started, status_of, until
from tests.instances.test_swap import LONG, answering, states
from tests.support.gpu_memory import GIB, LateMemory
from tests.support.waiting import wait_for

CUDA = {
    "devices": [
        f"CUDA0: {PRO.name} (97887 MiB, 97000 MiB free)",
        f"CUDA1: {RTX.name} (32607 MiB, 32000 MiB free)",
    ]
}


def rig_of(rig: Rig, **scripts: dict[str, object]) -> None:
    """The reference rig: a pair of pinned models, or one that is split across both GPUs."""
    deepseek = rig.add("deepseek", CUDA | scripts.get("deepseek", {}), gpus=("0",))
    rig.add("coder", CUDA | scripts.get("coder", {}), gpus=("1",))
    split = CUDA | scripts.get("split", {})
    rig.add("split", split, gpus=("0", "1"), port=deepseek.port, stop_grace_seconds=1)
    rig.add("embedder")
    rig.gpus = (PRO, RTX)
    rig.layouts = (
        LayoutConfig(name="pair", instances=("deepseek", "coder")),
        LayoutConfig(name="whole", instances=("split",)),
    )


def layouts_of(rig: Rig) -> tuple[Supervisor, Layouts]:
    session = rig.session()
    return session, Layouts(session, rig.state)


async def test_a_switch_there_and_back(rig: Rig) -> None:
    rig_of(rig, deepseek={"load_seconds": 0.3})
    session, layouts = layouts_of(rig)
    await started(session, "split")
    embedder = await started(session, "embedder")
    assert [plan.active for plan in await layouts.all()] == [False, True]
    plan = await layouts.plan("pair")
    assert [(one.name, one.reasons[:2]) for one in plan.stops] == [("split", ("GPU 0", "GPU 1"))]
    steps: list[Step] = []
    await layouts.switch(plan, steps.append)
    assert [(str(step.kind), step.name) for step in steps] == [
        ("stopping", "split"),
        ("stopped", "split"),
        ("starting", "deepseek"),
        ("ready", "deepseek"),
        ("starting", "coder"),
        ("ready", "coder"),
    ]
    assert [plan.active for plan in await layouts.all()] == [True, False]
    pids = {status.name: status.pid for status in await session.observe()}
    assert pids["embedder"] == embedder.pid
    again = await layouts.plan("pair")
    assert again.active
    steps.clear()
    await layouts.switch(again, steps.append)
    assert steps == []
    await layouts.switch(await layouts.plan("whole"))
    assert await states(session) == {
        "deepseek": State.STOPPED,
        "coder": State.STOPPED,
        "split": State.READY,
        "embedder": State.READY,
    }


async def test_nothing_starts_before_the_memory_of_what_stopped_is_free(rig: Rig) -> None:
    rig_of(rig)
    memory = LateMemory(PRO.uuid)
    rig.memory = memory.read
    session, layouts = layouts_of(rig)
    await started(session, "split")
    record = rig.record("split")
    assert record
    memory.load(record.identity, 54 * GIB)
    steps: list[Step] = []
    switch = asyncio.create_task(layouts.switch(await layouts.plan("pair"), steps.append))
    await asyncio.to_thread(wait_for, lambda: any("to be free" in step.words for step in steps))
    reads = len(memory.readings)
    await asyncio.to_thread(wait_for, lambda: len(memory.readings) > reads + 3)
    assert records.running(rig.state) == ()
    assert steps[-1] == Step(steps[-1].kind, "split", "waiting for 54.0 GiB on GPU 0 to be free")
    memory.free()
    await switch
    assert sorted(one.name for one in records.running(rig.state)) == ["coder", "deepseek"]


async def test_a_failure_half_way_says_where_it_stands_and_how_to_go_back(rig: Rig) -> None:
    bad = {"load_log": "error: invalid argument: --foo", "crash": 1}
    rig_of(rig, coder=bad)
    session, layouts = layouts_of(rig)
    await started(session, "split")
    with pytest.raises(SwitchError) as failed:
        await layouts.switch(await layouts.plan("pair"))
    assert failed.value.message == (
        "layout pair is not complete (stopped: split; started: deepseek): "
        "coder failed: llama-server knows no flag --foo"
    )
    assert failed.value.hint.endswith("Back: gputui stop deepseek && gputui start split")
    assert (await states(session))["deepseek"] is State.READY
    assert (await status_of(session, "split")).state is State.STOPPED


async def test_a_member_that_cannot_start_is_told_before_anything_stops(rig: Rig) -> None:
    rig_of(rig)
    coder = rig.instances[1]
    session, layouts = layouts_of(rig)
    split = await started(session, "split")
    with socket.create_server(("127.0.0.1", coder.port)):
        plan = await layouts.plan("pair")
        assert [one.name for one in plan.cannot] == ["coder"]
        assert f"port {coder.port} of coder is used by" in plan.cannot[0].reason
        with pytest.raises(GputuiError, match=f"layout pair: coder: port {coder.port}"):
            await layouts.switch(plan)
    assert (await status_of(session, "split")).pid == split.pid
    rig.instances[0] = msgspec.structs.replace(rig.instances[0], model="/nowhere.gguf")
    plan = await layouts_of(rig)[1].plan("pair")
    assert "no such file" in plan.cannot[0].reason


async def test_answers_refuse_a_switch_unless_it_is_forced(rig: Rig) -> None:
    rig_of(rig, split=LONG)
    session, layouts = layouts_of(rig)
    split = await started(session, "split")
    plan = await layouts.plan("pair")
    async with answering(session, "split"):
        with pytest.raises(AnsweringError, match=r"layout pair: split is answering \(1 request\)"):
            await layouts.switch(plan)
        assert (await status_of(session, "split")).pid == split.pid
        await layouts.switch(plan, force=True)
    assert (await layouts.plan("pair")).active


async def test_what_the_user_has_not_seen_is_not_stopped(rig: Rig) -> None:
    rig_of(rig)
    session, layouts = layouts_of(rig)
    plan = await layouts.plan("pair")
    await started(session, "split")
    with pytest.raises(GputuiError, match="split would stop now, too; nothing was changed"):
        await layouts.switch(plan)
    assert (await status_of(session, "split")).state is State.READY


async def test_two_switches_at_once_are_one_and_a_clear_word(rig: Rig) -> None:
    ends = rig.folder / "ends"
    rig_of(rig, deepseek={"load_file": str(ends)})
    _, mine = layouts_of(rig)
    _, other = layouts_of(rig)
    switch = asyncio.create_task(mine.switch(await mine.plan("pair")))
    await until(rig.sessions[1], "deepseek", State.STARTING, State.LOADING)
    with pytest.raises(GputuiError, match=r"gputui, pid \d+, switches to layout pair"):
        await other.switch(await other.plan("whole"))
    ends.touch()
    await switch
    assert (await other.plan("pair")).active


async def test_a_switch_ends_after_its_step_where_its_session_leaves(rig: Rig) -> None:
    rig_of(rig, deepseek={"load_seconds": 60})
    session, layouts = layouts_of(rig)
    layouts.break_off()  # there is nothing to break off
    switch = asyncio.create_task(layouts.switch(await layouts.plan("pair")))
    await until(session, "deepseek", State.LOADING)
    layouts.break_off()
    with pytest.raises(SwitchError) as ended:
        await switch
    assert ended.value.message == (
        "layout pair is not complete (started: deepseek): it was broken off"
    )
    assert ended.value.hint == "Back: gputui stop deepseek"
    await session.stop("deepseek")


async def test_what_is_broken_off_says_what_was_done(rig: Rig) -> None:
    rig_of(rig, deepseek={"load_seconds": 60})
    session, layouts = layouts_of(rig)
    await started(session, "split")
    switch = asyncio.create_task(layouts.switch(await layouts.plan("pair")))
    await until(session, "deepseek", State.LOADING)
    switch.cancel()
    with pytest.raises(asyncio.CancelledError) as broken:
        await switch
    assert broken.value.args == (
        "layout pair is broken off (stopped: split; started: deepseek)",
        "Back: gputui stop deepseek && gputui start split",
    )
    assert (await status_of(session, "deepseek")).state is State.LOADING, "it goes on"
    await layouts.switch(await layouts.plan("whole"))
    assert (await layouts.plan("whole")).active


async def test_one_that_cannot_start_says_nothing_of_the_fit_of_the_others(rig: Rig) -> None:
    rig_of(rig)
    plain = await layouts_of(rig)[1].plan("pair")
    rig.instances[0] = msgspec.structs.replace(rig.instances[0], cpus="9999")
    session, layouts = layouts_of(rig)
    plan = await layouts.plan("pair")
    assert [one.name for one in plan.cannot] == ["deepseek"]
    assert "9999" in plan.cannot[0].reason
    (coder,) = plan.starts
    assert coder.fit_words == plain.starts[1].fit_words
    assert "9999" not in coder.fit_words
    asked = await session.fit("coder", coming=["deepseek"])
    assert "9999" not in asked.words
