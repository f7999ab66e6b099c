"""``gputui supervise``: what the dashboard does by itself, without a screen."""

from __future__ import annotations

import asyncio
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
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity

if TYPE_CHECKING:
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
    beside the dashboard too: each restart is done once.
    """
    options = options_of(context)
    refuse_readonly(options, "supervised")
    config = options.load_config()
    if not config.instances:
        raise GputuiError("no instance is configured", "Write a configuration: gputui init")
    asyncio.run(_run(options, config, names, _printer(as_json)))


Printer = Callable[["Happening", float], None]


async def _run(options: Options, config: Config, names: tuple[str, ...], tell: Printer) -> None:
    from gputui.instances.keeping.keeper import Keeper

    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    pinned = any(instance.gpus for instance in config.instances)
    async with supervising(options, config, None if pinned else ()) as supervisor:
        for name in names:
            await supervisor.check_name(name)
        keeper = Keeper(supervisor, config)
        finding = asyncio.create_task(_find_gpus(options, config, supervisor, wanted=pinned))
        looked = asyncio.Event()
        watching = asyncio.create_task(_watch(supervisor, keeper.tend, tell, looked))
        starting = asyncio.create_task(_start(supervisor, names, config, looked, finding))
        ending = asyncio.create_task(end.wait())
        await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
        for task in (finding, watching, starting, ending):
            task.cancel()
        await asyncio.gather(finding, starting, ending, return_exceptions=True)
        await keeper.settle()
        if not end.is_set():
            await watching  # it never returns by itself: its failure is told


async def _watch(
    supervisor: Supervisor,
    tend: Callable[..., tuple[GputuiError, ...]],
    tell: Printer,
    looked: asyncio.Event,
) -> None:
    """Look, tell, and do what is due, for ever; the same problem is told once in a row."""
    from gputui.instances.keeping.narrator import Narrator

    narrator = Narrator()
    told = ""
    while True:
        try:
            statuses = await supervisor.observe()
        except GputuiError as error:
            problems: tuple[GputuiError, ...] = (error,)
        else:
            now = time.time()
            for happening in narrator.take(statuses, now):
                tell(happening, now)
            problems = tend(statuses)
        looked.set()
        for problem in problems:
            if str(problem) != told:
                told = str(problem)
                report(problem)
        await asyncio.sleep(_LOOK_SECONDS)


async def _start(
    supervisor: Supervisor,
    names: tuple[str, ...],
    config: Config,
    looked: asyncio.Event,
    gpus: asyncio.Task[None],
) -> None:
    """Start those of them that do not run, once it is told what runs already.

    Pinned ones come last, once the GPUs are known.
    """
    await looked.wait()
    pinned = {instance.name for instance in config.instances if instance.gpus}
    for name in sorted(dict.fromkeys(names), key=pinned.__contains__):
        if name in pinned:
            await asyncio.shield(gpus)
        try:
            statuses = await supervisor.observe()
            if not any(status.name == name and status.owned for status in statuses):
                await supervisor.start(name)
        except GputuiError as error:
            report(error)


async def _find_gpus(
    options: Options, config: Config, supervisor: Supervisor, *, wanted: bool
) -> None:
    """The GPUs, once the driver gives them: at a boot it can come later than we do."""
    told = False
    while wanted:
        try:
            gpus: tuple[GpuIdentity, ...] = await asyncio.to_thread(read_gpus, options, config)
        except GputuiError as error:
            if not told:
                told = True
                report(error)
        else:
            if gpus:
                supervisor.set_gpus(gpus)
                return
        await asyncio.sleep(_DRIVER_AGAIN_SECONDS)


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
