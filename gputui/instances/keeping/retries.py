"""The next try after a crash: once, under the instance's lock, by whichever gputui comes first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from msgspec.structs import replace

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.instances import lifecycle, locks, records
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.lifecycle import Child
from gputui.instances.records import Paths, Record
from gputui.llama.command import Launch
from gputui.text import sentences

_SLACK = 5.0


def due(restart_at: float | None, backoff: Backoff, now: float) -> bool:
    """Whether a try is due at ``now`` in Unix time: also where the clock went back since it was set."""
    if restart_at is None:
        return False
    furthest = max(backoff.longest, backoff.refused) + _SLACK
    return now >= restart_at or restart_at - now > furthest


def start_due(
    paths: Paths, instance: InstanceConfig, launch: Launch, backoff: Backoff
) -> tuple[Record, Child] | None:
    """Start an instance whose try is due; None where it is not, or another gputui is at it.

    Raises GputuiError where the start is refused, and puts the try off.
    """
    with _waiting(paths, instance.name, backoff) as record:
        if record is None:
            return None
        try:
            return lifecycle.start_locked(paths, instance, launch, after=record)
        except GputuiError as error:
            _write_refusal(paths, record, error, backoff)
            raise


def put_off(paths: Paths, name: str, error: GputuiError, backoff: Backoff) -> bool:
    """Put off a try that is due and cannot begin for this reason; whether it was due."""
    with _waiting(paths, name, backoff) as record:
        if record is not None:
            _write_refusal(paths, record, error, backoff)
        return record is not None


def forgo(paths: Paths, name: str, why: str) -> None:
    """Try it no more. Nothing is done where another gputui is at it."""
    with contextlib.suppress(locks.LockHeldError), locks.hold(paths.lock(name), locks.TIDY):
        forgo_locked(paths, name, why)


def forgo_locked(paths: Paths, name: str, why: str) -> None:
    """``forgo`` for a caller that holds the instance's lock."""
    record = records.read(paths.record(name))
    if record is not None and record.restart_at is not None:
        hint = sentences(record.hint, f"It is not started again: {why}")
        records.write(paths, replace(record, restart_at=None, hint=hint))


@contextlib.contextmanager
def _waiting(paths: Paths, name: str, backoff: Backoff) -> Iterator[Record | None]:
    """The record of an instance whose try is due, under its lock; None where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(paths.lock(name), locks.TIDY))
        except locks.LockHeldError:
            yield None
            return
        record = records.read(paths.record(name))
        waits = record is not None and record.failure is not None and record.this_boot
        is_due = record is not None and due(record.restart_at, backoff, time.time())
        yield record if waits and is_due else None


def _write_refusal(paths: Paths, record: Record, error: GputuiError, backoff: Backoff) -> None:
    hint = sentences(f"The next try could not begin: {error.message}", error.hint)
    later = replace(record, restart_at=time.time() + backoff.refused, hint=hint)
    with contextlib.suppress(GputuiError):  # then it is tried again at the next look
        records.write(paths, later)
