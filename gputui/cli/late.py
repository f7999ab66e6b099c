"""What works on instances, made after the first picture: none of its hundred modules is drawn by.

Its faces are there from the start. What is asked of them waits until the picture is on the screen, and
then for the modules, which a thread loads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gputui.config import Config, InstanceConfig
    from gputui.errors import GputuiError
    from gputui.identity import GpuIdentity
    from gputui.instances.details import InstanceDetails
    from gputui.instances.fit.reckoning import Fit
    from gputui.instances.keeping.keeper import Keeper
    from gputui.instances.log.reader import InstanceLog
    from gputui.instances.status import InstanceStatus
    from gputui.instances.supervisor import Supervisor
    from gputui.instances.switching.layouts import LayoutPlan
    from gputui.instances.switching.switch import Layouts, Report


@dataclass(frozen=True, slots=True)
class Instances:
    """All of it."""

    supervisor: Supervisor
    layouts: Layouts
    keeper: Keeper


class Late:
    """Makes it once. Used by one event loop, where ``make`` may be called on another thread."""

    def __init__(self, config: Config, make: Callable[[Config], Instances]) -> None:
        self.config = config
        self.gpus: Sequence[GpuIdentity] | None = None
        self.made: Instances | None = None
        self._make = make
        self._loaded: Instances | None = None
        self._loading = threading.Lock()
        self._released = asyncio.Event()

    def release(self) -> None:
        """The first picture is on the screen."""
        self._released.set()

    async def soon(self) -> Instances:
        """It, made on a thread once the first picture is there."""
        if self.made is None:
            await self._released.wait()
            await asyncio.to_thread(self._load)
        return self.now()

    def now(self) -> Instances:
        """It, without waiting for the picture; blocks where it is not loaded yet."""
        if self.made is None:
            self.made = made = self._load()
            made.supervisor.set_config(self.config)  # as they are by now
            made.keeper.set_config(self.config)
            if self.gpus is not None:
                made.supervisor.set_gpus(self.gpus)
        return self.made

    def _load(self) -> Instances:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._make(self.config)
            return self._loaded


class LateSupervisor:
    """The supervisor as the screen knows it."""

    def __init__(self, late: Late) -> None:
        self._late = late

    async def observe(self) -> tuple[InstanceStatus, ...]:
        """All instances now."""
        return await (await self._late.soon()).supervisor.observe()

    async def start(self, name: str, *, force: bool = False) -> None:
        """Start one."""
        await (await self._late.soon()).supervisor.start(name, force=force)

    async def stop(self, name: str) -> None:
        """Stop one."""
        await (await self._late.soon()).supervisor.stop(name)

    async def restart(self, name: str, *, force: bool = False) -> None:
        """Stop one if it runs, and start it."""
        await (await self._late.soon()).supervisor.restart(name, force=force)

    async def fit(self, name: str) -> Fit:
        """Whether one would fit now."""
        return await (await self._late.soon()).supervisor.fit(name)

    async def fit_of(self, instance: InstanceConfig) -> Fit:
        """Whether one would fit as it would be configured."""
        return await (await self._late.soon()).supervisor.fit_of(instance)

    async def login_warning(self) -> GputuiError | None:
        """What is to be told where a logout ends the servers."""
        return await (await self._late.soon()).supervisor.login_warning()

    async def details(self, name: str, url: str = "") -> InstanceDetails:
        """How one was started, or would be."""
        return await (await self._late.soon()).supervisor.details(name, url)

    def log(self, name: str) -> InstanceLog:
        """The log of an instance."""
        return self._late.now().supervisor.log(name)

    def set_config(self, config: Config) -> None:
        """The configuration from now on."""
        self._late.config = config
        if self._late.made is not None:
            self._late.made.supervisor.set_config(config)

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        """The GPUs that are known now."""
        self._late.gpus = gpus
        if self._late.made is not None:
            self._late.made.supervisor.set_gpus(gpus)

    def give_up_waits(self) -> None:
        """Refuse the starts that wait for another instance's answer."""
        if self._late.made is not None:
            self._late.made.supervisor.give_up_waits()

    async def close(self) -> None:
        """Give back sockets."""
        if self._late.made is not None:
            await self._late.made.supervisor.close()


class LateLayouts:
    """The layouts as the screen knows them."""

    def __init__(self, late: Late) -> None:
        self._late = late

    async def all(self) -> tuple[LayoutPlan, ...]:
        """Each layout's plan."""
        return await (await self._late.soon()).layouts.all()

    async def plan(self, name: str) -> LayoutPlan:
        """What a switch would do now."""
        return await (await self._late.soon()).layouts.plan(name)

    async def switch(
        self, shown: LayoutPlan, report: Report | None = None, *, force: bool = False
    ) -> LayoutPlan:
        """Carry it out."""
        layouts = (await self._late.soon()).layouts
        if report is None:
            return await layouts.switch(shown, force=force)
        return await layouts.switch(shown, report, force=force)

    def break_off(self) -> None:
        """End a switch after the step that it is at."""
        if self._late.made is not None:
            self._late.made.layouts.break_off()


class LateKeeper:
    """The keeper as the screen knows it: it tends what was observed."""

    def __init__(self, late: Late) -> None:
        self._late = late

    def tend(self, statuses: Sequence[InstanceStatus]) -> tuple[GputuiError, ...]:
        """Begin what is due."""
        return self._late.now().keeper.tend(statuses)

    @property
    def busy(self) -> bool:
        """Whether anything that was begun is not done yet."""
        return self._late.made is not None and self._late.made.keeper.busy

    async def settle(self) -> None:
        """Return when all that was begun is done."""
        if self._late.made is not None:
            await self._late.made.keeper.settle()

    def set_config(self, config: Config) -> None:
        """What is kept from now on, and how."""
        self._late.config = config
        if self._late.made is not None:
            self._late.made.keeper.set_config(config)
