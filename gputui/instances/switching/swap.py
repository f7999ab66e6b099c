"""Making room for an instance: of a group one runs at a time, and what leaves gives its memory back first.

Every start and restart goes through here. It takes the group's lock, then the locks of all instances
concerned in the order of their names, so that any number of gputuis can do so at once and none waits
for another in a circle. A wait for an answer to end holds the group's lock alone: whoever dies in it
leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from gputui.config import Config, InstanceConfig
from gputui.config.arrangements import when_busy
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, MemoryReader
from gputui.instances import adoption, lifecycle, locks, records
from gputui.instances.keeping import retries
from gputui.instances.lifecycle import NotRunningError
from gputui.instances.locks import Say
from gputui.instances.records import Paths, Record
from gputui.instances.switching import release
from gputui.instances.switching.release import Holding
from gputui.instances.switching.words import are, group_taken, refusal, waiting_words, way_back
from gputui.instances.switching.work import at_work
from gputui.llama.command import model_path
from gputui.models.files import model_bytes
from gputui.processes import matches

Tell = Callable[[str], None]
"""Is told in words what is waited for now."""

_LOCK_SECONDS = 1.0
_POLL = 0.4


def quiet(words: str) -> None:
    """A ``Tell`` that tells nobody."""


class GaveUpError(GputuiError):
    """The user has given up a wait; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a start stands on. ``force``: an answer that is in the way is broken off."""

    config: Config
    gpus: Sequence[GpuIdentity] = ()
    tell: Tell = quiet
    force: bool = False


@dataclass(slots=True)
class _Notes:
    """Says one thing in all the locks that are held for a start, and to who asked for it."""

    tell: Tell
    says: list[Say] = field(default_factory=list)
    last: str = ""

    async def __call__(self, words: str) -> None:
        if words == self.last:
            return
        self.last = words
        for say in self.says:
            await asyncio.to_thread(say, words)
        if words:
            self.tell(words)


class Swapper:
    """Makes room for starts. ``stop`` stops a running instance whose lock is held."""

    def __init__(
        self, paths: Paths, memory: MemoryReader, stop: Callable[[str], Awaitable[None]]
    ) -> None:
        self._paths = paths
        self._memory = memory
        self._stop = stop
        self._waits: dict[str, asyncio.Event] = {}
        self._displaced: dict[str, tuple[str, ...]] = {}

    def in_the_way(self, instance: InstanceConfig, config: Config) -> tuple[str, ...]:
        """What runs of an instance's group, and so ends where it starts."""
        return tuple(record.name for record in _alive(self._concerned(instance, "start", config)))

    def way_back(self, name: str) -> str:
        """How to have again what made room for an instance in this session, "" where nothing did."""
        return way_back(self._displaced.get(name, ()))

    def forget(self, *names: str) -> None:
        """What made room for them is of no interest any more: the swap was a success, or is long ago."""
        for name in names:
            self._displaced.pop(name, None)

    def give_up(self, name: str | None = None) -> bool:
        """End the wait of an instance (None: of all) for an answer to end; False where none waits here."""
        waits = [wait for of, wait in self._waits.items() if name in (None, of)]
        for wait in waits:
            wait.set()
        return bool(waits)

    @contextlib.asynccontextmanager
    async def room_for(
        self, instance: InstanceConfig, action: str, ground: Ground
    ) -> AsyncIterator[None]:
        """Hold the instance's lock, with all that is in its way stopped, for the length of the block.

        ``action`` is ``start`` or ``restart``; the latter also stops the instance itself. Raises
        AnsweringError, GaveUpError, and GputuiError where it cannot be started as things are. An error after
        something was stopped, the block's own too, says so, and how to go back.
        """
        self.forget(instance.name)
        await asyncio.to_thread(adoption.mend, self._paths)  # who runs is read from the records
        notes = _Notes(ground.tell)
        async with AsyncExitStack() as stack:
            if instance.group:
                lock = self._group(instance.name, instance.group)
                notes.says.append(await stack.enter_async_context(lifecycle.taking(lock)))
            kept = len(notes.says)
            while True:
                async with AsyncExitStack() as locked:
                    going = await self._lock_all(instance, action, ground.config, locked, notes)
                    if going is not None and not await self._busy(instance, going, ground):
                        stopped: list[str] = []
                        async with self._standing(instance.name, stopped):
                            await self._make_room(instance, going, stopped, notes, ground)
                            yield
                        others = tuple(name for name in stopped if name != instance.name)
                        if others:
                            self._displaced[instance.name] = others
                        return
                del notes.says[kept:]
                await self._wait_turn(instance, ground.config, notes)

    async def empty(self, name: str, ground: Ground, why: str) -> None:
        """Stop an instance and wait until its GPU memory is free; one that does not run is left alone.

        Raises GputuiError also where the memory stays taken: the instance is stopped then.
        """
        notes = _Notes(ground.tell)
        async with lifecycle.holding(self._paths, name, "stop") as say:
            notes.says.append(say)
            await asyncio.to_thread(say, why)
            record = await asyncio.to_thread(self._running, name)
            if record is not None:
                (held,) = await self._held((record,), ground)
                with contextlib.suppress(NotRunningError):
                    await self._stop(name)
                await self._await_memory(None, (held,), notes, ground)
            else:
                await asyncio.to_thread(retries.forgo_locked, self._paths, name, f"it {why}")

    async def _lock_all(
        self,
        instance: InstanceConfig,
        action: str,
        config: Config,
        locked: AsyncExitStack,
        notes: _Notes,
    ) -> tuple[Record, ...] | None:
        """Take the locks of all concerned; who has to go, None where that changed in the meantime."""
        before = await asyncio.to_thread(self._concerned, instance, action, config)
        for name in sorted({instance.name, *(record.name for record in before)}):
            own = name == instance.name
            lock = lifecycle.holding(self._paths, name, action if own else "stop")
            say = await locked.enter_async_context(lock)
            if own:
                notes.says.append(say)
            else:
                await asyncio.to_thread(say, f"makes room for {instance.name}")
        if action == "restart":
            await asyncio.to_thread(lifecycle.forget_failure, self._paths, instance.name)
        now = await asyncio.to_thread(self._concerned, instance, action, config)
        if {record.name for record in now} - {record.name for record in before}:
            return None
        return now

    def _concerned(
        self, instance: InstanceConfig, action: str, config: Config
    ) -> tuple[Record, ...]:
        """The records of what has to go: what runs of the same group, by its start or by the
        configuration of now, or waits to be restarted; the instance itself where it is restarted."""
        group = instance.group
        members = {one.name for one in config.instances if group and one.group == group}
        found: list[Record] = []
        for record in records.read_all(self._paths.state_dir).values():
            if record.name == instance.name:
                wanted = action == "restart"
            else:
                wanted = record.name in members or bool(
                    group and record.settings.get("group") == group
                )
            if wanted and (record.restart_at is not None or matches(record.identity)):
                found.append(record)
        return tuple(found)

    async def _busy(
        self, instance: InstanceConfig, going: Sequence[Record], ground: Ground
    ) -> bool:
        """Whether it is to wait for an answer. Raises AnsweringError where it is not to."""
        others = [one for one in _alive(going) if one.name != instance.name]
        way = when_busy(ground.config, instance.group) if instance.group else "stop"
        if ground.force or way == "stop":
            return False
        works = await at_work(others)
        if works and way == "refuse":
            raise refusal(instance, works)
        return bool(works)

    async def _wait_turn(self, instance: InstanceConfig, config: Config, notes: _Notes) -> None:
        """Return once nothing that has to go is in the middle of an answer. Raises GaveUpError."""
        gave_up = self._waits[instance.name] = asyncio.Event()
        try:
            while True:
                others = await asyncio.to_thread(self._concerned, instance, "start", config)
                works = await at_work(_alive(others))
                if gave_up.is_set():
                    raise GaveUpError(f"{instance.name} does not wait any longer")
                if not works:
                    return
                await notes(waiting_words(works))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):  # wait_for may lose a cancellation
                        await gave_up.wait()
        finally:
            self._waits.pop(instance.name, None)

    async def _make_room(
        self,
        instance: InstanceConfig,
        going: Sequence[Record],
        stopped: list[str],
        notes: _Notes,
        ground: Ground,
    ) -> None:
        """Stop what runs of ``going`` and wait for its memory, and start none of it again; ``stopped``
        gets who is."""
        if not going:
            return
        leaving = _alive(going)
        names = [record.name for record in leaving]
        await asyncio.to_thread(lifecycle.refuse_start, self._paths, instance, names)
        for record in going:
            why = f"{instance.name} of its group runs"
            await asyncio.to_thread(retries.forgo_locked, self._paths, record.name, why)
        held = await self._held(leaving, ground)
        others = [name for name in names if name != instance.name]
        if others:
            await notes(f"waiting for {', '.join(others)} to stop")
        stopped += names
        results = await asyncio.gather(*map(self._stop, names), return_exceptions=True)
        failures = {
            name: result
            for name, result in zip(names, results, strict=True)
            if isinstance(result, BaseException) and not isinstance(result, NotRunningError)
        }
        for name, failure in failures.items():
            stopped.remove(name)
            if name == list(failures)[-1]:
                raise failure
        await self._await_memory(instance, held, notes, ground)
        await notes("")

    async def _held(self, leaving: Sequence[Record], ground: Ground) -> tuple[Holding, ...]:
        """What each holds of the GPUs now; nobody is asked where none is on a GPU."""
        if not any(record.gpus for record in leaving):
            return tuple(Holding(record.pid) for record in leaving)
        memory = await asyncio.to_thread(self._memory)
        simulated = [gpu.uuid for gpu in ground.gpus if gpu.simulated]
        return tuple(release.holding(memory, r.pid, r.gpus, simulated) for r in leaving)

    async def _await_memory(
        self,
        instance: InstanceConfig | None,
        held: Sequence[Holding],
        notes: _Notes,
        ground: Ground,
    ) -> None:
        """Wait until the memory is free. Raises GputuiError where it stays taken for good, and the model
        of ``instance`` does not fit beside it."""

        def words() -> str:
            return ", ".join(one.words(ground.gpus) for one in held if one.gpus)

        async def tell() -> None:
            await notes(f"waiting for {words()} to be free")

        if await release.released(self._memory, held, tell, release.SECONDS):
            return
        left = words()
        if instance is not None and await asyncio.to_thread(self._fits, instance, held):
            await notes(f"{left} is still taken; there is room beside it")
            return
        raise GputuiError(
            f"{left} is still not free, {release.SECONDS:.0f} s after the process ended",
            "nvidia-smi shows who holds it; a driver that does not give it back needs a reset or a reboot.",
        )

    def _fits(self, instance: InstanceConfig, held: Sequence[Holding]) -> bool:
        """Whether the model's file is smaller than what is free on the GPUs that are still taken."""
        uuids = {gpu.uuid for one in held for gpu in one.gpus}
        memory = self._memory()
        free = [memory[uuid].free for uuid in uuids if uuid in memory]
        needed = model_bytes(model_path(instance))
        known = [value for value in free if value is not None]
        return needed is not None and bool(known) and needed < sum(known)

    def _running(self, name: str) -> Record | None:
        record = records.read(self._paths.record(name))
        return record if record is not None and matches(record.identity) else None

    @contextlib.asynccontextmanager
    async def _standing(self, name: str, stopped: Sequence[str]) -> AsyncIterator[None]:
        """An error in the block says what was stopped before it, and so does what is broken off."""
        try:
            yield
        except GputuiError as error:
            others = [one for one in stopped if one != name]
            if not others:
                raise
            raise GputuiError(
                f"{are(others)} stopped, and {name} did not start: {error.message}",
                f"{error.hint} {way_back(others)}".strip(),
            ) from error
        except asyncio.CancelledError:
            if not stopped or await asyncio.to_thread(self._running, name) is not None:
                raise
            told = f"{', '.join(stopped)} {'was' if len(stopped) == 1 else 'were'} told to stop"
            raise asyncio.CancelledError(
                f"broken off: {told}, and {name} is not started", way_back(stopped)
            ) from None

    def _group(self, name: str, group: str) -> contextlib.AbstractContextManager[Say]:
        path = self._paths.group_lock(group)
        return locks.hold(
            path, name, _LOCK_SECONDS, lambda holder: group_taken(name, group, holder)
        )


def _alive(found: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(record for record in found if matches(record.identity))
