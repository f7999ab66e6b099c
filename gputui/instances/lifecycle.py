"""Starting and stopping: every step that changes a process or a record, under the instance's lock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from gputui import processes
from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.files import make_private
from gputui.instances import kernel, locks, ports, process, records
from gputui.instances.journal import Ending, Journal
from gputui.instances.records import Paths, Record
from gputui.llama.command import Launch
from gputui.processes import NotOursError

Child = subprocess.Popen[bytes]

TIDY = "tidy"
"""The action of an observer that writes down a death: it holds a lock for milliseconds."""

_LOCK_SECONDS = 1.0
_SPAWN_LOCK_SECONDS = 10.0
_KILL_SECONDS = 10.0
_STEP = 0.03


class NotRunningError(GputuiError):
    """There is nothing to stop."""


class BusyError(GputuiError):
    """Another gputui, or this one, is at the same instance."""


def start(paths: Paths, instance: InstanceConfig, launch: Launch) -> tuple[Record, Child]:
    """Start an instance. Blocks shortly. Raises GputuiError where it runs or its port is used."""
    with _hold(paths, instance.name, "start"):
        return start_locked(paths, instance, launch)


def start_locked(
    paths: Paths, instance: InstanceConfig, launch: Launch, after: Record | None = None
) -> tuple[Record, Child]:
    """``start`` for a caller that holds the instance's lock already; ``after``: the crash it follows."""
    with locks.hold(paths.spawn_lock, "start", patience=_SPAWN_LOCK_SECONDS):
        _refuse_running(paths, instance.name)
        _refuse_port(paths, instance)
        log = paths.log(instance.name)
        _rotate(log)
        oom_kills = kernel.kills()
        identity, child = process.spawn(launch.argv, launch.environment, log, instance.name)
        record = Record(
            name=instance.name,
            pid=identity.pid,
            start_ticks=identity.start_ticks,
            boot_id=identity.boot_id,
            executable=launch.argv[0],
            argv=launch.argv,
            host=instance.host,
            port=instance.port,
            model=str(launch.model),
            log=str(log),
            started_at=time.time(),
            gpus=launch.gpus,
            settings=msgspec.to_builtins(instance),
            failures=after.failures if after else (),
            streak=after.streak if after else 0,
            failed_loads=after.failed_loads if after else 0,
            oom_kills=oom_kills,
        )
        try:
            records.write(paths, record)
        except GputuiError:
            child.kill()  # without its record nobody could ever stop it
            child.wait()
            raise
        Journal(paths).began(record)
        return record, child


@contextlib.asynccontextmanager
async def holding(paths: Paths, name: str, action: str) -> AsyncIterator[None]:
    """The lock of an instance for the length of the block; refused in words where it is held."""
    with contextlib.ExitStack() as stack:
        lock = _hold(paths, name, action)
        taking = asyncio.ensure_future(asyncio.to_thread(stack.enter_context, lock))
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.gather(taking, return_exceptions=True)  # what it still takes is let go
            raise
        yield


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
    with contextlib.suppress(GputuiError), locks.hold(paths.lock(record.name), TIDY):
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
    return BusyError(f"{name} is being {verb} by {who}", "Wait a moment: gputui status")


@contextlib.contextmanager
def _hold(paths: Paths, name: str, action: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(paths.lock(name), action, _LOCK_SECONDS))
        except locks.LockHeldError as error:
            raise busy(name, error.holder) from None
        yield


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


def _refuse_port(paths: Paths, instance: InstanceConfig) -> None:
    for other in records.running(paths.state_dir):
        if other.port == instance.port:
            raise GputuiError(
                f"{other.name} runs on port {instance.port}: stop it first",
                f"gputui stop {other.name}, or give {instance.name} another port.",
            )
    if not ports.is_free(instance.host, instance.port):
        hidden = ("another user's process", "Give the instance another port.")
        who, hint = port_user(paths, instance.port) or hidden
        raise GputuiError(f"port {instance.port} of {instance.name} is used by {who}", hint)


def _rotate(log: Path) -> None:
    """The log before this one is kept: a restart after a crash does not lose its reason."""
    try:
        make_private(log.parent)
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_name(f"{log.name}.1"))
    except OSError as error:
        raise GputuiError(f"{log}: {error.strerror}", "The log cannot be written.") from error


def _ask_to_end(
    paths: Paths, name: str, grace: float, unloaded: float | None
) -> tuple[Record, float]:
    """SIGTERM; what was signalled, and when SIGKILL is due."""
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
