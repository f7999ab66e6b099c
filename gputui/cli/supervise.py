"""``gputui supervise``: what the dashboard does by itself, without a screen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from gputui.cli.acting import read_gpus, refuse_readonly, supervising
from gputui.cli.compose import Options
from gputui.cli.root import common_options, options_of, report
from gputui.config import Config, default_path
from gputui.errors import GputuiError, Told
from gputui.text import error_words

if TYPE_CHECKING:
    from gputui.config.watch import FileWatch
    from gputui.instances.keeping.narrator import Happening
    from gputui.instances.supervisor import Supervisor

_LOOK_SECONDS = 1.0
_DRIVER_AGAIN_SECONDS = 5.0


@click.command("supervise")
@click.option("--start", "names", multiple=True, metavar="NAME", help="Start this one; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@common_options
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Restart what crashes, as restart = "on-failure" says, and unload what idles; until SIGTERM.

    Prints a line for each thing that happens. Servers go on running when it ends. Several may run,
    beside the dashboard too: each restart is done once. A changed configuration file is taken over.
    """
    options = options_of(context)
    refuse_readonly(options, "supervised")
    watch = watch_of(options)  # before it is loaded: what changes in between is a change
    config = options.load_config()
    if not config.instances:
        raise GputuiError("no instance is configured", "Write a configuration: gputui init")
    asyncio.run(_run(options, config, names, _printer(as_json), watch))


Printer = Callable[["Happening", float], None]


def watch_of(options: Options) -> FileWatch:
    """The watch over the configuration's file as it is now."""
    from gputui.config import user_file
    from gputui.config.watch import FileWatch

    file, content = options.config_file or default_path(), None
    with contextlib.suppress(GputuiError):  # loading it tells what is wrong
        content = user_file.read(file)
    return FileWatch(file, content)


async def _run(
    options: Options,
    config: Config,
    names: tuple[str, ...],
    tell: Printer,
    watch: FileWatch | None = None,
) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    pinned = any(instance.gpus for instance in config.instances)
    async with supervising(options, config, None if pinned else ()) as supervisor:
        for name in names:
            await supervisor.check_name(name)
        work = _Supervision(options, supervisor, config, tell, watch)
        finding = asyncio.create_task(work.find_gpus())
        keeping = asyncio.create_task(work.keep())
        starting = asyncio.create_task(work.start(names))
        ending = asyncio.create_task(end.wait())
        await asyncio.wait({ending, keeping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (finding, starting, ending):
            task.cancel()
        await asyncio.gather(finding, starting, ending, return_exceptions=True)
        await work.settle()
        if keeping.done():
            await keeping  # it never returns by itself: nobody reads what it tells any more
        keeping.cancel()


class _Supervision:
    """What goes on until the end is asked for. Nothing that goes wrong ends any of it: it is told, once."""

    def __init__(
        self,
        options: Options,
        supervisor: Supervisor,
        config: Config,
        tell: Printer,
        watch: FileWatch | None,
    ) -> None:
        from gputui.instances.keeping.keeper import Keeper
        from gputui.instances.keeping.narrator import Narrator

        self._options = options
        self._supervisor = supervisor
        self._keeper = Keeper(supervisor, config)
        self._narrator = Narrator()
        self._tell = tell
        self._watch = watch
        self._told = Told()
        self._looked = asyncio.Event()
        self._gpus_found = asyncio.Event()

    @property
    def _pinned(self) -> frozenset[str]:
        """The instances that a start needs the GPUs for."""
        return frozenset(one.name for one in self._supervisor.config.instances if one.gpus)

    async def settle(self) -> None:
        """Return when all that was begun is done."""
        await self._keeper.settle()

    async def keep(self) -> None:
        """Look, tell, and do what is due, for ever, by the configuration's file as it is by then."""
        while True:
            try:
                await self._take_changes()
                statuses = await self._supervisor.observe()
                now = time.time()
                for happening in self._narrator.take(statuses, now):
                    self._tell(happening, now)
                problems = self._keeper.tend(statuses)
            except BrokenPipeError:
                raise  # nobody reads any more
            except Exception as error:  # noqa: BLE001  the loop's boundary: told, and looked again
                problems = (_in_words(error),)
            self._looked.set()
            self._report(*problems)
            await asyncio.sleep(_LOOK_SECONDS)

    async def start(self, names: tuple[str, ...]) -> None:
        """Start those of them that do not run, once it is told what runs already.

        Pinned ones come last, once the GPUs are known.
        """
        await self._looked.wait()
        pinned = self._pinned
        for name in sorted(dict.fromkeys(names), key=pinned.__contains__):
            if name in pinned:
                await self._gpus_found.wait()
            try:
                statuses = await self._supervisor.observe()
                if not any(status.name == name and status.owned for status in statuses):
                    await self._supervisor.start(name)
            except Exception as error:  # noqa: BLE001  told; the others are started all the same
                report(_in_words(error, "The others are started."))

    async def find_gpus(self) -> None:
        """The GPUs, once anything is pinned and the driver gives them: at a boot it can come later than
        we do."""
        while True:
            if self._pinned:
                try:
                    config = self._supervisor.config
                    gpus = await asyncio.to_thread(read_gpus, self._options, config)
                except Exception as error:  # noqa: BLE001  told, and asked again
                    self._report(_in_words(error))
                else:
                    if gpus:
                        self._supervisor.set_gpus(gpus)
                        self._gpus_found.set()
                        return
            await asyncio.sleep(_DRIVER_AGAIN_SECONDS)

    async def _take_changes(self) -> None:
        """The file's changes; where it is wrong, what was before stays in force."""
        seen = await asyncio.to_thread(self._watch.look) if self._watch else None
        if seen is None:
            return
        if seen.config is not None:
            self._supervisor.set_config(seen.config)
            self._keeper.set_config(seen.config)
        elif seen.problem is not None:
            report(seen.problem)

    def _report(self, *problems: GputuiError) -> None:
        for problem in problems:
            if self._told.is_new(problem):
                report(problem)


def _in_words(error: Exception, hint: str = "It is tried again.") -> GputuiError:
    return error if isinstance(error, GputuiError) else GputuiError(error_words(error), hint)


def _printer(as_json: bool) -> Printer:
    def line(happening: Happening, at: float) -> None:
        local = datetime.fromtimestamp(at).astimezone()
        click.echo(f"{local:%Y-%m-%d %H:%M:%S} {happening.name}: {happening.words}")

    def document(happening: Happening, at: float) -> None:
        status = happening.status
        body = {
            "at": at,
            "event": happening.kind,
            "instance": happening.name,
            "message": happening.words,
            "state": status.state,
            "pid": status.pid,
            "failures": status.failures,
            "restart_at": status.restart_at,
            "last_error": status.last_error,
        }
        click.echo(json.dumps(body, ensure_ascii=False))

    return document if as_json else line
