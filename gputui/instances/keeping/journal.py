"""What became of every process of an instance: the table ``runs`` of the user's database.

Each step is written from the record, under the instance's lock, so that what one gputui could not write the
next one makes up for. A database that cannot be written hinders nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from gputui.database import Database
from gputui.errors import GputuiError
from gputui.instances.keeping.availability import WINDOW_SECONDS, Run, availability
from gputui.instances.records import Paths, Record

_PATIENCE = 0.5
"""Seconds for a database that is busy: whoever waits holds an instance's lock."""
_KEPT_SECONDS = 90 * 86400.0
_FRESH_SECONDS = 60.0


_Answer = TypeVar("_Answer")


class Ending(StrEnum):
    """How a run ended."""

    STOPPED = "stopped"
    UNLOADED = "unloaded"
    FAILED = "failed"
    REBOOTED = "lost: reboot"
    UNSEEN = "lost: unseen"


_BY_ITSELF = frozenset({Ending.STOPPED, Ending.UNLOADED, Ending.REBOOTED})
"""Endings with which an instance is wanted no more."""


class Journal:
    """The runs in a state directory. Every call may block shortly, from any thread; none raises."""

    def __init__(self, paths: Paths) -> None:
        self._file = paths.state_dir / "gputui.db"

    def began(self, record: Record) -> None:
        """A process was started, or is ready."""

        def write(connection: sqlite3.Connection) -> None:
            _put(connection, record)
            if record.ready_at is None:
                old = record.started_at - _KEPT_SECONDS
                connection.execute("DELETE FROM runs WHERE started_at < ?", (old,))

        self._within(write)

    def ended(
        self, record: Record, at: float, ending: Ending, noticed: float | None = None
    ) -> None:
        """A process ended at ``at``; ``noticed``: when that was seen, now for None."""
        until = at if ending in _BY_ITSELF else None
        if ending is Ending.UNSEEN:  # it counts as stopped from then on
            until = time.time() if noticed is None else noticed

        def write(connection: sqlite3.Connection) -> None:
            _put(connection, record)
            connection.execute(
                "UPDATE runs SET ended_at = ?, wanted_until = ?, ending = ?, reason = ?"
                " WHERE name = ? AND pid = ? AND start_ticks = ? AND boot_id = ?"
                " AND ended_at IS NULL",
                (at, until, ending, record.failure or "", *_key(record)),
            )

        self._within(write)

    def dismissed(self, name: str, at: float) -> None:
        """The user stopped an instance that had failed: it is wanted no more."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE runs SET wanted_until = ? WHERE name = ?"
                " AND ended_at IS NOT NULL AND wanted_until IS NULL",
                (at, name),
            )

        self._within(write)

    def runs(self, live: Iterable[Record], since: float) -> Mapping[str, list[Run]]:
        """The runs of all instances that were wanted at ``since`` in Unix time or later, by name."""
        alive = {_key(record) for record in live}

        def read(connection: sqlite3.Connection) -> Mapping[str, list[Run]]:
            found: dict[str, list[Run]] = {}
            for row in connection.execute(
                "SELECT * FROM runs WHERE coalesce(wanted_until, ?) >= ? ORDER BY started_at",
                (since, since),
            ):
                key = row["name"], row["pid"], row["start_ticks"], row["boot_id"]
                times = row["started_at"], row["ready_at"], row["ended_at"], row["wanted_until"]
                run = Run(*times, again=bool(row["again"]), alive=key in alive)
                found.setdefault(row["name"], []).append(run)
            return found

        with contextlib.suppress(OSError):
            if self._file.exists():  # who only looks makes no files
                return self._within(read) or {}
        return {}

    def _within(self, act: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """One transaction; None where the database cannot be used."""
        database = Database(self._file, "runs are not being kept", patience=_PATIENCE)
        try:
            with contextlib.suppress(GputuiError), database.transaction() as connection:
                return act(connection)
        finally:
            database.close()
        return None


class Availabilities:
    """The availability of all instances, computed anew once a minute, or when a process changes."""

    def __init__(self, paths: Paths, clock: Callable[[], float] = time.time) -> None:
        self._journal = Journal(paths)
        self._clock = clock
        self._known: Mapping[str, float | None] = {}
        self._of: object = None
        self._at = 0.0

    def fresh(self, records: Iterable[Record]) -> Mapping[str, float | None] | None:
        """What ``read`` would say, where it need not look for that; else None. Never blocks."""
        same = _state(records) == self._of
        return self._known if same and 0 <= self._clock() - self._at < _FRESH_SECONDS else None

    def read(self, records: Iterable[Record]) -> Mapping[str, float | None]:
        """By name, from the records that are there, of which ``records`` are all that live. Blocks."""
        live = tuple(records)
        known = self.fresh(live)
        if known is not None:
            return known
        now = self._clock()
        runs = self._journal.runs(live, now - WINDOW_SECONDS)
        self._known = {name: availability(of, now) for name, of in runs.items()}
        self._of, self._at = _state(live), now
        return self._known


def _state(records: Iterable[Record]) -> tuple[object, ...]:
    """Changes with each process, and when it turns ready."""
    return tuple((*_key(record), record.ready_at) for record in records)


def _key(record: Record) -> tuple[str, int, int, str]:
    return record.name, record.pid, record.start_ticks, record.boot_id


def _put(connection: sqlite3.Connection, record: Record) -> None:
    """A row for the process of a record, as far as the record knows it."""
    again = any(at < record.started_at for at in record.failures)
    connection.execute(
        "INSERT OR IGNORE INTO runs (name, pid, start_ticks, boot_id, started_at, again)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*_key(record), record.started_at, again),
    )
    connection.execute(
        "UPDATE runs SET ready_at = coalesce(ready_at, ?)"
        " WHERE name = ? AND pid = ? AND start_ticks = ? AND boot_id = ?",
        (record.ready_at, *_key(record)),
    )
