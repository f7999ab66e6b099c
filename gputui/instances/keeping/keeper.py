"""What falls due while any gputui is there: the next try after a crash, unloading what nobody uses.

Any number of gputuis may keep the same instances. What is due is in the record, and done once, under the
instance's lock. A hung server is not restarted: it may be in the middle of an answer, so the user is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

from gputui.config import Config, duration_seconds
from gputui.errors import GputuiError
from gputui.instances.keeping.backoff import DEFAULT, Backoff
from gputui.instances.keeping.retries import due
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import error_words


class Tended(Protocol):
    """The part of the supervisor that a keeper needs."""

    async def start_again(self, name: str) -> bool:
        """Start a crashed instance whose next try is due."""

    async def forgo(self, name: str, why: str) -> None:
        """Try it no more."""

    async def unload(self, name: str, seconds: float, in_use: Callable[[], bool]) -> bool:
        """Stop one that has had no request for so long."""


class Keeper:
    """Does what is due. Used by one event loop.

    ``in_use`` says of a server's URL whether this program itself talks to it now. ``clock`` is Unix time.
    """

    def __init__(
        self,
        supervisor: Tended,
        config: Config,
        *,
        in_use: Callable[[str], bool] = lambda url: False,
        backoff: Backoff = DEFAULT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._supervisor = supervisor
        self.set_config(config)
        self._in_use = in_use
        self._backoff = backoff
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[GputuiError | None]] = {}

    def set_config(self, config: Config) -> None:
        """What is kept from now on, and how; what was begun goes on."""
        self._instances = {instance.name: instance for instance in config.instances}

    def tend(self, statuses: Sequence[InstanceStatus]) -> tuple[GputuiError, ...]:
        """Begin what is due by these newest states, and return at once.

        What went wrong with what was begun before is returned; it is tried again.
        """
        problems = self._reap()
        for status in statuses:
            act = self._due(status, statuses)
            if act is not None and status.name not in self._tasks:
                task = asyncio.create_task(_told(act()), name=f"keep {status.name}")
                self._tasks[status.name] = task
        return problems

    @property
    def busy(self) -> bool:
        """Whether anything that was begun is not done yet."""
        return any(not task.done() for task in self._tasks.values())

    async def settle(self) -> None:
        """Return when all that was begun is done: a stop that is left half-way is no stop."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _reap(self) -> tuple[GputuiError, ...]:
        done = {name: task for name, task in self._tasks.items() if task.done()}
        for name in done:
            del self._tasks[name]
        results = (task.result() for task in done.values() if not task.cancelled())
        return tuple(problem for problem in results if problem is not None)

    def _due(
        self, status: InstanceStatus, statuses: Sequence[InstanceStatus]
    ) -> Callable[[], Coroutine[None, None, object]] | None:
        instance, supervisor, name = self._instances.get(status.name), self._supervisor, status.name
        if instance is None:
            return None
        if status.state is State.FAILED and due(status.restart_at, self._backoff, self._clock()):
            rival = self._rival(status, statuses)
            if rival:
                return lambda: supervisor.forgo(name, f"{rival} of its group runs")
            return lambda: supervisor.start_again(name)
        if instance.idle_unload is None or status.state is not State.READY or not status.owned:
            return None
        limit, url = duration_seconds(instance.idle_unload), status.url
        idle = status.idle_seconds
        if idle is None or idle < limit or self._in_use(url):
            return None
        return lambda: supervisor.unload(name, limit, lambda: self._in_use(url))

    def _rival(self, status: InstanceStatus, statuses: Sequence[InstanceStatus]) -> str:
        """Another instance of its group that runs: of those, one runs at a time."""
        group = self._instances[status.name].group
        if group is None:
            return ""
        for other in statuses:
            instance = self._instances.get(other.name)
            same = instance is not None and instance.group == group and other.name != status.name
            if same and other.owned and other.state in RUNNING:
                return other.name
        return ""


async def _told(act: Coroutine[None, None, object]) -> GputuiError | None:
    """What went wrong, in words; the keeper goes on."""
    try:
        await act
    except GputuiError as error:
        return error
    except Exception as error:  # noqa: BLE001  the task's boundary: told, and tried again
        return GputuiError(error_words(error), "It is tried again.")
    return None
