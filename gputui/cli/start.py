"""``gputui start``: start instances."""

from __future__ import annotations

import asyncio

import click

from gputui.cli.acting import choose, find_gpus, refuse_readonly, start_each, supervising
from gputui.cli.root import common_options, options_of


@click.command("start")
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option("--all", "everything", is_flag=True, help="All configured instances.")
@click.option("--wait", is_flag=True, help="Return when they are ready, or failed.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at most.")
@common_options
@click.pass_context
def command(
    context: click.Context,
    names: tuple[str, ...],
    everything: bool,
    wait: bool,
    timeout: float | None,
) -> None:
    """Start instances; they go on running when gputui ends.

    Exit code 1 where one cannot be started, or with --wait is not ready.
    """
    options = options_of(context)
    config = options.load_config()
    chosen = choose(config, names, everything)
    refuse_readonly(options, "started")
    gpus = find_gpus(options, config, chosen)

    async def run() -> bool:
        async with supervising(options, config, gpus) as supervisor:
            for name in chosen:
                supervisor.check_name(name)
            return await start_each(supervisor, chosen, supervisor.start, wait, timeout)

    context.exit(0 if asyncio.run(run()) else 1)
