"""Switching to a layout, step by step; what is done stays done, and an error says where it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gputui.config import Config
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.instances import lifecycle, locks, records
from gputui.instances.fit.reckoning import Fit
from gputui.instances.locks import Say
from gputui.instances.records import Paths
from gputui.instances.status import InstanceStatus, State
from gputui.instances.switching.layouts import LayoutPlan, find_layout, plan
from gputui.instances.switching.swap import Tell
from gputui.instances.switching.words import AnsweringError
from gputui.instances.switching.work import at_work
from gputui.processes import matches

_Answer = TypeVar("_Answer")


class Acts(Protocol):
    """What a switch needs of the supervisor; every refusal is a GputuiError."""

    @property
    def config(self) -> Config:
        """The configuration of now."""

    @property
    def gpus(self) -> Sequence[GpuIdentity]:
        """The GPUs that are known."""

    async def observe(self) -> tuple[InstanceStatus, ...]:
        """All instances now."""

    async def obstacle(self, name: str, leaving: Sequence[str]) -> GputuiError | None:
        """Why an instance could not start once those in ``leaving`` are gone; None where it could."""

    async def fit(self, name: str, *, leaving: Collection[str], coming: Sequence[str]) -> Fit:
        """Whether one fits once those in ``leaving`` are gone and those in ``coming`` have started."""

    async def start(self, name: str, tell: Tell, *, force: bool) -> None:
        """Start one; returns when its process runs."""

    async def empty(self, name: str, why: str, tell: Tell) -> None:
        """Stop one; returns when its GPU memory is free, too."""

    def wait(self, name: str) -> Coroutine[Any, Any, InstanceStatus]:
        """Its status once it is ready, failed or stopped."""


class StepKind(StrEnum):
    """What a step of a switch is."""

    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    WAITING = "waiting"  # for what the step's words say
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that has just happened to one instance in a switch."""

    kind: StepKind
    name: str
    words: str = ""


Report = Callable[[Step], None]


def no_report(step: Step) -> None:
    """A ``Report`` that tells nobody."""


class SwitchError(GputuiError):
    """A switch that ended half-way; it says what runs, and how to go back."""


@dataclass(slots=True)
class _Progress:
    """What a switch has done so far."""

    layout: str
    report: Report
    broken_off: asyncio.Event
    stopped: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    def tell(self, name: str) -> Tell:
        return lambda words: self.report(Step(StepKind.WAITING, name, words))

    def go_on(self) -> None:
        """Raise GputuiError where the switch is to go no further."""
        if self.broken_off.is_set():
            raise GputuiError("it was broken off")

    async def unless_broken_off(self, waiting: Coroutine[Any, Any, _Answer]) -> _Answer:
        """What ``waiting`` gives. Raises GputuiError once the switch is to go no further."""
        task = asyncio.ensure_future(waiting)
        end = asyncio.ensure_future(self.broken_off.wait())
        try:
            await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
            self.go_on()
            return await task
        finally:
            for done in (task, end):
                done.cancel()
            await asyncio.wait((task, end))
            if not task.cancelled():
                task.exception()  # told already, or of no interest any more

    @property
    def standing(self) -> str:
        """``stopped: split; started: deepseek``; "nothing was changed" at the very beginning."""
        parts = [
            f"{word}: {', '.join(names)}"
            for word, names in (("stopped", self.stopped), ("started", self.started))
            if names
        ]
        return "; ".join(parts) or "nothing was changed"

    @property
    def way_back(self) -> str:
        """The commands that undo it: what was started stops, what was stopped starts."""
        gone = [name for name in self.stopped if name not in self.started]
        lines = [f"gputui stop {' '.join(self.started)}"] if self.started else []
        lines += [f"gputui start {' '.join(gone)}"] if gone else []
        return f"Back: {' && '.join(lines)}" if lines else ""


class Layouts:
    """The configured layouts on one machine. ``acts`` is the supervisor, ``state_dir`` its directory."""

    def __init__(self, acts: Acts, state_dir: Path) -> None:
        self._acts = acts
        self._paths = Paths(state_dir)
        self._switching: asyncio.Event | None = None

    async def all(self) -> tuple[LayoutPlan, ...]:
        """A plan for each layout, in the configuration's order, without obstacles and fits: they tell
        which layout is active."""
        statuses = await self._acts.observe()
        config, gpus = self._acts.config, self._acts.gpus
        return tuple(plan(layout, config, statuses, gpus) for layout in config.layouts)

    async def plan(self, name: str) -> LayoutPlan:
        """What a switch would do now. Raises ConfigError for an unknown layout."""
        config, gpus = self._acts.config, self._acts.gpus
        layout = find_layout(config, name)
        statuses = await self._acts.observe()
        rough = plan(layout, config, statuses, gpus)
        obstacles = await self._obstacles(rough)
        fits = await self._fits(rough, obstacles)
        return plan(layout, config, statuses, gpus, obstacles, fits)

    async def switch(
        self, shown: LayoutPlan, report: Report = no_report, *, force: bool = False
    ) -> LayoutPlan:
        """Carry out a plan that the user has seen; the plan that was carried out.

        Stops all at once, waits for their GPU memory, then starts one after the other, each ready before
        the next, so that the next fits beside it. Raises AnsweringError, before anything changed, where an
        instance that has to stop is answering (``force`` breaks that off); SwitchError where it ends
        half-way; GputuiError where it cannot begin, or would stop what the user has not seen.
        """
        async with self._alone(shown.name) as broken_off:
            progress = _Progress(shown.name, report, broken_off)
            now = await self.plan(shown.name)
            _refuse(now, shown)
            if not force:
                await self._refuse_busy(now)
            with _standing(progress):
                await self._stop_all(now, progress)
                await self._start_all(now, progress, force=force)
        return now

    def break_off(self) -> None:
        """End a switch of this session after the step that it is at; what is done stays done."""
        if self._switching is not None:
            self._switching.set()

    async def _obstacles(self, rough: LayoutPlan) -> Mapping[str, GputuiError]:
        found = {
            one.name: await self._acts.obstacle(one.name, rough.ending) for one in rough.starts
        }
        return {name: error for name, error in found.items() if error is not None}

    async def _fits(
        self, rough: LayoutPlan, obstacles: Mapping[str, GputuiError]
    ) -> Mapping[str, Fit]:
        names = [one.name for one in rough.starts if one.name not in obstacles]
        return {
            name: await self._acts.fit(name, leaving=rough.ending, coming=names[:place])
            for place, name in enumerate(names)
        }

    async def _refuse_busy(self, now: LayoutPlan) -> None:
        works = await at_work(await asyncio.to_thread(self._running, now.ending))
        if works:
            raise AnsweringError(
                f"layout {now.name}: {'; '.join(work.words for work in works)}",
                "Wait, or break the answers off: --force.",
            )

    def _running(self, names: Sequence[str]) -> list[records.Record]:
        """The records of those of them that run."""
        known = records.read_all(self._paths.state_dir)
        found = (known[name] for name in names if name in known)
        return [record for record in found if matches(record.identity)]

    async def _stop_all(self, now: LayoutPlan, progress: _Progress) -> None:
        async def stop(name: str) -> None:
            progress.report(Step(StepKind.STOPPING, name))
            progress.stopped.append(name)
            why = f"makes room for layout {now.name}"
            try:
                await self._acts.empty(name, why, progress.tell(name))
            except GputuiError:
                if await asyncio.to_thread(self._running, (name,)):
                    progress.stopped.remove(name)
                raise
            progress.report(Step(StepKind.STOPPED, name))

        results = await asyncio.gather(*map(stop, now.ending), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _start_all(self, now: LayoutPlan, progress: _Progress, *, force: bool) -> None:
        for one in now.stays:  # what still loads takes more than it has now
            await self._ready(one.name, progress)
        for arriving in now.starts:
            progress.go_on()
            progress.report(Step(StepKind.STARTING, arriving.name))
            try:
                await self._acts.start(arriving.name, progress.tell(arriving.name), force=force)
            finally:  # one that was broken off may have got that far
                if await asyncio.to_thread(self._running, (arriving.name,)):
                    progress.started.append(arriving.name)
            await self._ready(arriving.name, progress)

    async def _ready(self, name: str, progress: _Progress) -> None:
        status = await progress.unless_broken_off(self._acts.wait(name))
        if status.state is State.FAILED:
            progress.started = [one for one in progress.started if one != name]
            raise GputuiError(f"{name} failed: {status.last_error}", status.hint)
        if status.state is not State.READY:
            raise GputuiError(f"{name} was stopped in the meantime")
        if name in progress.started:
            progress.report(Step(StepKind.READY, name, status.url))

    @contextlib.asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[asyncio.Event]:
        """Hold the lock of all layouts for the length of the block, which gets what breaks it off."""
        async with lifecycle.taking(self._lock(name)):
            self._switching = asyncio.Event()
            try:
                yield self._switching
            finally:
                self._switching = None

    def _lock(self, name: str) -> contextlib.AbstractContextManager[Say]:
        return locks.hold(self._paths.layout_lock, name, refusal=lambda by: _taken(name, by))


def _taken(name: str, holder: locks.Holder | None) -> GputuiError:
    """The refusal where another gputui is at a layout."""
    who = f"gputui, pid {holder.pid}, switches to layout {holder.action}" if holder else ""
    return GputuiError(
        f"layout {name}: {who or 'another gputui switches layouts'}", "Wait a moment."
    )


def _refuse(now: LayoutPlan, shown: LayoutPlan) -> None:
    """Raise GputuiError where the plan cannot be carried out, or stops more than was shown."""
    if now.cannot:
        one = now.cannot[0]
        reason = one.reason if one.reason.startswith(one.name) else f"{one.name}: {one.reason}"
        raise GputuiError(f"layout {now.name}: {reason}", one.hint)
    news = [name for name in now.ending if name not in shown.ending]
    if news:
        raise GputuiError(
            f"layout {now.name}: {', '.join(news)} would stop now, too; nothing was changed",
            "What runs has changed: look at the plan again.",
        )


@contextlib.contextmanager
def _standing(progress: _Progress) -> Iterator[None]:
    """An error in the block, and what is broken off, says where it stands."""
    try:
        yield
    except GputuiError as error:
        raise SwitchError(
            f"layout {progress.layout} is not complete ({progress.standing}): {error.message}",
            f"{error.hint} {progress.way_back}".strip(),
        ) from error
    except asyncio.CancelledError:
        raise asyncio.CancelledError(
            f"layout {progress.layout} is broken off ({progress.standing})", progress.way_back
        ) from None
