"""What the commands that start and stop instances have in common."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from gputui.cli.compose import Options, make_source, make_supervisor
from gputui.cli.root import report
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, GpuMemory
from gputui.instances.fit.words import explain
from gputui.instances.status import InstanceStatus, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gputui.gpu.sample import Snapshot
    from gputui.gpu.source import Source
    from gputui.instances.supervisor import Supervisor

_Answer = TypeVar("_Answer")

_DRIVER_SECONDS = 10.0
EARLY_DEATH_SECONDS = 5.0
"""How long a start is watched at most: until the server loads, or ends since it cannot begin at all."""


def find_gpus(options: Options, config: Config, names: Iterable[str]) -> tuple[GpuIdentity, ...]:
    """The machine's GPUs, read only where one of these instances is pinned to any.

    Raises GputuiError where the driver gives none.
    """
    wanted = set(names)
    if not any(instance.gpus for instance in config.instances if instance.name in wanted):
        return ()
    return read_gpus(options, config)


def read_gpus(options: Options, config: Config) -> tuple[GpuIdentity, ...]:
    """The machine's GPUs. Raises GputuiError where the driver gives none."""
    snapshot = sample(options, config)
    if snapshot.problem and not snapshot.gpus:
        raise GputuiError(snapshot.problem.message, snapshot.problem.hint)
    return snapshot.identities


def refuse_readonly(options: Options, action: str) -> None:
    """Raise GputuiError where the user asked for looking only."""
    if options.readonly:
        raise GputuiError(f"nothing was {action}", "gputui was called with --readonly.")


def choose(names: tuple[str, ...], everything: bool, known: Iterable[str]) -> tuple[str, ...]:
    """The names a command works on, each once; ``known`` are what --all means.

    Raises click.UsageError for both or neither of them.
    """
    if bool(names) == everything:
        raise click.UsageError("give names of instances, or --all" + (", not both" * everything))
    return tuple(dict.fromkeys(known if everything else names))


def refuse_together(config: Config, names: Iterable[str]) -> None:
    """Raise GputuiError where two of these instances are in one group: one would stop the other."""
    groups: dict[str, str] = {}
    wanted = set(names)
    for instance in config.instances:
        if instance.group is None or instance.name not in wanted:
            continue
        if instance.group in groups:
            raise GputuiError(
                f"{groups[instance.group]} and {instance.name} are both in group {instance.group}:"
                " one runs at a time",
                "Name one of them, or a layout: gputui layout",
            )
        groups[instance.group] = instance.name


def tell_waiting(name: str) -> Callable[[str], None]:
    """Says on stderr what the start of an instance waits for."""
    return lambda words: click.echo(f"{name}: {words}", err=True)


@asynccontextmanager
async def supervising(
    options: Options, config: Config, gpus: tuple[GpuIdentity, ...] | None
) -> AsyncIterator[Supervisor]:
    """A supervisor for the length of the block; ``gpus`` None: they come later, with ``set_gpus``."""
    memory = LiveMemory(options, config)
    supervisor = make_supervisor(options, config, gpus or (), memory.read)
    if gpus is not None:
        supervisor.set_gpus(gpus)
    try:
        yield supervisor
    finally:
        await supervisor.close()
        memory.close()


async def start_each(
    supervisor: Supervisor,
    names: tuple[str, ...],
    begin: Callable[[str], Awaitable[None]],
    wait: bool,
    timeout: float | None,  # noqa: ASYNC109 - the user's own --timeout
) -> bool:
    """Start or restart instances one after the other, then look after all at once; False: one failed."""
    started: list[str] = []
    for name in names:
        try:
            await begin(name)
            started.append(name)
        except GputuiError as error:
            report(error)
        except asyncio.CancelledError as error:  # ctrl-C: what was done already is said
            report_broken_off(error)
            raise
    if started and (warning := await supervisor.login_warning()) is not None:
        report(warning)
    limit = timeout if wait else EARLY_DEATH_SECONDS
    statuses = await asyncio.gather(
        *(supervisor.wait(name, limit, loading=not wait) for name in started)
    )
    good = [_tell_start(status, wait) for status in statuses]
    return all(good) and len(started) == len(names)


async def check_fit(supervisor: Supervisor, name: str, *, force: bool) -> None:
    """Warn where an instance will not fit as it is configured.

    Raises GputuiError where it would not even start, unless ``force``.
    """
    fit = await supervisor.fit(name)
    if fit.fits is not False:
        return
    words = " ".join(explain(fit))
    if fit.fails and not force:
        raise GputuiError(f"{name} will not fit. {words}", "To try it all the same, add --force.")
    click.echo(f"{name} does not fit as configured. {words}", err=True)


def report_broken_off(error: asyncio.CancelledError) -> None:
    """Say where things stand, where what was broken off says so (its message, and a hint)."""
    if error.args:
        message, *hints = map(str, error.args)
        report(GputuiError(message, *hints[:1]))


def _tell_start(status: InstanceStatus, wait: bool) -> bool:
    """Say what became of a start; whether that is what was asked for."""
    name = status.name
    if status.state is State.FAILED:
        report(GputuiError(f"{name} failed: {status.last_error}", status.hint))
        return False
    if status.state is State.STOPPED:
        report(GputuiError(f"{name} was stopped while it started"))
        return False
    if status.state is State.READY:
        click.echo(f"{name}: ready on {status.url} (pid {status.pid})")
        return True
    click.echo(f"{name}: {status.state} (pid {status.pid}, {status.url})")
    if wait:
        report(GputuiError(f"{name} is not ready in time", f"It goes on: gputui logs {name}"))
    return not wait


def sample(options: Options, config: Config) -> Snapshot:
    """One sample."""
    source = make_source(options, config)
    snapshots = driver_answer(source.samples)
    source.close()
    return snapshots[-1]


class LiveMemory:
    """The GPUs' memory, asked of the driver at each reading; the source is opened by the first one."""

    def __init__(self, options: Options, config: Config) -> None:
        self._options = options
        self._config = config
        self._source: Source | None = None

    def read(self) -> Mapping[str, GpuMemory]:
        """See MemoryReader; empty where the driver gives no answer."""
        try:
            return driver_answer(self._sample).memory()
        except GputuiError:
            return {}

    def close(self) -> None:
        """Let go of the driver. Idempotent."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _sample(self) -> Snapshot:
        if self._source is None:
            self._source = make_source(self._options, self._config)
        return self._source.samples()[-1]


def driver_answer(call: Callable[[], _Answer]) -> _Answer:
    """What ``call`` returns or raises, in a thread of its own: a call into a driver can hang for good.

    Raises GputuiError where it does.
    """
    answers: list[_Answer] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001  raised again by who asked
            failures.append(error)

    thread = threading.Thread(target=run, name="gputui driver", daemon=True)
    thread.start()
    thread.join(_DRIVER_SECONDS)
    if failures:
        raise failures[0]
    if not answers:
        raise GputuiError(
            f"the GPU driver gave no answer in {_DRIVER_SECONDS:.0f} s", "Does nvidia-smi answer?"
        )
    return answers[0]
