"""A gputui that keeps its instances: what the tests of the keeper share."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable

from gputui.errors import GputuiError
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.keeping.keeper import Keeper
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from tests.instances.conftest import Rig

QUICK = Backoff(first=0.2, longest=1.0, refused=0.3)


@dataclasses.dataclass
class Session:
    """A gputui that keeps what it sees."""

    supervisor: Supervisor
    keeper: Keeper
    problems: list[GputuiError] = dataclasses.field(default_factory=list)

    async def look(self) -> tuple[InstanceStatus, ...]:
        statuses = await self.supervisor.observe()
        self.problems += self.keeper.tend(statuses)
        return statuses

    async def until(self, name: str, holds: Callable[[InstanceStatus], bool]) -> InstanceStatus:
        end = time.monotonic() + 60
        while True:
            status = next(s for s in await self.look() if s.name == name)
            if holds(status):
                await self.keeper.settle()
                return status
            assert time.monotonic() < end, status
            await asyncio.sleep(0.02)


def keeping(rig: Rig, backoff: Backoff = QUICK) -> Session:
    supervisor = rig.session(backoff)
    return Session(supervisor, Keeper(supervisor, rig.config, backoff=backoff))


def is_(state: State) -> Callable[[InstanceStatus], bool]:
    return lambda status: status.state is state
