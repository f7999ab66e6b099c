"""From a configured instance to what would be started, on the GPUs that are known by then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from gputui.config import Config, InstanceConfig, resolve_gpus
from gputui.identity import GpuIdentity
from gputui.instances.starting.surroundings import Surroundings
from gputui.llama import command
from gputui.llama.command import Launch

_GPU_SECONDS = 5.0


class Preparer:
    """Prepares launches. Used by one event loop.

    ``gpus`` are all GPUs, () where they are not known yet; ``file`` is the configuration's.
    """

    def __init__(
        self,
        gpus: Sequence[GpuIdentity],
        file: Path | None,
        surroundings: Surroundings,
    ) -> None:
        self.file = file
        self.known: tuple[GpuIdentity, ...] | None = tuple(gpus) or None
        self._surroundings = surroundings
        self._gpus_known = asyncio.Event()

    @property
    def gpus(self) -> tuple[GpuIdentity, ...]:
        """All GPUs; () where they are not known yet, and where there are none."""
        return self.known or ()

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        """All GPUs from now on; () where the machine has none."""
        self.known = tuple(gpus)
        self._gpus_known.set()

    async def prepare(self, instance: InstanceConfig, config: Config) -> Launch:
        """What would be started. Waits some seconds for GPUs that are not known yet. Raises GputuiError."""
        if instance.gpus and self.known is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GPU_SECONDS):
                    await self._gpus_known.wait()
        known = self.gpus
        pinned = resolve_gpus(instance, known, self.file)
        server = config.llama_server
        launch = await asyncio.to_thread(command.prepare, instance, pinned, known, server)
        return await asyncio.to_thread(self._surroundings.surround, launch, instance)
