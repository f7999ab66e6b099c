"""The list of events: what began and what ended, kept in the user's database.

Several gputuis on one rig see the same alerts and keep one list. For each rule and subject the newest
row says how it is: whoever sees the same adds nothing. All of them hold a lock together while they
watch, so whoever finds it free is alone, and ends what others left open when they died.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.alerts.engine import Change, Ending, Event
from gputui.alerts.rules import Severity
from gputui.database import Database
from gputui.errors import GputuiError
from gputui.files import make_private
from gputui.text import clean_line

if TYPE_CHECKING:
    import sqlite3

MOST_ROWS = 10_000
"""Rows that are kept; the newest, and what older ones began and the newest do not end."""
_MOST_WAITING = 1000
_MOST_OF_SESSION = 500
_SHARE_SECONDS = 2.0
_BEGAN_BEFORE = (
    "(state = 'firing' AND id IN"
    " (SELECT max(id) FROM events WHERE id <= :old GROUP BY rule, subject_key))"
)
"""What fired when row ``:old`` was the newest: without it an end, or what still fires, is lost."""
_WORDS = ("rule", "subject", "severity", "state", "message", "subject_key")

Kept = Callable[[Event, bool], None]
"""Told of every event on the thread that keeps it, and whether it was news to the list."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One line of the list: an alert from its beginning to its end, in Unix time.

    ``ended_at`` is None while it fires. ``ending`` says how it ended, as Ending has it.
    """

    began_at: float
    ended_at: float | None
    rule: str
    subject: str
    severity: str
    message: str
    ending: str = ""

    @property
    def lasted(self) -> float | None:
        """Seconds from its beginning to its end, None where that was not seen."""
        if self.ended_at is None or self.ended_at <= self.began_at:
            return None
        return self.ended_at - self.began_at


@dataclass(frozen=True, slots=True)
class _Row:
    at: float
    rule: str
    subject: str
    severity: str
    state: str
    message: str
    subject_key: str

    @classmethod
    def of(cls, event: Event) -> _Row:
        rule, subject = event.rule.name, event.subject
        said = event.severity, event.change, event.message
        return cls(event.at, rule, subject.name, *said, clean_line(subject.key))


def incidents_of(rows: Iterable[_Row]) -> list[Incident]:
    """The incidents of rows that come newest first: those that fire, the worst first, then the others.

    Two beginnings without an end between them are one: another session kept what waits here.
    """
    ends: dict[tuple[str, str], _Row] = {}
    begun: dict[tuple[str, str], int] = {}
    found: list[Incident] = []
    for row in rows:
        key = row.rule, row.subject_key
        if row.state == Change.RESOLVED:
            ends[key] = row
            begun.pop(key, None)
            continue
        end = ends.pop(key, None)
        if key in begun:
            found[begun[key]] = replace(found[begun[key]], began_at=row.at, message=row.message)
            continue
        begun[key] = len(found)
        found.append(
            Incident(
                row.at,
                end.at if end else None,
                row.rule,
                row.subject,
                row.severity,
                row.message,
                end.message.rpartition(": ")[2].partition(" after ")[0] if end else "",
            )
        )
    return sorted(found, key=_rank)


def _rank(incident: Incident) -> tuple[int, float]:
    if incident.ended_at is not None:
        return 2, 0.0
    return 0 if incident.severity == Severity.CRITICAL else 1, -incident.began_at


def _incidents_of_events(events: Sequence[Event]) -> list[Incident]:
    return incidents_of(_Row.of(event) for event in reversed(events))


def _merged(kept: list[Incident], aside: list[Incident]) -> list[Incident]:
    if not aside:
        return kept
    newest_first = sorted([*kept, *aside], key=lambda incident: -incident.began_at)
    return sorted(newest_first, key=_rank)


class Store:
    """The table ``events``. Every call may block and raises GputuiError, from one thread at a time."""

    def __init__(self, state_dir: Path) -> None:
        self._database = Database(state_dir / "gputui.db", "events are not being kept")
        self._lock_file = state_dir / "alerts.lock"
        self._lock: int | None = None

    def add(self, event: Event) -> bool:
        """Keep an event; whether it was news."""
        with self._database.transaction() as connection:
            self._join(connection)
            return _insert(connection, _Row.of(event), event.value)

    def rows(self, limit: int) -> list[_Row]:
        """The newest ``limit`` rows, newest first, and after them what had begun before and not ended."""
        with self._database.transaction() as connection:
            self._join(connection)
            first_left_out = connection.execute(
                "SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?", (limit,)
            ).fetchone()
            found = connection.execute(
                f"SELECT * FROM events WHERE id > :old OR {_BEGAN_BEFORE} ORDER BY id DESC",  # noqa: S608
                {"old": first_left_out["id"] if first_left_out else 0},
            ).fetchall()
        return [_read(row) for row in found]

    def leave(self, events: Sequence[Event]) -> None:
        """End what still fires, where nobody else watches it; and watch no more."""
        try:
            if events and self._lock is not None and _try_alone(self._lock):
                with self._database.transaction() as connection:
                    for event in events:
                        _insert(connection, _Row.of(event), event.value)
        finally:
            self._database.close()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _join(self, connection: sqlite3.Connection) -> None:
        """Watch together with the others; the first of them ends what was left open."""
        if self._lock is not None:
            return
        make_private(self._lock_file.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        with contextlib.ExitStack() as undo:
            lock = os.open(self._lock_file, flags, 0o600)
            undo.callback(os.close, lock)
            if _try_alone(lock):
                _end_all(connection)
            _share(lock)
            undo.pop_all()
        self._lock = lock


def _try_alone(lock: int) -> bool:
    """Whether nobody else holds the lock; then it is held alone."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _share(lock: int) -> None:
    """Hold the lock with others. Raises BlockingIOError where one of them keeps it for itself."""
    give_up = time.monotonic() + _SHARE_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(0.02)


def _insert(connection: sqlite3.Connection, row: _Row, value: float | None) -> bool:
    """Add a row where it changes what the newest one of its rule and subject says."""
    added = connection.execute(
        "INSERT INTO events (at, rule, subject, severity, state, message, subject_key, value)"
        " SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE ((SELECT state FROM events WHERE rule = ?"
        " AND subject_key = ? ORDER BY id DESC LIMIT 1) IS 'firing') = (? = 'resolved')",
        (*astuple(row), value, row.rule, row.subject_key, row.state),
    )
    newest = connection.execute("SELECT max(id) AS id FROM events").fetchone()["id"] or 0
    connection.execute(
        f"DELETE FROM events WHERE id <= :old AND NOT {_BEGAN_BEFORE}",  # noqa: S608
        {"old": newest - MOST_ROWS},
    )
    return added.rowcount > 0


def _read(row: sqlite3.Row) -> _Row:
    words = {name: clean_line(str(row[name])) for name in _WORDS}
    return _Row(at=float(row["at"]), **words)


def _end_all(connection: sqlite3.Connection) -> None:
    """End what nobody watches any more, at the moment it began: when it ended is not known."""
    open_rows = connection.execute(
        "SELECT * FROM events WHERE state = ? AND id IN"
        " (SELECT max(id) FROM events GROUP BY rule, subject_key) ORDER BY id",
        (Change.FIRING,),
    ).fetchall()
    for r in open_rows:
        row = _read(r)
        message = f"{row.message}: {Ending.UNWATCHED}"
        _insert(connection, replace(row, state=Change.RESOLVED, message=message), r["value"])


class EventLog:
    """Keeps events without ever blocking who sees them; ``store`` None keeps those of this session.

    ``kept`` is told of each event on this log's thread. What cannot be kept is tried again with the
    next one; ``problem`` says why, None while all is well.
    """

    def __init__(self, store: Store | None, kept: Kept | None = None) -> None:
        self.problem: GputuiError | None = None
        self._store = store
        self._kept = kept
        self._busy = threading.Lock()
        self._waiting: queue.Queue[Event | tuple[Event, ...]] = queue.Queue(_MOST_WAITING)
        self._unkept: deque[Event] = deque(maxlen=_MOST_WAITING)
        self._session: deque[Event] = deque(maxlen=_MOST_OF_SESSION)
        self._aside: deque[Event] = deque(maxlen=_MOST_OF_SESSION)
        self._thread: threading.Thread | None = None

    @property
    def keeps(self) -> bool:
        """Whether events outlive this session."""
        return self._store is not None

    def put(self, event: Event, keep: bool = True) -> None:
        """Keep an event, soon; else only list it in this session. From any thread, one at a time."""
        self._session.append(event)
        if self._store is None:
            return
        if not keep:
            self._aside.append(event)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="alert-events", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):  # a disk that stands still for a thousand events
            self._waiting.put_nowait(event)

    def incidents(self, limit: int = 500) -> list[Incident]:
        """The newest incidents. Blocks; where the database cannot be read, those of this session."""
        with self._busy:
            if self._store is not None:
                try:
                    kept = self._store.rows(2 * limit)
                    unkept = [_Row.of(event) for event in reversed(self._unkept.copy())]
                    aside = _incidents_of_events(self._aside.copy())
                    return _merged(incidents_of([*unkept, *kept]), aside)[:limit]
                except GputuiError as error:
                    self.problem = error
        return _incidents_of_events(self._session.copy())[:limit]

    def close(self, last: Sequence[Event], wait: float = 2.0) -> None:
        """Keep what waits and how it ends, within ``wait`` seconds. Blocks so long at most."""
        if self._store is None:
            return
        if self._thread is None:
            self._store.leave(())
            return
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(tuple(last))
        self._thread.join(wait)

    def _run(self) -> None:
        while isinstance(item := self._waiting.get(), Event):
            self._unkept.append(item)
            news = self._keep_all()
            if self._kept is not None:
                self._kept(item, news)
        with self._busy, contextlib.suppress(GputuiError):
            if self._store is not None:
                self._store.leave(item)

    def _keep_all(self) -> bool:
        """Keep all that is not kept yet; whether the newest was news, as far as is known."""
        news = True
        with self._busy:
            while self._unkept and self._store is not None:
                try:
                    news = self._store.add(self._unkept[0])
                except GputuiError as error:
                    self.problem = error
                    return True
                self._unkept.popleft()
        self.problem = None
        return news
