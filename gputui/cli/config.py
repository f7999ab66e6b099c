"""``gputui config check``: whether the configuration works on this machine."""

from __future__ import annotations

import click

from gputui import config as configuration
from gputui.cli.acting import find_gpus
from gputui.cli.root import common_options, options_of, report
from gputui.config import Config, InstanceConfig, resolve_gpus
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, short_bus_id


@click.group("config")
@common_options
def command() -> None:
    """Work on the configuration."""


@command.command("check")
@common_options
@click.pass_context
def check(context: click.Context) -> None:
    """Check the configuration: keys and values, GPUs, models and servers.

    Starts nothing. Exit code 2 where something would not start.
    """
    options = options_of(context)
    config = options.load_config()
    file = options.config_file or configuration.default_path()
    click.echo(f"{file}: {'ok' if file.exists() else 'no such file: defaults are used'}")
    gpus = find_gpus(options, config, (instance.name for instance in config.instances))
    good = [_check(instance, config, gpus) for instance in config.instances]
    if not good:
        click.echo("no instance is configured; write a configuration: gputui init")
    context.exit(0 if all(good) else 2)


def _check(instance: InstanceConfig, config: Config, gpus: tuple[GpuIdentity, ...]) -> bool:
    from gputui.instances.command import prepare

    try:
        pinned = resolve_gpus(instance, gpus)
        prepare(instance, pinned, gpus, config.llama_server)
    except GputuiError as error:
        click.echo(f"{instance.name}: not ok")
        report(error)
        return False
    where = ", ".join(f"GPU {gpu.index} ({gpu.name}, {short_bus_id(gpu)})" for gpu in pinned)
    click.echo(f"{instance.name}: ok, {where or 'CPU'}, port {instance.port}")
    return True
