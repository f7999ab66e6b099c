"""Power limits by the time of day: ``[[power_limits]]`` applied where they begin and end."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gputui.config import PowerLimitConfig
from gputui.config.power_limits import holds_at, resolve_power_limits, window_words
from gputui.errors import GputuiError
from gputui.gpu.metrics import TIER_SECONDS, Tier
from gputui.gpu.power_limit import (
    LimitChange,
    LimitRefusedError,
    LimitSetter,
    PowerRange,
    power_range,
)
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceStatus
from gputui.text import error_words

RETRY_SECONDS = 60.0
"""Until a limit is tried again that a GPU or driver in trouble did not take."""

HANGS_AFTER_SECONDS = 30.0
"""Until a call into the driver that does not come back is told."""

_SAME_WATTS = 0.5
_STALE_SECONDS = 2 * TIER_SECONDS[Tier.SLOW]
"""For so long a sample may still have the limit of before a change: it is not read at every one."""


def due(tables: Sequence[PowerLimitConfig], local: datetime) -> PowerLimitConfig | None:
    """The one of a GPU's tables that holds at this local time, None where none does."""
    return next((table for table in tables if holds_at(table, local.hour, local.minute)), None)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the user should be told: a limit that was changed, or (``failed``) why one was not."""

    message: str
    hint: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A GPU's schedule now: its tables, the one that is due (None: none is), and why it is not applied.

    ``in_force``: the GPU has the limit of that one, as far as is known; else ``words`` say what it has.
    """

    gpu: GpuIdentity
    tables: tuple[PowerLimitConfig, ...]
    now: PowerLimitConfig | None
    trouble: str = ""
    in_force: bool = False
    words: str = ""


class PowerSchedule:
    """A watcher of samples that sets limits where a window begins or ends, on a thread for each GPU.

    At the start and at each of those boundaries, and where a GPU that was reset, or whose driver was
    loaded again, lost its limit by that; at no other time: a limit that is set by hand in between stands
    until the next one. Where the last window ends, the limit that stood before the first
    (the table's own, where its owner had set that) is given back, the GPU's default where that is not
    known. Nothing is given back when the program ends: models run on under the limits they had, and a
    program that crashes could give nothing back either; ``memory`` (a private file) keeps what stood
    before, for the next one to do it, whether or not the GPU still has a table.

    ``now`` is the local clock. ``run`` carries out a call into the driver, which may hang: by default a
    daemon thread of that GPU does. A GPU in trouble is waited for.
    """

    def __init__(
        self,
        tables: Sequence[PowerLimitConfig],
        setter: LimitSetter,
        *,
        memory: Path | None = None,
        file: Path | None = None,
        held: str = "",
        now: Callable[[], datetime] = datetime.now,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        from gputui.power.remembered import Remembered

        self._tables = tables
        self._setter = setter
        self._remembered = Remembered(memory)
        self._file = file
        self._held = held
        self._now = now
        self._clock = clock
        self._run = run
        self._lock = threading.Lock()
        self._identities: tuple[GpuIdentity, ...] | None = None
        self._by_uuid: Mapping[str, tuple[PowerLimitConfig, ...]] = {}
        self._states: dict[str, _State] = {}
        self._notices: list[Notice] = []
        self._left: frozenset[str] | None = None  # what an earlier program has not given back

    def set_tables(self, tables: Sequence[PowerLimitConfig]) -> None:
        """The tables from now on, from any thread; one that says the same as before is the same.

        A GPU whose table is gone gets back the limit of before, as at the end of a window.
        """
        known = list(self._tables)
        with self._lock:
            self._tables = [known[known.index(t)] if t in known else t for t in tables]
            self._identities = None

    def sampled(self, snapshot: Snapshot) -> None:
        """Begin what is due, for the GPUs that answer."""
        if self._left is None:
            self._left = self._remembered.uuids()
        if not (self._tables or self._left or self._states):
            return
        if snapshot.problem is None:
            self._resolve(snapshot.identities)
        gpus = snapshot.gpus if snapshot.problem is None else ()
        answer = {gpu.identity.uuid: gpu for gpu in gpus if gpu.problem is None}
        for uuid in self._states.keys() - answer.keys():
            self._states[uuid].lost = True
        local = self._now()
        held = dict.fromkeys([*self._left, *self._states], ())
        for uuid, tables in {**held, **self._by_uuid}.items():
            if (gpu := answer.get(uuid)) is None:
                continue
            state, table = self._state(uuid), due(tables, local)
            state.look(gpu, table, self._clock())
            if not self._held:
                self._apply(gpu, state, table)

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        """Instances make no difference to it."""

    def take_notices(self) -> tuple[Notice, ...]:
        """What is to be told since the last time."""
        with self._lock:
            notices, self._notices = tuple(self._notices), []
        return notices

    def plan(self) -> tuple[Planned, ...]:
        """The schedule of each GPU that has one; empty before the first sample."""
        local = self._now()
        with self._lock:
            return tuple(
                self._planned(gpu, tables, due(tables, local))
                for gpu in self._identities or ()
                if (tables := self._by_uuid.get(gpu.uuid))
            )

    def _planned(
        self,
        gpu: GpuIdentity,
        tables: tuple[PowerLimitConfig, ...],
        table: PowerLimitConfig | None,
    ) -> Planned:
        state = self._states.get(gpu.uuid, _State())
        trouble = self._held or state.trouble
        words = "" if table is None or trouble else state.words(table)
        return Planned(gpu, tables, table, trouble, bool(words) and state.has(table), words)

    def _state(self, uuid: str) -> _State:
        with self._lock:
            return self._states.setdefault(uuid, _State())

    def _resolve(self, identities: tuple[GpuIdentity, ...]) -> None:
        """Which table is for which GPU; what is wrong with them is told once."""
        if identities == self._identities:
            return
        of = self._tables
        by_uuid, problems = resolve_power_limits(of, identities, self._file)
        with self._lock:
            if self._tables is not of:  # others came meanwhile: at the next sample
                return
            first = self._identities is None
            self._identities, self._by_uuid = identities, by_uuid
            if first:
                self._notices += [Notice(p.message, p.hint, failed=True) for p in problems]

    def _apply(self, gpu: GpuSample, state: _State, table: PowerLimitConfig | None) -> None:
        now = self._clock()
        if state.busy:
            if now - state.since >= HANGS_AFTER_SECONDS and not state.trouble:
                self._tell_hanging(gpu.identity, state)
            return
        if (state.begun and table is state.table and not state.undone) or now < state.retry_at:
            return
        state.busy, state.since = True, now
        (self._run or state.worker.run)(lambda: self._change(gpu, state, table))

    def _tell_hanging(self, gpu: GpuIdentity, state: _State) -> None:
        state.trouble = f"GPU {gpu.index}: the driver has not answered to a power limit yet"
        self._tell(Notice(state.trouble, "It is waited for; other GPUs go on.", failed=True))

    def _change(self, gpu: GpuSample, state: _State, table: PowerLimitConfig | None) -> None:
        """Carry out one boundary; whatever goes wrong is told, and never raised."""
        done = True
        try:
            if table is None:
                self._give_back(gpu, state)
            else:
                self._hold(gpu, state, table)
        except LimitRefusedError as error:
            self._tell_failure(state, error, again=False)
        except GputuiError as error:
            self._tell_failure(state, error, again=True)
            state.retry_at = self._clock() + RETRY_SECONDS
            done = False
        except Exception as error:  # noqa: BLE001  the thread's boundary: told, like any other
            words = GputuiError(error_words(error), "Please report this.")
            self._tell_failure(state, words, again=False)
        else:
            state.trouble = ""
        if done:
            state.begun, state.table, state.undone = True, table, False
        state.busy = False  # last: from here on a sample may begin the next boundary

    def _hold(self, gpu: GpuSample, state: _State, table: PowerLimitConfig) -> None:
        limits = power_range(gpu)
        kept = self._remembered.of(gpu.identity.uuid, limits.limit)
        if not state.holding:  # what is the table's already is its owner's, and stays at the end
            state.before = kept.before if kept else limits.limit
        if not _same(limits.limit, table.watts):
            change = self._set(gpu.identity, state, limits, table.watts)
            if not state.holding and kept is None and change.before is not None:
                state.before = change.before
            self._tell(Notice(f"{change.words} ({window_words(table)})"))
        state.holding = True
        self._remembered.keep(gpu.identity.uuid, state.before, table.watts)

    def _give_back(self, gpu: GpuSample, state: _State) -> None:
        limits = power_range(gpu)
        if not state.begun:  # the start of the program: an earlier one may have left its limit
            kept = self._remembered.of(gpu.identity.uuid, limits.limit)
            state.holding, state.before = kept is not None, kept.before if kept else None
        if state.holding:
            watts = _former(gpu.identity, limits, state.before)
            if not _same(limits.limit, watts):
                change = self._set(gpu.identity, state, limits, watts)
                self._tell(Notice(f"{change.words} (the window is over)"))
        state.holding = False
        self._remembered.forget(gpu.identity.uuid)

    def _set(
        self, gpu: GpuIdentity, state: _State, limits: PowerRange, watts: float
    ) -> LimitChange:
        change = self._setter(gpu, watts)
        state.changed(limits.limit, watts, self._clock() + _STALE_SECONDS)
        return change

    def _tell(self, notice: Notice) -> None:
        with self._lock:
            self._notices.append(notice)

    def _tell_failure(self, state: _State, error: GputuiError, *, again: bool) -> None:
        """Once for each GPU and kind of trouble: a refusal stays one at every boundary."""
        kind = "" if again else "refused"
        if state.told != (kind or error.message):
            self._tell(Notice(error.message, error.hint, failed=True))
        state.told, state.trouble = kind or error.message, error.message


@dataclass(slots=True)
class _State:
    """What was done with one GPU. ``table`` was applied last, once it has ``begun``; ``before`` is the
    limit to give back while ``holding``; ``undone``: a reset took its limit away. ``busy`` is a call
    into the driver, ``since`` when. ``limit`` is what the GPU has, None where that is not known."""

    begun: bool = False
    table: PowerLimitConfig | None = None
    holding: bool = False
    before: float | None = None
    undone: bool = False
    busy: bool = False
    since: float = 0.0
    retry_at: float = field(default=float("-inf"))
    trouble: str = ""
    told: str = ""
    worker: _Worker = field(default_factory=lambda: _Worker())
    lost: bool = False
    limit: float | None = None
    old: float | None = None  # until ``old_until`` a sample with this limit is of before the change
    old_until: float = field(default=float("-inf"))
    reset_until: float = field(default=float("-inf"))
    counter: float | None = None

    def look(self, gpu: GpuSample, table: PowerLimitConfig | None, now: float) -> None:
        """Take in a sample of a GPU that answers.

        A GPU that was away, or whose counter of energy went back, may have been reset: a limit that is
        another soon after is not one that was set by hand.
        """
        counter, limit = gpu.get("total_energy_consumption"), gpu.get("power_limit")
        went_back = None not in (counter, self.counter) and (counter or 0) < (self.counter or 0)
        if self.lost or went_back:
            self.reset_until, self.old_until = now + _STALE_SECONDS, float("-inf")
        self.lost, self.counter = False, self.counter if counter is None else counter
        if limit is None or (now < self.old_until and _same(self.old, limit)):
            return
        moved = self.limit is not None and not _same(self.limit, limit)
        if moved and now < self.reset_until and table is not None and table is self.table:
            self.undone = not _same(limit, table.watts)
        self.limit = limit

    def changed(self, before: float | None, watts: float, until: float) -> None:
        """A limit was set just now."""
        self.limit, self.old, self.old_until = watts, before, until

    def has(self, table: PowerLimitConfig | None) -> bool:
        """Whether the GPU has that table's limit."""
        return table is not None and not self.lost and _same(self.limit, table.watts)

    def words(self, table: PowerLimitConfig) -> str:
        """What there is of the table that is due."""
        if self.has(table):
            return "in force"
        applied = self.begun and self.table is table and not (self.undone or self.busy)
        if not applied or self.lost or self.limit is None:
            return "due, not applied yet" if not applied else "applied; the GPU does not answer"
        return f"limit is now {self.limit:g} W (set by hand)"


def _same(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) < _SAME_WATTS


def _former(gpu: GpuIdentity, limits: PowerRange, before: float | None) -> float:
    """The limit to give back. Raises LimitRefusedError where neither it nor the default is known."""
    watts = limits.default if before is None else before
    if watts is None:
        raise LimitRefusedError(
            f"GPU {gpu.index}: its limit stays, since its default is not known",
            "Set it by hand: gputui power-limit",
        )
    return watts


class _Worker:
    """One daemon thread, begun at the first call: what hangs in it holds neither caller nor exit."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, call: Callable[[], None]) -> None:
        """Carry it out soon."""
        self._calls.put(call)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="power-limits", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                self._calls.get()()
