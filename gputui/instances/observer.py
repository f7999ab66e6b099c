"""Looking at all instances: their processes, what their servers say, how far a load is.

What it remembers only makes a better answer (rates, a load's progress); nothing of it is needed to act.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gputui import processes
from gputui.config import InstanceConfig
from gputui.identity import MemoryReader, no_gpu_memory
from gputui.instances import lifecycle, records
from gputui.instances.adoption import Adopter
from gputui.instances.facts import Facts, describe, gather
from gputui.instances.keeping.idleness import Idleness
from gputui.instances.keeping.journal import Availabilities
from gputui.instances.lifecycle import Child
from gputui.instances.loading import (
    Durations,
    GpuBytes,
    Loaded,
    estimate,
    load_note,
    seconds_left,
)
from gputui.instances.log.bound import LogBounds
from gputui.instances.lowered import Fittings
from gputui.instances.records import Paths, Record
from gputui.instances.settling import Settler
from gputui.instances.status import InstanceStatus, State
from gputui.llama.given import may_wake
from gputui.llama.probe import Client, Probe, Reading
from gputui.llama.requests import RequestCounts, RequestLogs
from gputui.models.files import model_bytes

_WITNESSED = 3.0  # a load counts as timed where it was seen loading this many seconds before ready

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


@dataclass(frozen=True, slots=True)
class Look:
    """One look: the facts of each instance, its status, and the port's user of each that does not run."""

    facts: Facts
    status: InstanceStatus
    port_user: str | None


class Observer:
    """Looks at the instances of a state directory. Used by one event loop."""

    def __init__(
        self, paths: Paths, settler: Settler, memory: MemoryReader = no_gpu_memory
    ) -> None:
        self._paths = paths
        self._settler = settler
        self._adopter = Adopter(paths)
        self._fittings = Fittings(memory)
        self._idleness = Idleness()
        self._availabilities = Availabilities(paths)
        self._durations = Durations(paths.loads)
        self._gpu_bytes = GpuBytes(memory)
        self._probes: dict[_ProbeKey, Probe] = {}
        self._loads: dict[str, _Load] = {}
        self._requests = RequestLogs()
        self._log_bounds = LogBounds(paths)
        self._client = Client()

    async def look(
        self, instances: Sequence[InstanceConfig], children: dict[int, Child], patience: float
    ) -> tuple[Look, ...]:
        """All of ``instances`` in their order, then running ones that are configured no more.

        Servers are asked at once and get ``patience`` seconds together. ``children`` are the processes
        that this session started, by pid; the dead are taken out.
        """
        found = await asyncio.to_thread(
            gather, self._paths, tuple(instances), children, self._settler, self._adopter
        )
        taken = {facts.port: facts.name for facts in found if facts.alive}
        readings = await self._ask_all(found, taken, patience)
        running = [facts.running for facts in found if facts.running]
        counts = await asyncio.to_thread(self._requests.read, running) if running else {}
        if running and self._log_bounds.due:
            await asyncio.to_thread(self._log_bounds.keep, running)
        ready = self._availabilities.fresh(running)
        if ready is None:  # mostly not: a thread is woken for what blocks, and for nothing else
            ready = await asyncio.to_thread(self._availabilities.read, running)
        looks: list[Look] = []
        for facts in found:
            reading = readings.get(facts.name)
            status = _counted(describe(facts, reading), reading, counts.get(facts.name))
            status = replace(status, availability=ready.get(facts.name))
            if facts.running is not None:
                status = self._follow_idleness(facts.running, reading or Reading(), status)
                status = await self._follow_load(facts.running, facts.resident, status)
                status = await self._follow_fit(facts.running, reading or Reading(), status)
                looks.append(Look(facts, status, None))
            else:
                looks.append(Look(facts, status, taken.get(facts.port)))
        return tuple(looks)

    async def idle(self, name: str, patience: float) -> float | None:
        """For how long a ready instance has had no request, in seconds, asked of it alone; None where that
        cannot be seen now."""
        record = await asyncio.to_thread(records.read, self._paths.record(name))
        if record is None or not await asyncio.to_thread(processes.matches, record.identity):
            return None
        facts = Facts(name, None, record, alive=True)
        reading = await self._ask(facts, patience)
        counts = await asyncio.to_thread(self._requests.read_one, record)
        status = _counted(describe(facts, reading), reading, counts)
        if status.state is not State.READY:
            return None
        return self._follow_idleness(record, reading, status).idle_seconds

    async def close(self) -> None:
        """Let go of connections."""
        for probe in self._probes.values():
            probe.cancel()
        self._probes.clear()
        self._gpu_bytes.close()
        await self._client.close()

    async def _ask_all(
        self, found: Sequence[Facts], taken: Mapping[int, str], patience: float
    ) -> Mapping[str, Reading]:
        asked = [f for f in found if f.alive or (f.answered and f.port not in taken)]
        self._forget_probes(asked)
        answers = await asyncio.gather(*(self._ask(facts, patience) for facts in asked))
        return {facts.name: reading for facts, reading in zip(asked, answers, strict=True)}

    async def _ask(self, facts: Facts, patience: float) -> Reading:
        client = await self._client.get()
        probe = self._probes.get(_probe_key(facts))
        if probe is None:
            known = facts.running is not None and may_wake(facts.running.argv)
            probe = self._probes[_probe_key(facts)] = Probe(facts.url, known)
        return await probe.look(client, patience)

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
            load.seen_at = now
            return await self._loading(record, resident, load, status)
        if status.state is State.READY and record.ready_at is None:
            await asyncio.to_thread(self._note_ready, record, now - load.seen_at < _WITNESSED)
        return status

    async def _follow_fit(
        self, record: Record, reading: Reading, status: InstanceStatus
    ) -> InstanceStatus:
        """Add its context, and what it did not get."""
        if self._fittings.needs(record, status, reading):
            await asyncio.to_thread(self._fittings.find, record, reading)
        return self._fittings.told(record, status, reading)

    def _follow_idleness(
        self, record: Record, reading: Reading, status: InstanceStatus
    ) -> InstanceStatus:
        requests = status.metrics.requests_total
        idle = self._idleness.take(record, reading, requests, time.monotonic(), time.time())
        return replace(status, idle_seconds=idle)

    async def _loading(
        self, record: Record, resident: int | None, load: _Load, status: InstanceStatus
    ) -> InstanceStatus:
        """How far it is; an estimate that falls is not believed."""
        model, elapsed = Path(record.model), time.time() - record.started_at
        read = await asyncio.to_thread(processes.read_bytes, record.pid)
        held = await self._gpu_bytes.held(record.pid, record.gpus)
        size = await asyncio.to_thread(model_bytes, model)
        last = await asyncio.to_thread(self._durations.get, model)
        done = estimate(Loaded(resident, read, held), size, elapsed, last)
        load.progress = max(load.progress, done or 0.0)
        return replace(
            status,
            load_progress=None if done is None else load.progress,
            load_seconds_left=seconds_left(elapsed, last),
            note=status.note or load_note(elapsed, last),
        )

    def _note_ready(self, record: Record, witnessed: bool) -> None:
        at = time.time()
        if lifecycle.note_ready(self._paths, record, at) and witnessed:
            self._durations.put(Path(record.model), at - record.started_at)


def _counted(
    status: InstanceStatus, reading: Reading | None, counts: RequestCounts | None
) -> InstanceStatus:
    """The status with what the server's log says of its requests."""
    if reading is not None and status.state is State.READY:
        told = counts.prompts if counts else {}
        known = (told.get(task) if at is None else at for task, at in reading.prompts.items())
        behind = min((share for share in known if share is not None), default=None)
        status = replace(status, prompt_progress=behind)
    if counts is None:
        return status
    metrics = replace(status.metrics, requests_total=counts.total, requests_failed=counts.failed)
    return replace(status, metrics=metrics)
