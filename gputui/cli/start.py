"""``gputui start`` and ``gputui restart``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gputui.cli.acting import (
    check_fit,
    choose,
    find_gpus,
    refuse_readonly,
    refuse_together,
    start_each,
    supervising,
    tell_waiting,
)
from gputui.cli.root import common_options, options_of
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from gputui.instances.supervisor import Supervisor


def starting_command(
    name: str,
    done: str,
    help_text: str,
    method: Callable[[Supervisor], Callable[[str], Awaitable[None]]],
) -> click.Command:
    """``start`` and ``restart`` differ in the supervisor's method and in words alone."""

    @click.command(name, help=help_text)
    @click.argument("names", nargs=-1, metavar="NAME…")
    @click.option("--all", "everything", is_flag=True, help="All configured instances.")
    @click.option("--wait", is_flag=True, help="Return when they are ready, or failed.")
    @click.option("--force", is_flag=True, help="Also what will not fit into memory.")
    @click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at most.")
    @common_options
    @click.pass_context
    def run_command(
        context: click.Context,
        names: tuple[str, ...],
        everything: bool,
        wait: bool,
        timeout: float | None,
        force: bool,
    ) -> None:
        options = options_of(context)
        config = options.load_config()
        chosen = choose(names, everything, (instance.name for instance in config.instances))
        if not chosen:
            raise GputuiError("no instance is configured", "Write a configuration: gputui init")
        refuse_readonly(options, done)
        refuse_together(config, chosen)
        gpus = find_gpus(options, config, chosen)

        async def run() -> bool:
            async with supervising(options, config, gpus) as supervisor:
                for chosen_name in chosen:
                    await supervisor.check_name(chosen_name)

                async def begin(one: str) -> None:
                    await check_fit(supervisor, one, force=force)
                    await method(supervisor)(one)

                return await start_each(supervisor, chosen, begin, wait, timeout)

        context.exit(0 if asyncio.run(run()) else 1)

    return run_command


_EXIT = "Exit code 1 where one cannot be started, or with --wait is not ready."

command = starting_command(
    "start",
    "started",
    f"Start instances; they go on running when gputui ends.\n\n{_EXIT}",
    lambda supervisor: lambda name: supervisor.start(name, tell_waiting(name)),
)
restart = starting_command(
    "restart",
    "restarted",
    f"Stop instances where they run, and start them.\n\n{_EXIT}",
    lambda supervisor: lambda name: supervisor.restart(name, tell_waiting(name)),
)
