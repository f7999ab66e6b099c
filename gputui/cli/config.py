"""``gputui config check``: whether the configuration works on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from gputui import config as configuration
from gputui.cli.acting import find_gpus
from gputui.cli.compose import Options
from gputui.cli.root import common_options, options_of, report
from gputui.config import Config, InstanceConfig, resolve_gpus
from gputui.errors import ConfigError, GputuiError
from gputui.identity import GpuIdentity, short_bus_id
from gputui.themes import load_themes


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
    good = [_check_theme(config, file)]
    if good == [True]:
        click.echo(f"{file}: {'ok' if file.exists() else 'no such file: defaults are used'}")
    gpus = _find_gpus(options, config)
    good += [_check(instance, config, gpus, file) for instance in config.instances]
    if not config.instances:
        click.echo("no instance is configured; write a configuration: gputui init")
    context.exit(0 if all(good) else 2)


def _check_theme(config: Config, file: Path) -> bool:
    """Whether there is the theme; theme files that are broken are told, and stop nothing else."""
    themes = load_themes()
    for problem in themes.problems:
        report(problem)
    try:
        themes.choose(config.theme)
    except ConfigError as error:
        report(ConfigError(f"{file}: {error.message}", error.hint))
        return False
    return True


def _find_gpus(options: Options, config: Config) -> tuple[GpuIdentity, ...] | GputuiError:
    """The GPUs, or why they are not known: no instance on the CPU suffers from that."""
    try:
        return find_gpus(options, config, (instance.name for instance in config.instances))
    except GputuiError as error:
        return error


def _check(
    instance: InstanceConfig,
    config: Config,
    found: tuple[GpuIdentity, ...] | GputuiError,
    file: Path,
) -> bool:
    from gputui.instances.command import check_model, prepare

    try:
        if isinstance(found, GputuiError) and instance.gpus:
            raise found
        gpus = () if isinstance(found, GputuiError) else found
        pinned = resolve_gpus(instance, gpus, file)
        prepare(instance, pinned, gpus, config.llama_server)
        check_model(instance)
    except GputuiError as error:
        click.echo(f"{instance.name}: not ok")
        report(error)
        return False
    where = ", ".join(f"GPU {gpu.index} ({gpu.name}, {short_bus_id(gpu)})" for gpu in pinned)
    click.echo(f"{instance.name}: ok, {where or 'CPU'}, port {instance.port}")
    return True
