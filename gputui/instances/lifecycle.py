"""Starting and stopping: every step that changes a process or a record, under the instance's lock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from gputui import processes
from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.instances import adoption, kernel, locks, ports, records
from gputui.instances.keeping.journal import Ending, Journal
from gputui.instances.locks import Say
from gputui.instances.log import bound as logs
from gputui.instances.records import Paths, Record
from gputui.instances.starting import process
from gputui.instances.starting.placement import Placement
from gputui.llama.command import Launch
from gputui.processes import NotOursError

Child = subprocess.Popen[bytes]

_LOCK_SECONDS = 1.0
_SPAWN_LOCK_SECONDS = 10.0
_KILL_SECONDS = 10.0
_STEP = 0.03


class NotRunningError(GputuiError):
    """There is nothing to stop."""


class BusyError(GputuiError):
    """Another gputui, or this one, is at the same instance."""


def start_locked(
    paths: Paths, instance: InstanceConfig, launch: Launch, after: Record | None = None
) -> tuple[Record, Child]:
    """Start an instance, for a caller that holds its lock. Blocks shortly; ``after``: the crash it follows.

    Raises GputuiError where it runs, or its port or its place in a group is another's.
    """
    with locks.hold(paths.spawn_lock, "start", patience=_SPAWN_LOCK_SECONDS):
        adoption.mend(paths, held=instance.name)
        refuse_start(paths, instance)
        log = paths.log(instance.name)
        logs.rotate(log)
        draft = _draft(instance, launch, log, after)
        environment = {**launch.environment, process.COPY: adoption.copy_of(paths, draft)}
        place = Placement(launch.cpus, launch.numa_node)
        command = (*launch.through, *launch.argv)
        spawned = process.spawn(command, environment, log, instance.name, place)
        identity, child, placed = spawned.identity, spawned.child, spawned.placement
        record = replace(draft.of(identity), cpus=placed.cpus, numa_node=placed.numa_node)
        try:
            records.write(paths, record)
        except BaseException:
            child.communicate()  # without its record nobody could ever stop it: it never begins
            raise
        process.let_go(child)
        Journal(paths).began(record)
        return record, child


def _draft(instance: InstanceConfig, launch: Launch, log: Path, after: Record | None) -> Record:
    """The record of a process that there is not yet."""
    return Record(
        name=instance.name,
        pid=0,
        start_ticks=0,
        boot_id="",
        executable=launch.argv[0],
        argv=launch.argv,
        host=instance.host,
        port=instance.port,
        model=str(launch.model),
        log=str(log),
        started_at=time.time(),
        gpus=launch.gpus,
        settings=msgspec.to_builtins(instance),
        cpus=launch.cpus,
        numa_node=launch.numa_node,
        scope=launch.scope,
        failures=after.failures if after else (),
        streak=after.streak if after else 0,
        failed_loads=after.failed_loads if after else 0,
        oom_kills=kernel.kills(),
    )


@contextlib.asynccontextmanager
async def holding(paths: Paths, name: str, action: str) -> AsyncIterator[Say]:
    """The lock of an instance for the length of the block; refused in words where it is held."""
    lock = locks.hold(paths.lock(name), action, _LOCK_SECONDS, lambda holder: busy(name, holder))
    async with taking(lock) as say:
        yield say


@contextlib.asynccontextmanager
async def taking(lock: contextlib.AbstractContextManager[Say]) -> AsyncIterator[Say]:
    """A lock that may have to be waited for, taken on a thread."""
    with contextlib.ExitStack() as stack:
        taken = asyncio.ensure_future(asyncio.to_thread(stack.enter_context, lock))
        try:
            say = await asyncio.shield(taken)
        except asyncio.CancelledError:
            await asyncio.gather(taken, return_exceptions=True)  # what it still takes is let go
            raise
        yield say


async def stop_locked(
    paths: Paths, name: str, grace: float, child: Child | None, unloaded: float | None = None
) -> None:
    """SIGTERM, ``grace`` seconds, SIGKILL; returns when the process is gone.

    ``unloaded``: not the user's wish, but so many seconds without a request; the record then says so.

    The deadline is in the record, so every session shows the same countdown; one that is left over
    from an interrupted stop stays in force. Raises NotRunningError, and GputuiError where not even
    SIGKILL helps.
    """
    record, deadline = await asyncio.to_thread(_ask_to_end, paths, name, grace, unloaded)
    if not await _gone(record, deadline, child):
        await asyncio.to_thread(_signal, record, signal.SIGKILL)
        if not await _gone(record, time.monotonic() + _KILL_SECONDS, child):
            raise GputuiError(
                f"{name}: process {record.pid} does not end, not even by SIGKILL",
                "It hangs in a driver. dmesg may say which; a reboot ends it.",
            )
    await asyncio.to_thread(note_stopped, paths, replace(record, unloaded_after=unloaded))


def note_stopped(paths: Paths, record: Record) -> None:
    """Write down that a process ended as asked. Raises GputuiError where that cannot be written."""
    at = time.time()
    Journal(paths).ended(
        record, at, Ending.STOPPED if record.unloaded_after is None else Ending.UNLOADED
    )
    if record.unloaded_after is None:
        records.remove(paths, record.name)
    else:
        records.write(paths, replace(record, ended_at=at))


def note_ready(paths: Paths, record: Record, at: float) -> bool:
    """Write down that an instance was seen ready, at ``at`` in Unix time; whether that was news.

    Skipped while somebody else holds the lock, and where nothing can be written.
    """
    with contextlib.suppress(GputuiError), locks.hold(paths.lock(record.name), locks.TIDY):
        now = records.read(paths.record(record.name))
        if now is not None and now.identity == record.identity and now.ready_at is None:
            ready = replace(now, ready_at=at)
            records.write(paths, ready)
            Journal(paths).began(ready)
            return True
    return False


def forget_failure(paths: Paths, name: str) -> bool:
    """Forget how an instance ended, for a caller that holds its lock: it counts as stopped.

    It is not started again then. False where there is nothing to forget.
    """
    record = records.read(paths.record(name))
    if record is None and records.broken(paths, name):
        adoption.mend(paths, held=name)  # where its server lives there is something to stop
        if records.read(paths.record(name)) is None:
            records.remove(paths, name)
            return True
    if record is None or not record.ended:
        return False
    Journal(paths).dismissed(name, time.time())
    records.remove(paths, name)
    return True


def port_user(paths: Paths, port: int) -> tuple[str, str] | None:
    """Who listens on a port, and how to end that; None where nobody visible does."""
    found = ports.listener(port)
    if found is None:
        return None
    name = records.names_by_pid(paths.state_dir).get(found.pid)
    if name is not None:
        return f"{name} (pid {found.pid})", f"Stop it first: gputui stop {name}"
    return (
        f"{found.name} (pid {found.pid}), which gputui did not start",
        "Stop it where it was started, or give the instance another port.",
    )


def busy(name: str, holder: locks.Holder | None) -> BusyError:
    """The refusal where another gputui is at the same instance."""
    verbs = {"start": "started", "stop": "stopped", "restart": "restarted"}
    verb = verbs.get(holder.action if holder else "", "worked on")
    if holder is not None and holder.pid == os.getpid():
        return BusyError(f"{name} is already being {verb}")
    who = f"another gputui (pid {holder.pid})" if holder else "another gputui"
    at = f": {holder.note}" if holder and holder.note else ""
    return BusyError(f"{name} is being {verb} by {who}{at}", "Wait a moment: gputui status")


def refuse_start(paths: Paths, instance: InstanceConfig, leaving: Collection[str] = ()) -> None:
    """Raise GputuiError where an instance cannot start as things are: it runs, or what it needs alone
    (its port, its group) has somebody else. Those in ``leaving`` are about to make room."""
    if instance.name not in leaving:
        _refuse_running(paths, instance.name)
    running = records.running(paths.state_dir)
    others = [one for one in running if one.name not in (*leaving, instance.name)]
    for other in others:
        if instance.group and other.settings.get("group") == instance.group:
            raise GputuiError(
                f"{other.name} runs, and of group {instance.group} one runs at a time",
                f"Stop it first: gputui stop {other.name}",
            )
    _refuse_port(paths, instance, others, [one for one in running if one.name in leaving])


def _refuse_running(paths: Paths, name: str) -> None:
    record = records.read(paths.record(name))
    if record is None or not processes.matches(record.identity):
        return
    if record.stop_deadline is not None:
        raise GputuiError(
            f"{name} still runs (pid {record.pid}): its stop was interrupted",
            f"Stop it again: gputui stop {name}",
        )
    raise GputuiError(
        f"{name} runs already (pid {record.pid}, port {record.port})",
        f"To start it anew: gputui restart {name}",
    )


def _refuse_port(
    paths: Paths, instance: InstanceConfig, others: Sequence[Record], going: Sequence[Record]
) -> None:
    for other in others:
        if other.port == instance.port:
            raise GputuiError(
                f"{other.name} runs on port {instance.port}: stop it first",
                f"gputui stop {other.name}, or give {instance.name} another port.",
            )
    if any(one.port == instance.port for one in going):
        return  # nobody else can be on it
    if ports.is_free(instance.host, instance.port):
        return
    hidden = ("another user's process", "Give the instance another port.")
    who, hint = port_user(paths, instance.port) or hidden
    raise GputuiError(f"port {instance.port} of {instance.name} is used by {who}", hint)


def _ask_to_end(
    paths: Paths, name: str, grace: float, unloaded: float | None
) -> tuple[Record, float]:
    """SIGTERM; what was signalled, and when SIGKILL is due."""
    adoption.mend(paths, held=name)
    record = records.read(paths.record(name))
    if record is None or not processes.matches(record.identity):
        raise NotRunningError(f"{name} is not running")
    deadline = record.stop_deadline
    if deadline is None:
        deadline = time.monotonic() + grace
        with contextlib.suppress(GputuiError):  # a full disk keeps no server running
            records.write(paths, replace(record, stop_deadline=deadline, unloaded_after=unloaded))
    _signal(record, signal.SIGTERM)
    return record, deadline


def _signal(record: Record, number: signal.Signals) -> None:
    with contextlib.suppress(NotOursError):  # gone in the meantime: that was the aim
        processes.send_signal(record.identity, number)


async def _gone(record: Record, deadline: float, child: Child | None) -> bool:
    while await asyncio.to_thread(processes.matches, record.identity):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_STEP)
    if child is not None:
        child.poll()  # a zombie of ours
    return True
