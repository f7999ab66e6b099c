from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gputui.config import Config, GroupConfig, InstanceConfig, LayoutConfig
from gputui.identity import GpuIdentity, MemoryReader, no_gpu_memory
from gputui.instances import records
from gputui.instances.keeping.backoff import DEFAULT, Backoff
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.processes import NotOursError, send_signal
from tests.support.ports import new_port
from tests.support.scripted_server import make_server
from tests.support.waiting import PATIENCE

PRO = GpuIdentity(0, "GPU-aaaaaaaa-0001", "NVIDIA RTX PRO 6000 Blackwell", "00000000:01:00.0")
RTX = GpuIdentity(1, "GPU-bbbbbbbb-0002", "NVIDIA GeForce RTX 5090", "00000000:21:00.0")
TWIN = GpuIdentity(2, "GPU-cccccccc-0003", "NVIDIA GeForce RTX 5090", "00000000:41:00.0")


@dataclass
class Rig:
    """A machine with scripted servers. Each ``add`` configures one instance."""

    folder: Path
    instances: list[InstanceConfig] = field(default_factory=list)
    gpus: tuple[GpuIdentity, ...] = ()
    sessions: list[Supervisor] = field(default_factory=list)
    groups: tuple[GroupConfig, ...] = ()
    layouts: tuple[LayoutConfig, ...] = ()
    memory: MemoryReader = no_gpu_memory

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def add(self, name: str, script: dict[str, Any] | None = None, **fields: Any) -> InstanceConfig:
        model = self.folder / f"{name}.gguf"
        model.write_bytes(b"GGUF" + bytes(1000))
        server = make_server(self.folder / name, **(script or {}))
        values = {"port": new_port(), "model": str(model), "llama_server": str(server)} | fields
        instance = InstanceConfig(name=name, **values)
        self.instances.append(instance)
        return instance

    @property
    def config(self) -> Config:
        return Config(instances=tuple(self.instances), groups=self.groups, layouts=self.layouts)

    def session(self, backoff: Backoff = DEFAULT) -> Supervisor:
        """A gputui of its own: what it shares with others is on disk."""
        supervisor = Supervisor(
            self.config, self.gpus, self.state, memory=self.memory, backoff=backoff
        )
        self.sessions.append(supervisor)
        return supervisor

    def record(self, name: str) -> records.Record | None:
        return records.read(records.Paths(self.state).record(name))

    def write_config(self) -> Path:
        """The same configuration as a file, for a gputui in another process."""
        lines = []
        for instance in self.instances:
            lines.append("[[instances]]")
            for key in (
                *("name", "model", "port", "llama_server", "stop_grace_seconds"),
                *("restart", "idle_unload", "group"),
            ):
                value = getattr(instance, key)
                if value is not None:
                    lines.append(f"{key} = {json.dumps(value)}")
            lines.append(f"args = {json.dumps(instance.args)}")
        for group in self.groups:
            lines += ["[[groups]]", f'name = "{group.name}"', f'when_busy = "{group.when_busy}"']
        for layout in self.layouts:
            names = json.dumps(layout.instances)
            lines += ["[[layouts]]", f'name = "{layout.name}"', f"instances = {names}"]
        file = self.folder / "config.toml"
        file.write_text("\n".join(lines))
        return file

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        record = self.record(name)
        assert record is not None
        send_signal(record.identity, number)


@pytest.fixture
async def rig(tmp_path: Path) -> Any:
    made = Rig(tmp_path)
    yield made
    for supervisor in made.sessions:
        await supervisor.close()
    end_all(made.state)


@pytest.fixture
def ended_state(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose servers are killed after the test."""
    yield tmp_path / "state"
    end_all(tmp_path / "state")


def end_all(state: Path) -> None:
    for record in records.running(state):
        with contextlib.suppress(NotOursError):
            send_signal(record.identity, signal.SIGKILL)


async def status_of(supervisor: Supervisor, name: str, patience: float = 5.0) -> InstanceStatus:
    """What a look sees; on a busy machine a server takes its time to answer all that it is asked."""
    return next(status for status in await supervisor.observe(patience) if status.name == name)


async def started(supervisor: Supervisor, name: str) -> InstanceStatus:
    await supervisor.start(name)
    status = await supervisor.wait(name, PATIENCE)
    assert status.state is State.READY, status
    return await status_of(supervisor, name)


async def until(supervisor: Supervisor, name: str, *states: State) -> InstanceStatus:
    return await until_so(supervisor, name, lambda status: status.state in states)


async def until_so(
    supervisor: Supervisor, name: str, holds: Callable[[InstanceStatus], object]
) -> InstanceStatus:
    """The first status of which that is true."""
    end = time.monotonic() + PATIENCE
    while not holds(status := await status_of(supervisor, name)):
        assert time.monotonic() < end, status
        await asyncio.sleep(0.02)
    return status


def run(argv: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, env={**os.environ, **environment})
