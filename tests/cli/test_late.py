"""What works on instances is made once, after the first picture, and knows what was told before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from gputui.cli.late import Instances, Late, LateKeeper, LateLayouts, LateSupervisor
from gputui.config import Config
from gputui.identity import GpuIdentity

GPU = GpuIdentity(index=0, uuid="GPU-a", name="RTX", pci_bus_id="0:1")


class Supervisor:
    def __init__(self, config: Config) -> None:
        self.config, self.gpus = config, cast(Sequence[GpuIdentity], ("not told",))
        self.asked: list[str] = []

    def set_config(self, config: Config) -> None:
        self.config = config

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        self.gpus = gpus

    async def observe(self) -> tuple[()]:
        self.asked.append("observe")
        return ()

    async def start(self, name: str, *, force: bool = False) -> None:
        self.asked.append(f"start {name} {force}")

    def log(self, name: str) -> str:
        return f"log of {name}"

    def give_up_waits(self) -> None:
        self.asked.append("give up")

    async def close(self) -> None:
        self.asked.append("close")


class Made:
    """Counts, and remembers the thread."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.supervisors: list[Supervisor] = []
        self.late = Late(Config(), self._make)
        self.supervisor = LateSupervisor(self.late)

    def _make(self, config: Config) -> Instances:
        self.threads.append(threading.current_thread())
        self.supervisors.append(Supervisor(config))
        keeper = SimpleNamespace(
            set_config=lambda config: None, busy=True, tend=lambda statuses: ("told",)
        )
        layouts = SimpleNamespace(break_off=lambda: self.supervisors[0].asked.append("break off"))
        parts: tuple[Any, ...] = self.supervisors[0], layouts, keeper
        return Instances(*parts)


async def test_what_is_asked_waits_for_the_picture_and_is_loaded_on_a_thread() -> None:
    made = Made()
    asked = [asyncio.create_task(made.supervisor.observe()) for _ in range(3)]
    asked.append(asyncio.create_task(made.supervisor.start("coder", force=True)))
    await asyncio.sleep(0)
    made.supervisor.set_gpus((GPU,))
    made.supervisor.set_config(changed := Config(interval=5.0))
    assert not made.threads
    made.late.release()
    await asyncio.gather(*asked)
    assert len(made.threads) == 1
    assert made.threads[0] is not threading.main_thread()
    (supervisor,) = made.supervisors
    assert sorted(supervisor.asked) == ["observe"] * 3 + ["start coder True"]
    assert (supervisor.gpus, supervisor.config) == ((GPU,), changed)
    made.supervisor.set_gpus(())
    assert supervisor.gpus == ()


async def test_gpus_that_were_not_told_are_not_known_to_be_none() -> None:
    made = Made()
    made.late.release()
    await made.supervisor.observe()
    assert made.supervisors[0].gpus == ("not told",)


async def test_a_log_is_there_at_once() -> None:
    made = Made()
    assert cast(object, made.supervisor.log("coder")) == "log of coder"
    made.late.release()
    await made.supervisor.observe()
    assert len(made.supervisors) == 1


async def test_nothing_is_made_to_be_ended() -> None:
    made = Made()
    made.supervisor.give_up_waits()
    LateLayouts(made.late).break_off()
    keeper = LateKeeper(made.late)
    assert not keeper.busy
    keeper.set_config(Config())
    await keeper.settle()
    await made.supervisor.close()
    assert not made.supervisors
    assert cast(object, keeper.tend(())) == ("told",)
    assert keeper.busy
    made.supervisor.give_up_waits()
    LateLayouts(made.late).break_off()
    await made.supervisor.close()
    assert made.supervisors[0].asked == ["give up", "break off", "close"]
