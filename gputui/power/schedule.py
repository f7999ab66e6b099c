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
from gputui.gpu.power_limit import LimitRefusedError, LimitSetter, PowerRange, power_range
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceStatus
from gputui.power.remembered import Remembered
from gputui.text import clean_line

RETRY_SECONDS = 60.0
"""Until a limit is tried again that a GPU or driver in trouble did not take."""

_SAME_WATTS = 0.5


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
    """A GPU's schedule now: its tables, the one in force (None: none is), and why it is not applied."""

    gpu: GpuIdentity
    tables: tuple[PowerLimitConfig, ...]
    now: PowerLimitConfig | None
    trouble: str = ""


class PowerSchedule:
    """A watcher of samples that sets limits where a window begins or ends, on a thread of its own.

    At the start and at each of those boundaries, and at no other time: a limit that is set by hand in
    between stands until the next one. Where the last window ends, the limit that stood before the first
    (the table's own, where its owner had set that) is given back, the GPU's default where that is not
    known. Nothing is given back when the program ends: models run on under the limits they had, and a
    program that crashes could give nothing back either; ``memory`` (a private file) keeps what stood
    before, for the next one to do it.

    ``now`` is the local clock. ``run`` carries out a call into the driver, which may hang: by default a
    daemon thread does. A GPU in trouble is waited for.
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
        self._tables = tables
        self._setter = setter
        self._remembered = Remembered(memory)
        self._file = file
        self._held = held
        self._now = now
        self._clock = clock
        self._run = run or _Worker().run
        self._lock = threading.Lock()
        self._identities: tuple[GpuIdentity, ...] | None = None
        self._by_uuid: Mapping[str, tuple[PowerLimitConfig, ...]] = {}
        self._states: dict[str, _State] = {}
        self._notices: list[Notice] = []

    def sampled(self, snapshot: Snapshot) -> None:
        """Begin what is due, for the GPUs that answer."""
        if not self._tables or snapshot.problem is not None:
            return
        self._resolve(snapshot.identities)
        local = self._now()
        for gpu in snapshot.gpus:
            tables = self._by_uuid.get(gpu.identity.uuid)
            if tables and gpu.problem is None and not self._held:
                self._apply(gpu, due(tables, local))

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
                Planned(
                    gpu,
                    tables,
                    due(tables, local),
                    self._held
                    or (self._states[gpu.uuid].trouble if gpu.uuid in self._states else ""),
                )
                for gpu in self._identities or ()
                if (tables := self._by_uuid.get(gpu.uuid))
            )

    def _resolve(self, identities: tuple[GpuIdentity, ...]) -> None:
        """Which table is for which GPU; what is wrong with them is told once."""
        if identities == self._identities:
            return
        by_uuid, problems = resolve_power_limits(self._tables, identities, self._file)
        with self._lock:
            first = self._identities is None
            self._identities, self._by_uuid = identities, by_uuid
            if first:
                self._notices += [Notice(p.message, p.hint, failed=True) for p in problems]

    def _apply(self, gpu: GpuSample, table: PowerLimitConfig | None) -> None:
        state = self._states.setdefault(gpu.identity.uuid, _State())
        if state.busy or (state.begun and table is state.table) or self._clock() < state.retry_at:
            return
        state.busy = True
        self._run(lambda: self._change(gpu, state, table))

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
            words = GputuiError(
                clean_line(f"{type(error).__name__}: {error}"), "Please report this."
            )
            self._tell_failure(state, words, again=False)
        else:
            state.trouble = ""
        if done:
            state.begun, state.table = True, table
        state.busy = False  # last: from here on a sample may begin the next boundary

    def _hold(self, gpu: GpuSample, state: _State, table: PowerLimitConfig) -> None:
        limits = power_range(gpu)
        kept = self._remembered.of(gpu.identity.uuid, limits.limit)
        if not state.holding:  # what is the table's already is its owner's, and stays at the end
            state.before = kept.before if kept else limits.limit
        if not _same(limits.limit, table.watts):
            change = self._setter(gpu.identity, table.watts)
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
                change = self._setter(gpu.identity, watts)
                self._tell(Notice(f"{change.words} (the window is over)"))
        state.holding = False
        self._remembered.forget(gpu.identity.uuid)

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
    limit to give back while ``holding``."""

    begun: bool = False
    table: PowerLimitConfig | None = None
    holding: bool = False
    before: float | None = None
    busy: bool = False
    retry_at: float = field(default=float("-inf"))
    trouble: str = ""
    told: str = ""


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
