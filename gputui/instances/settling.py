"""Writing down the end of a process that nobody asked to end: why, and whether it is tried again."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from gputui import processes
from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.instances import kernel, lifecycle, locks, records
from gputui.instances.keeping import backoff
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.keeping.journal import Ending, Journal
from gputui.instances.lifecycle import Child
from gputui.instances.records import Paths, Record
from gputui.llama.diagnosis import Diagnosis, Killer, diagnose, tail
from gputui.processes import Life
from gputui.text import sentences

_SEEN_SECONDS = 10.0
"""Where this session saw it alive within this time, it died just now."""


class Settler:
    """Settles deaths in a state directory. Every call may block for some milliseconds.

    ``clock`` is Unix time, in which crashes and next tries are written.
    """

    def __init__(
        self,
        paths: Paths,
        policy: Backoff = backoff.DEFAULT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._paths = paths
        self._policy = policy
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._unwritten: dict[str, Record] = {}

    def saw_alive(self, record: Record) -> None:
        """Remember that a recorded process lives now."""
        self._seen[record.name] = record.pid, self._clock()

    def settle(
        self, record: Record, instance: InstanceConfig | None, child: Child | None
    ) -> Record | None:
        """Write down the end of a recorded process; what then remains of the record.

        None where it was stopped on request, or before a reboot, or so long ago that its pid is another
        process's now; a record with ``failure`` where it died unasked, and ``restart_at`` where
        ``instance``, or for None what it was started with, wants that. Leaves the record as it is while
        somebody else holds the lock: they are about to change it. Where nothing can be written it is told
        all the same, and written down by whoever can.
        """
        paths = self._paths
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.hold(paths.lock(record.name), locks.TIDY))
            except locks.LockHeldError:
                return record
            except GputuiError:
                return self._settle(record, instance, child)
            now = records.read(paths.record(record.name))
            if now is None or now.identity != record.identity or now.ended:
                return now
            return self._settle(now, instance, child)

    def _settle(
        self, record: Record, instance: InstanceConfig | None, child: Child | None
    ) -> Record | None:
        fate = processes.life(record.identity)
        if fate is Life.ALIVE:
            return record
        if fate is Life.DEAD and record.stop_deadline is None:
            return self._failed(record, instance, child)
        with contextlib.suppress(GputuiError):
            if record.stop_deadline is not None:
                lifecycle.note_stopped(self._paths, record)
                return records.read(self._paths.record(record.name))
            ending = Ending.REBOOTED if fate is Life.OTHER_BOOT else Ending.UNSEEN
            Journal(self._paths).ended(record, self._death(record), ending, noticed=self._clock())
            records.remove(self._paths, record.name)
        return None

    def _failed(
        self, record: Record, instance: InstanceConfig | None, child: Child | None
    ) -> Record:
        failed = self._unwritten.get(record.name)
        if failed is None or failed.identity != record.identity:  # a diagnosis costs up to seconds
            failed = self._explained(record, instance, child)
        try:
            records.write(self._paths, failed)
        except GputuiError:
            self._unwritten[record.name] = failed
        else:
            self._unwritten.pop(record.name, None)
        Journal(self._paths).ended(failed, failed.ended_at or self._clock(), Ending.FAILED)
        return failed

    def _explained(
        self, record: Record, instance: InstanceConfig | None, child: Child | None
    ) -> Record:
        """The record with what it died of."""
        code = processes.exit_code(record.identity)
        if code is None and child is not None:
            code = child.poll()
        found = self._diagnosis(record, code)
        at = self._death(record)
        failed = self._judged(record, found, at, _wants_restart(record, instance))
        return replace(failed, exit_code=code, evidence=found.evidence, ended_at=at)

    def _diagnosis(self, record: Record, code: int | None) -> Diagnosis:
        killer = Killer.UNKNOWN
        if code in (-signal.SIGKILL, None):
            killer = kernel.who_killed(record.pid, record.oom_kills)
        log, served = tail(Path(record.log)), record.ready_at is not None
        found = diagnose(log, code, record.port, served=served, killer=killer)
        if found.gpu_fault and (words := kernel.xid(record.pid)):
            found = dataclasses.replace(found, evidence=(*found.evidence[:2], words))
        return self._with_port_user(found, record.port)

    def _judged(self, record: Record, found: Diagnosis, at: float, wanted: bool) -> Record:
        """The record with what is to happen next."""
        reason, hint = found.reason, found.hint
        if not found.crash:
            more = "That is no crash: it is not started again." if wanted else ""
            return replace(record, failure=reason, hint=sentences(hint, more))
        crash = backoff.judge(record, at, again=wanted and found.again, backoff=self._policy)
        if crash.gave_up:
            reason = f"gave up after {crash.streak} crashes in a row: {reason}"
            hint = sentences(hint, "To try it again, start it.")
        elif wanted and not found.again:
            hint = sentences(hint, "It is not started again: that would end the same")
        return replace(
            record,
            failure=reason,
            hint=hint,
            failures=crash.failures,
            streak=crash.streak,
            failed_loads=crash.failed_loads,
            restart_at=crash.restart_at,
        )

    def _death(self, record: Record) -> float:
        """When it died, in Unix time: just now where it was seen alive just before, else at its last
        words, as far as anybody knows."""
        now = self._clock()
        pid, seen_at = self._seen.get(record.name, (0, 0.0))
        if pid == record.pid and 0 <= now - seen_at <= _SEEN_SECONDS:
            return now
        last = record.ready_at or record.started_at
        with contextlib.suppress(OSError):
            last = max(last, Path(record.log).stat().st_mtime)
        return min(last, now)

    def _with_port_user(self, found: Diagnosis, port: int) -> Diagnosis:
        if found.reason != f"port {port} is in use":
            return found
        user = lifecycle.port_user(self._paths, port)
        if user is None:
            return found
        return dataclasses.replace(found, reason=f"port {port} is used by {user[0]}", hint=user[1])


def _wants_restart(record: Record, instance: InstanceConfig | None) -> bool:
    setting = instance.restart if instance else record.settings.get("restart")
    return setting == "on-failure"
