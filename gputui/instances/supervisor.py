"""The supervisor: what the rest of gputui asks about instances, and asks to have done.

It is the only writer of an instance's state. What it knows by itself is only what makes a better
answer (rates, a load's progress); the truth is the record on disk, the process and the lock, so
any number of supervisors on one machine agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.config import Config, InstanceConfig, resolve_gpus
from gputui.errors import ConfigError, GputuiError
from gputui.identity import GpuIdentity
from gputui.instances import command, lifecycle, records
from gputui.instances.command import Launch
from gputui.instances.diagnosis import tail
from gputui.instances.lifecycle import Child, NotRunningError
from gputui.instances.loading import Durations, estimate, model_bytes
from gputui.instances.observe import Facts, describe, gather
from gputui.instances.probe import Probe, Reading, new_client
from gputui.instances.records import Paths, Record
from gputui.instances.requests import RequestCounts, RequestLogs
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import clean, clean_line, nearest

if TYPE_CHECKING:
    import httpx

_PATIENCE = 0.25
_WAIT_STEP = 0.1
_GPU_SECONDS = 5.0
_WITNESSED = 3.0  # a load counts as timed where it was seen loading this many seconds before ready


class UnknownInstanceError(ConfigError):
    """No instance of that name is configured, and none of that name runs."""


_ProbeKey = tuple[str, str, int]


def _probe_key(facts: Facts) -> _ProbeKey:
    """A new process gets a new probe: its counters start anew."""
    return facts.name, facts.url, facts.running.pid if facts.running else 0


@dataclass(slots=True)
class _Load:
    """What this session has seen of the load of one process."""

    process: tuple[int, int]
    progress: float = 0.0
    seen_at: float = 0.0


class Supervisor:
    """The configured instances on one machine. Used by one event loop.

    ``gpus`` are the GPUs that pins resolve against; () where they are not known yet and come with
    ``set_gpus``: a start that needs them waits some seconds for that.
    Every method that acts raises GputuiError where it refuses or fails.
    """

    def __init__(
        self,
        config: Config,
        gpus: Sequence[GpuIdentity],
        state_dir: Path,
        config_file: Path | None = None,
    ) -> None:
        self._config = config
        self._config_file = config_file
        self._instances = {instance.name: instance for instance in config.instances}
        self._gpus: tuple[GpuIdentity, ...] | None = tuple(gpus) or None
        self._gpus_known = asyncio.Event()
        self._paths = Paths(state_dir)
        self._durations = Durations(self._paths.loads)
        self._children: dict[int, Child] = {}
        self._probes: dict[_ProbeKey, Probe] = {}
        self._loads: dict[str, _Load] = {}
        self._requests = RequestLogs()
        self._client: httpx.AsyncClient | None = None

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        """The GPUs that pins resolve against from now on; () where the machine has none."""
        self._gpus = tuple(gpus)
        self._gpus_known.set()

    def check_name(self, name: str) -> None:
        """Raise UnknownInstanceError, with the nearest name, where none is configured as ``name``."""
        self._find(name)

    async def log_tail(self, name: str, limit: int = 65536) -> str:
        """The end of an instance's log, cleaned, at most ``limit`` bytes; "" where there is none."""
        return clean(await asyncio.to_thread(tail, self._paths.log(name), limit))

    async def observe(self, patience: float = _PATIENCE) -> tuple[InstanceStatus, ...]:
        """All configured instances in their order, then running ones that are configured no more.

        Servers are asked at once and get ``patience`` seconds together; what one has not answered
        by then is as it was at the last look.
        """
        found = await asyncio.to_thread(
            gather, self._paths, tuple(self._instances.values()), self._children
        )
        return await self._statuses(found, patience)

    async def start(self, name: str) -> None:
        """Start an instance; returns when its process runs, which is long before it is ready."""
        instance = self._find(name)
        launch = await self._prepare(instance)
        record, child = await asyncio.to_thread(lifecycle.start, self._paths, instance, launch)
        self._children[record.pid] = child

    async def stop(self, name: str) -> None:
        """Stop an instance; returns when its process is gone. A failed one counts as stopped then.

        Raises NotRunningError where nothing runs, GputuiError where what runs is not gputui's.
        """
        async with lifecycle.holding(self._paths, name, "stop"):
            await self._stop_locked(name)

    async def restart(self, name: str) -> None:
        """Stop an instance if it runs, and start it; nobody can come between."""
        instance = self._find(name)
        launch = await self._prepare(instance)  # refused before anything stops
        async with lifecycle.holding(self._paths, name, "restart"):
            with contextlib.suppress(NotRunningError):
                await self._stop_locked(name)
            record, child = await asyncio.to_thread(
                lifecycle.start_locked, self._paths, instance, launch
            )
            self._children[record.pid] = child

    async def wait(self, name: str, timeout: float | None = None) -> InstanceStatus:  # noqa: ASYNC109
        """The status once the instance is ready, failed or stopped, or after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            status = await self._one(name)
            if status.state in (State.READY, State.FAILED, State.STOPPED):
                return status
            if end is not None and time.monotonic() >= end:
                return status
            await asyncio.sleep(_WAIT_STEP)

    async def close(self) -> None:
        """Let go of connections. Servers go on running."""
        for probe in self._probes.values():
            probe.cancel()
        self._probes.clear()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _statuses(
        self, found: Sequence[Facts], patience: float
    ) -> tuple[InstanceStatus, ...]:
        taken = {facts.port: facts.name for facts in found if facts.alive}
        asked = [f for f in found if f.alive or (f.answered and f.port not in taken)]
        self._forget_probes(asked)
        answers = await asyncio.gather(*(self._ask(facts, patience) for facts in asked))
        readings = {facts.name: reading for facts, reading in zip(asked, answers, strict=True)}
        running = [facts.running for facts in found if facts.running]
        counts = await asyncio.to_thread(self._requests.read, running) if running else {}
        statuses: list[InstanceStatus] = []
        for facts in found:
            status = _counted(describe(facts, readings.get(facts.name)), counts.get(facts.name))
            if facts.running is not None:
                status = await self._follow_load(facts.running, facts.resident, status)
            else:
                status = self._configured(status, taken.get(facts.port))
            statuses.append(status)
        return tuple(statuses)

    async def _ask(self, facts: Facts, patience: float) -> Reading:
        if self._client is None:
            self._client = await asyncio.to_thread(new_client)
        probe = self._probes.get(_probe_key(facts))
        if probe is None:
            argv = facts.running.argv if facts.running else None
            # Only /health and /props leave a sleeping model and its idle clock alone.
            may_wake = argv is not None and "--sleep-idle-seconds" not in argv
            probe = self._probes[_probe_key(facts)] = Probe(facts.url, may_wake)
        return await probe.look(self._client, patience)

    def _forget_probes(self, asked: Sequence[Facts]) -> None:
        current = {_probe_key(facts) for facts in asked}
        for key in [key for key in self._probes if key not in current]:
            self._probes.pop(key).cancel()

    async def _follow_load(
        self, record: Record, resident: int | None, status: InstanceStatus
    ) -> InstanceStatus:
        """Add the estimated progress of a load; at its end, write down that it is ready."""
        process = (record.pid, record.start_ticks)
        load = self._loads.get(record.name)
        if load is None or load.process != process:
            load = self._loads[record.name] = _Load(process)
        now = time.monotonic()
        if status.state in (State.STARTING, State.LOADING):
            done = await asyncio.to_thread(self._estimate, record, resident)
            load.seen_at = now
            load.progress = max(load.progress, done or 0.0)
            return replace(status, load_progress=None if done is None else load.progress)
        if status.state is State.READY and record.ready_at is None:
            await asyncio.to_thread(self._note_ready, record, now - load.seen_at < _WITNESSED)
        return status

    def _estimate(self, record: Record, resident: int | None) -> float | None:
        model = Path(record.model)
        elapsed = time.time() - record.started_at
        return estimate(resident, model_bytes(model), elapsed, self._durations.get(model))

    def _note_ready(self, record: Record, witnessed: bool) -> None:
        at = time.time()
        if lifecycle.note_ready(self._paths, record, at) and witnessed:
            self._durations.put(Path(record.model), at - record.started_at)

    def _configured(self, status: InstanceStatus, port_user: str | None) -> InstanceStatus:
        """What the configuration adds to an instance that does not run: its pin, what forbids it."""
        instance = self._instances.get(status.name)
        if port_user is not None and status.state is State.STOPPED:
            status = replace(status, note=f"port {status.port} is used by {port_user}")
        external = status.state in RUNNING and not status.owned
        if instance is None or external:
            return status
        status = replace(status, pinned=bool(instance.gpus))
        if self._gpus is None:
            return status
        try:
            gpus = resolve_gpus(instance, self._gpus, self._config_file)
        except ConfigError as error:
            if status.last_error is not None:
                return status
            return replace(status, last_error=error.message, hint=error.hint)
        return replace(status, gpus=tuple(gpu.uuid for gpu in gpus))

    async def _one(self, name: str) -> InstanceStatus:
        statuses = {status.name: status for status in await self.observe()}
        if name not in statuses:
            raise self._unknown(name)
        return statuses[name]

    async def _stop_locked(self, name: str) -> None:
        instance = self._instances.get(name)
        record = await asyncio.to_thread(records.read, self._paths.record(name))
        child = self._children.get(record.pid) if record else None
        grace = instance.stop_grace_seconds if instance else 10.0
        if await asyncio.to_thread(lifecycle.forget_failure, self._paths, name):
            return
        try:
            await lifecycle.stop_locked(self._paths, name, grace, child)
        except NotRunningError:
            if instance is None and record is None:
                raise self._unknown(name) from None
            await self._refuse_external(name)
            raise
        finally:
            if record and child and child.poll() is not None:
                self._children.pop(record.pid, None)

    async def _refuse_external(self, name: str) -> None:
        status = await self._one(name)
        if status.owned or status.state is State.STOPPED:
            return
        user = await asyncio.to_thread(lifecycle.port_user, self._paths, status.port)
        who = user[0] if user else "another user's process"
        raise GputuiError(
            f"{name} was not started by gputui: port {status.port} is served by {who}",
            "Stop it where it was started.",
        )

    async def _prepare(self, instance: InstanceConfig) -> Launch:
        if instance.gpus and self._gpus is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gpus_known.wait(), _GPU_SECONDS)
        known = self._gpus or ()
        gpus = resolve_gpus(instance, known, self._config_file)
        server = self._config.llama_server
        return await asyncio.to_thread(command.prepare, instance, gpus, known, server)

    def _find(self, name: str) -> InstanceConfig:
        if name not in self._instances:
            raise self._unknown(name)
        return self._instances[name]

    def _unknown(self, name: str) -> UnknownInstanceError:
        near = nearest(name, self._instances)
        known = ", ".join(self._instances) or "none"
        return UnknownInstanceError(
            f'no instance is named "{clean_line(name, 80)}"',
            f'Did you mean "{near}"?' if near else f"Configured: {known}.",
        )


def _counted(status: InstanceStatus, counts: RequestCounts | None) -> InstanceStatus:
    """The status with what the server's log says of its requests."""
    if counts is None:
        return status
    metrics = replace(status.metrics, requests_total=counts.total, requests_failed=counts.failed)
    return replace(status, metrics=metrics)
