"""The supervisor: what the rest of gputui asks about instances, and asks to have done.

It is the only writer of an instance's state. What it knows by itself is only what makes a better
answer (rates, a load's progress); the truth is the record on disk, the process and the lock, so
any number of supervisors on one machine agree.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from gputui.config import Config, InstanceConfig
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, MemoryReader, no_gpu_memory
from gputui.instances import lifecycle, records, refusals
from gputui.instances.configured import as_configured
from gputui.instances.details import DetailsReader, InstanceDetails
from gputui.instances.discovery import Discovery
from gputui.instances.fit.asking import ask_fit
from gputui.instances.fit.reckoning import Fit
from gputui.instances.keeping import retries
from gputui.instances.keeping.backoff import DEFAULT, Backoff
from gputui.instances.lifecycle import Child, NotRunningError
from gputui.instances.locks import turn_of
from gputui.instances.log.reader import InstanceLog
from gputui.instances.observer import Look, Observer
from gputui.instances.records import Paths
from gputui.instances.settling import Settler
from gputui.instances.shared import Shared
from gputui.instances.starting.preparing import Preparer
from gputui.instances.starting.surroundings import Surroundings
from gputui.instances.status import InstanceStatus, State
from gputui.instances.switching.swap import Ground, Swapper, Tell, quiet
from gputui.llama.command import Launch

_PATIENCE = 0.25
_WAIT_STEP = 0.1
_FRESH_PATIENCE = 2.0


class Supervisor:
    """The configured instances on one machine. Used by one event loop.

    ``gpus`` are the GPUs that pins resolve against; () where they are not known yet and come with
    ``set_gpus``: a start that needs them waits some seconds for that. ``memory`` tells what the GPUs hold,
    ``backoff`` when what crashed is started again. ``discovery`` finds the servers that gputui did not
    start; None leaves them unseen.
    Every method that acts raises GputuiError where it refuses or fails.
    """

    def __init__(
        self,
        config: Config,
        gpus: Sequence[GpuIdentity],
        state_dir: Path,
        config_file: Path | None = None,
        memory: MemoryReader = no_gpu_memory,
        surroundings: Surroundings | None = None,
        discovery: Discovery | None = None,
        backoff: Backoff = DEFAULT,
    ) -> None:
        self._config = config
        self._memory = memory
        self._discovery = discovery
        self._surroundings = surroundings or Surroundings(config.login_scope)
        self._instances = {instance.name: instance for instance in config.instances}
        self._preparer = Preparer(gpus, config_file, self._surroundings)
        self._paths = Paths(state_dir)
        self._backoff = backoff
        self._observer = Observer(self._paths, Settler(self._paths, backoff), memory)
        self._children: dict[int, Child] = {}
        self._swapper = Swapper(self._paths, self._memory, self._stop_locked)
        self._details = DetailsReader(self._paths, self._prepare)
        self._looks = Shared(self._look)

    @property
    def config(self) -> Config:
        """The configuration that instances are started by."""
        return self._config

    @property
    def gpus(self) -> tuple[GpuIdentity, ...]:
        """The GPUs that pins resolve against; () where they are not known yet."""
        return self._preparer.gpus

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        """The GPUs that pins resolve against from now on; () where the machine has none."""
        self._preparer.set_gpus(gpus)

    def set_config(self, config: Config) -> None:
        """The configuration from now on. What runs goes on as it was started; one that is configured no
        more is seen, and can be stopped, until it ends."""
        self._config = config
        self._instances = {instance.name: instance for instance in config.instances}

    async def check_name(self, name: str) -> None:
        """Raise UnknownInstanceError, with the nearest name, where none is configured as ``name``."""
        await self._find(name)

    async def login_warning(self) -> GputuiError | None:
        """What is to be told where a logout ends the servers that are started here; else None."""
        return await asyncio.to_thread(self._surroundings.warning)

    def log(self, name: str) -> InstanceLog:
        """The log of an instance, and the older ones; nothing is read yet."""
        return InstanceLog(self._paths.log(name))

    async def details(self, name: str, url: str = "") -> InstanceDetails:
        """How an instance was started, or would be, and what its server says; never waits long.

        ``url`` is where a server that gputui did not start answers for it, "" for none.
        """
        return await self._details.read(name, self._instances.get(name), url)

    async def observe(self, patience: float = _PATIENCE) -> tuple[InstanceStatus, ...]:
        """All configured instances in their order, then running ones that are configured no more.

        Servers are asked at once and get ``patience`` seconds together; what one has not answered
        by then is as it was at the last look. At the end are the servers that gputui did not start. All who
        ask at once share one look, which begins after they asked.
        """
        return await self._looks.take(patience)

    async def start(self, name: str, tell: Tell = quiet, *, force: bool = False) -> None:
        """Start an instance; returns when its process runs, which is long before it is ready.

        Another member of its group is stopped first, as ``when_busy`` says where that one is answering, or
        at once with ``force``. ``tell`` is told what is waited for.
        """
        await self._begin(name, "start", tell, force)

    async def stop(self, name: str) -> None:
        """Stop an instance; returns when its process is gone. A failed one counts as stopped then.

        One that waits for its turn in its group gives that up. Raises NotRunningError where nothing runs,
        GputuiError where what runs is not gputui's.
        """
        if self._swapper.give_up(name):
            return
        self._swapper.forget(name)
        await asyncio.to_thread(self._refuse_waiting, name)
        async with lifecycle.holding(self._paths, name, "stop"):
            await self._stop_locked(name)

    async def restart(self, name: str, tell: Tell = quiet, *, force: bool = False) -> None:
        """Stop an instance if it runs, and start it; nobody can come between. Else as ``start``."""
        await self._begin(name, "restart", tell, force)

    async def empty(self, name: str, why: str, tell: Tell = quiet) -> None:
        """Stop an instance where it runs; returns when its GPU memory is free, too. ``why`` is shown."""
        await self._swapper.empty(name, self._ground(tell), why)

    async def obstacle(self, name: str, leaving: Sequence[str]) -> GputuiError | None:
        """Why an instance could not start once those in ``leaving`` are gone; None where it could."""
        instance = await self._find(name)
        gone = (*leaving, name)
        try:
            await self._prepare(instance)
            await asyncio.to_thread(lifecycle.refuse_start, self._paths, instance, gone)
        except GputuiError as error:
            return error
        return None

    def give_up_waits(self) -> None:
        """End every wait for another instance's answer; those starts are refused then."""
        self._swapper.give_up()

    async def fit(
        self, name: str, *, leaving: Collection[str] = (), coming: Sequence[str] = ()
    ) -> Fit:
        """Whether an instance fits now, if it were started.

        What it holds where it runs, or another member of its group holds, counts as free. Instances named
        in ``leaving`` end before it starts, those in ``coming`` start before it. Raises
        UnknownInstanceError for an unknown name alone: what else is in the way is the fit's ``reason``.
        """
        return await self.fit_of(await self._find(name), leaving=leaving, coming=coming)

    async def fit_of(
        self,
        instance: InstanceConfig,
        *,
        leaving: Collection[str] = (),
        coming: Sequence[str] = (),
    ) -> Fit:
        """``fit`` for an instance as it would be configured."""
        wanted = [instance, *[await self._find(one) for one in coming]]
        mates = await asyncio.to_thread(self._swapper.in_the_way, instance, self._config)
        ending = {instance.name, *mates, *leaving}
        state = self._paths.state_dir
        return await ask_fit(wanted, ending, self._prepare, lambda: self.gpus, self._memory, state)

    async def start_again(self, name: str) -> bool:
        """Start a crashed instance whose next try is due; whether this session did.

        False where another one did, or the user has decided otherwise meanwhile. A try that cannot begin
        is put off: the record says why, and GputuiError is raised.
        """
        instance = await self._find(name)
        try:
            launch = await self._prepare(instance)
        except GputuiError as error:
            put_off = await asyncio.to_thread(
                retries.put_off, self._paths, name, error, self._backoff
            )
            if put_off:
                raise
            return False
        started = await asyncio.to_thread(
            retries.start_due, self._paths, instance, launch, self._backoff
        )
        if started is not None:
            self._children[started[0].pid] = started[1]
        return started is not None

    async def forgo(self, name: str, why: str) -> None:
        """Start a crashed instance no more; ``why`` is told beside what it died of."""
        await asyncio.to_thread(retries.forgo, self._paths, name, why)

    async def unload(
        self, name: str, seconds: float, in_use: Callable[[], bool] = lambda: False
    ) -> bool:
        """Stop an instance that has had no request for ``seconds``; whether this session did.

        Looked at once more under its lock: a request that came meanwhile, or ``in_use``, wins.
        """
        try:
            async with lifecycle.holding(self._paths, name, "stop"):
                idle = await self._observer.idle(name, _FRESH_PATIENCE)
                if idle is None or idle < seconds or in_use():
                    return False
                await self._end(name, unloaded=seconds)
        except lifecycle.BusyError:
            return False
        return True

    async def wait(
        self,
        name: str,
        timeout: float | None = None,  # noqa: ASYNC109
        *,
        loading: bool = False,
    ) -> InstanceStatus:
        """The status once the instance is ready, failed or stopped, or after ``timeout`` seconds.

        ``loading``: that it loads is enough, too. A server that cannot begin at all ends before that.
        """
        settled = {State.READY, State.FAILED, State.STOPPED} | (
            {State.LOADING} if loading else set()
        )
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            status = await self._one(name)
            if status.state in settled:
                return status
            if end is not None and time.monotonic() >= end:
                return status
            await asyncio.sleep(_WAIT_STEP)

    async def close(self) -> None:
        """Let go of connections. Servers go on running."""
        await self._looks.close()
        await self._details.close()
        await self._observer.close()
        if self._discovery is not None:
            await self._discovery.close()

    async def _begin(self, name: str, action: str, tell: Tell, force: bool) -> None:
        instance = await self._find(name)
        launch = await self._prepare(instance)  # refused before anything stops
        async with self._swapper.room_for(instance, action, self._ground(tell, force)):
            start = asyncio.to_thread(lifecycle.start_locked, self._paths, instance, launch)
            starting = asyncio.ensure_future(start)
            try:
                await asyncio.shield(starting)
            finally:  # whoever breaks it off has started it all the same, under the lock
                await asyncio.wait({starting})
                if starting.exception() is None:
                    record, child = starting.result()
                    self._children[record.pid] = child

    def _ground(self, tell: Tell, force: bool = False) -> Ground:
        return Ground(self._config, self.gpus, tell, force)

    def _refuse_waiting(self, name: str) -> None:
        instance = self._instances.get(name)
        turn = turn_of(self._paths, instance) if instance else None
        if turn is not None and turn.pid != os.getpid():
            raise refusals.waits_elsewhere(name, turn)

    async def _look(self, patience: float) -> tuple[InstanceStatus, ...]:
        looks = await self._observer.look(tuple(self._instances.values()), self._children, patience)
        statuses = tuple(
            look.status if look.facts.running else self._configured(look) for look in looks
        )
        self._swapper.forget(*(one.name for one in statuses if one.state is State.READY))
        if self._discovery is None:
            return statuses
        pids = {status.pid for status in statuses if status.pid is not None}
        ports = {status.port for status in statuses}
        names = {status.name for status in statuses}
        names |= {endpoint.name for endpoint in self._config.endpoints}
        return (*statuses, *await self._discovery.look(pids, ports, names, patience))

    def _configured(self, look: Look) -> InstanceStatus:
        name = look.status.name
        return as_configured(
            look.status,
            self._instances.get(name),
            self._preparer.known,
            self._preparer.file,
            port_user=look.port_user,
            way_back=self._swapper.way_back(name),
        )

    async def _one(self, name: str, patience: float = _PATIENCE) -> InstanceStatus:
        statuses = {status.name: status for status in await self.observe(patience)}
        if name not in statuses:
            raise await self._unknown(name)
        return statuses[name]

    async def _stop_locked(self, name: str) -> None:
        if await asyncio.to_thread(lifecycle.forget_failure, self._paths, name):
            return
        try:
            await self._end(name)
        except NotRunningError:
            record = await asyncio.to_thread(records.read, self._paths.record(name))
            if name not in self._instances and record is None:
                raise await self._unknown(name) from None
            await self._refuse_external(name)
            raise

    async def _end(self, name: str, unloaded: float | None = None) -> None:
        """See stop_locked."""
        instance = self._instances.get(name)
        record = await asyncio.to_thread(records.read, self._paths.record(name))
        child = self._children.get(record.pid) if record else None
        grace = instance.stop_grace_seconds if instance else 10.0
        try:
            await lifecycle.stop_locked(self._paths, name, grace, child, unloaded)
        finally:
            if record and child and child.poll() is not None:
                self._children.pop(record.pid, None)

    async def _refuse_external(self, name: str) -> None:
        status = await self._one(name)
        if status.owned or status.state is State.STOPPED:
            return
        user = await asyncio.to_thread(lifecycle.port_user, self._paths, status.port)
        raise refusals.not_ours(status, user)

    async def _prepare(self, instance: InstanceConfig) -> Launch:
        return await self._preparer.prepare(instance, self._config)

    async def _find(self, name: str) -> InstanceConfig:
        if name not in self._instances:
            raise await self._unknown(name)
        return self._instances[name]

    async def _unknown(self, name: str) -> GputuiError:
        pid = await self._discovery.pid_of(name) if self._discovery is not None else None
        return refusals.unknown(name, self._config, pid)
