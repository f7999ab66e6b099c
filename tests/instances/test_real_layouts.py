"""Swapping and layouts on the real llama-server with both real models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gputui.config import Config, GroupConfig, InstanceConfig, LayoutConfig
from gputui.demo.parts import Parts
from gputui.instances import records
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.instances.switching.switch import Layouts, Step
from gputui.instances.switching.words import AnsweringError
from tests.instances.conftest import end_all, status_of
from tests.support.ports import new_port

pytestmark = pytest.mark.real


@pytest.fixture
async def session(demo_parts: Parts, tmp_path: Path) -> AsyncIterator[Supervisor]:
    """Both models in one group and on one port; a copy of each that may run together."""
    shared = new_port()

    def instance(name: str, model: Path, port: int, group: str | None) -> InstanceConfig:
        return InstanceConfig(
            name=name, model=str(model), port=port, group=group, ctx_size=512, threads=1
        )

    config = Config(
        instances=(
            instance("smol", demo_parts.smollm2, shared, "one"),
            instance("gemma", demo_parts.gemma3, shared, "one"),
            instance("gemma-too", demo_parts.gemma3, new_port(), None),
        ),
        groups=(GroupConfig(name="one"),),
        layouts=(
            LayoutConfig(name="both", instances=("smol", "gemma-too")),
            LayoutConfig(name="alone", instances=("gemma",)),
        ),
        llama_server=str(demo_parts.llama_server),
    )
    supervisor = Supervisor(config, (), tmp_path / "state")
    yield supervisor
    await supervisor.close()
    end_all(tmp_path / "state")


async def ready(session: Supervisor, name: str) -> InstanceStatus:
    status = await session.wait(name, 60)
    assert status.state is State.READY, (status.last_error, await session.log_tail(name))
    return status


async def test_two_real_models_swap_and_an_answer_is_not_cut_short(session: Supervisor) -> None:
    await session.start("smol")
    smol = await ready(session, "smol")
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        body = {"prompt": "Once upon a time", "n_predict": 300, "ignore_eos": True}
        asking = asyncio.create_task(client.post(f"{smol.url}/completion", json=body))
        while not (await status_of(session, "smol")).metrics.slots_busy:
            assert not asking.done()
            await asyncio.sleep(0.02)
        with pytest.raises(AnsweringError, match=r"smol is answering \(1 request\)"):
            await session.start("gemma")
        assert (await asking).json()["tokens_predicted"] == 300
        await session.start("gemma")
        gemma = await ready(session, "gemma")
        assert gemma.port == smol.port
        answer = await client.post(f"{gemma.url}/completion", json=body | {"n_predict": 4})
        assert "gemma" in answer.json()["model"]
    assert (await status_of(session, "smol")).state is State.STOPPED
    await session.start("smol")
    await ready(session, "smol")
    assert (await status_of(session, "gemma")).state is State.STOPPED


async def test_a_layout_of_real_models_is_switched_to_and_back(
    session: Supervisor, tmp_path: Path
) -> None:
    layouts = Layouts(session, tmp_path / "state")
    await session.start("gemma")
    steps: list[Step] = []
    await layouts.switch(await layouts.plan("both"), steps.append)
    assert [(str(step.kind), step.name) for step in steps if step.kind != "waiting"] == [
        ("stopping", "gemma"),
        ("stopped", "gemma"),
        ("starting", "smol"),
        ("ready", "smol"),
        ("starting", "gemma-too"),
        ("ready", "gemma-too"),
    ]
    assert [plan.active for plan in await layouts.all()] == [True, False]
    await layouts.switch(await layouts.plan("alone"))
    running = {record.name for record in records.running(tmp_path / "state")}
    assert running == {"gemma", "gemma-too"}, "what is not in the way goes on"
