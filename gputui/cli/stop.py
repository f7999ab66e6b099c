"""``gputui stop``: stop instances."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from gputui.cli.acting import choose, refuse_readonly, supervising
from gputui.cli.root import common_options, options_of, report
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from gputui.instances.supervisor import Supervisor


@click.command("stop")
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option("--all", "everything", is_flag=True, help="All that gputui started.")
@common_options
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], everything: bool) -> None:
    """Stop instances: SIGTERM, and SIGKILL after the instance's stop_grace_seconds.

    Returns when they are gone. One that does not run is no error.
    """
    options = options_of(context)
    config = options.load_config()
    refuse_readonly(options, "stopped")

    async def run() -> bool:
        async with supervising(options, config, ()) as supervisor:
            statuses = await supervisor.observe()
            owned = (s.name for s in statuses if s.owned or s.restart_at is not None)
            chosen = choose(names, everything, owned)
            for name in set(chosen).difference(status.name for status in statuses):
                await supervisor.check_name(name)
            return await _stop(supervisor, chosen)

    context.exit(0 if asyncio.run(run()) else 1)


async def _stop(supervisor: Supervisor, names: tuple[str, ...]) -> bool:
    counting = asyncio.create_task(_count_down(supervisor)) if sys.stderr.isatty() else None
    try:
        return all(await asyncio.gather(*(_stop_one(supervisor, name) for name in names)))
    finally:
        if counting is not None:
            counting.cancel()


async def _stop_one(supervisor: Supervisor, name: str) -> bool:
    from gputui.instances.lifecycle import NotRunningError

    try:
        await supervisor.stop(name)
    except NotRunningError as error:
        click.echo(error.message, err=True)
    except GputuiError as error:
        report(error)
        return False
    else:
        click.echo(f"{name}: stopped")
    return True


async def _count_down(supervisor: Supervisor) -> None:
    """One line on the terminal: how long the servers that still run may take."""
    while True:
        await asyncio.sleep(0.5)
        waiting = [
            f"{status.name} {status.stop_seconds_left:.0f} s"
            for status in await supervisor.observe()
            if status.stop_seconds_left is not None
        ]
        line = f"stopping, SIGKILL in: {', '.join(waiting)}" if waiting else ""
        click.echo(f"\r\x1b[2K{line}", err=True, nl=False)
        if not waiting:
            return
