"""The fit of configured instances: what they would run as, and what the machine holds now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.host import available_memory
from gputui.identity import GpuIdentity, MemoryReader, no_gpu_memory
from gputui.instances import records
from gputui.instances.fit.reckoning import Fit, Occupancy, Server, fit_of, not_known
from gputui.llama.command import Launch

Prepare = Callable[[InstanceConfig], Awaitable[Launch]]


def occupancy(
    memory: MemoryReader,
    state_dir: Path,
    leaving: Collection[str] = (),
    coming: Sequence[Server] = (),
) -> Occupancy:
    """What is on this machine now. Blocks."""
    return Occupancy(memory(), records.running(state_dir), leaving, coming, available_memory())


async def ask_fit(
    wanted: Sequence[InstanceConfig],
    leaving: Collection[str],
    prepare: Prepare,
    known: Callable[[], Sequence[GpuIdentity]],
    memory: MemoryReader,
    state_dir: Path,
) -> Fit:
    """The fit of the first of ``wanted``, where the others start before it and those in ``leaving`` end.

    ``prepare`` makes a command line, ``known`` are all GPUs. Why there is none is the fit's ``reason``. Of the
    others those that cannot start are left out: they take nothing.
    """

    def look(servers: Sequence[Server]) -> Fit:
        reader = memory if any(server.gpus for server in servers) else no_gpu_memory
        return fit_of(servers[0], occupancy(reader, state_dir, leaving, servers[1:]))

    try:
        launches = [(wanted[0].name, await prepare(wanted[0]))]
        for instance in wanted[1:]:
            with contextlib.suppress(GputuiError):
                launches.append((instance.name, await prepare(instance)))
        gpus = {gpu.uuid: gpu for gpu in known()}
        servers = [_server(name, launch, gpus) for name, launch in launches]
        return await asyncio.to_thread(look, servers)
    except GputuiError as error:
        return not_known(wanted[0].name, error)


def _server(name: str, launch: Launch, known: dict[str, GpuIdentity]) -> Server:
    gpus = tuple(known[uuid] for uuid in launch.gpus if uuid in known)
    return Server(name, launch.argv, launch.model, gpus, launch.environment)
