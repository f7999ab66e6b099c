"""``gputui config check``: whether the configuration works on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gputui import config as configuration
from gputui.alerts.command import check_command
from gputui.alerts.rules import Rule, resolve, rules_of
from gputui.cli.acting import find_gpus, read_gpus, sample
from gputui.cli.compose import Options
from gputui.cli.root import common_options, options_of, report
from gputui.config import Config, InstanceConfig, SamplingTable, resolve_gpus
from gputui.config.cpus import warnings
from gputui.config.power_limits import resolve_power_limits, window_words
from gputui.errors import ConfigError, GputuiError
from gputui.gpu.power_limit import power_range
from gputui.identity import GpuIdentity, short_bus_id
from gputui.text import clean_line
from gputui.themes import load_themes


@click.group("config")
@common_options
def command() -> None:
    """Work on the configuration."""


@command.command("check")
@common_options
@click.pass_context
def check(context: click.Context) -> None:
    """Check the configuration: keys and values, alerts, GPUs, models and servers.

    Starts nothing. Exit code 2 where something would not start.
    """
    options = options_of(context)
    config = options.load_config()
    file = options.config_file or configuration.default_path()
    rules = _find_rules(config, file)
    good = [_check_theme(config, file), rules is not None]
    if all(good):
        click.echo(f"{file}: {'ok' if file.exists() else 'no such file: defaults are used'}")
    gpus = _find_gpus(options, config, rules or ())
    good.append(_check_alerts(rules or (), config, gpus, file))
    good += [_check(instance, config, gpus, file) for instance in config.instances]
    _show_chat(config)
    for warning in warnings(config):
        click.echo(f"note: {warning}")
    good.append(_check_power_limits(options, config, file))
    if not config.instances:
        click.echo("no instance is configured; write a configuration: gputui init")
    context.exit(0 if all(good) else 2)


def _show_chat(config: Config) -> None:
    """How the chat begins, and the presets; they are right, or the file could not be read."""
    if said := _said(config.chat, omit={"order": "together"}):
        click.echo(f"chat: {said}")
    for preset in config.presets:
        click.echo(
            f"preset {preset.name}: {_said(preset, omit={'name': preset.name}) or 'defaults'}"
        )


def _said(table: SamplingTable, omit: Mapping[str, str]) -> str:
    values = ((name, getattr(table, name)) for name in table.__struct_fields__)
    said = ((n, one) for n, one in values if one is not None and omit.get(n) != one)
    return ", ".join(f"{name} {_word(one)}" for name, one in said)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else clean_line(str(value), 60)


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


def _find_rules(config: Config, file: Path) -> tuple[Rule, ...] | None:
    """The rules of the alerts that are in force; None where they are wrong, which is told."""
    try:
        check_command(config, file)
        return rules_of(config, file)
    except ConfigError as error:
        report(error)
        return None


def _check_alerts(
    rules: Sequence[Rule],
    config: Config,
    found: tuple[GpuIdentity, ...] | GputuiError,
    file: Path,
) -> bool:
    """Whether every rule is about something; the rules that the file changes or adds are listed."""
    named = {table.name for table in config.alerts}
    mine = [rule for rule in rules if rule.name in named]
    good = True
    if rules:
        click.echo(f"alerts: {len(rules)} rules in force")
    for rule in mine:
        try:
            if isinstance(found, GputuiError) and rule.gpus:
                raise found
            gpus = () if isinstance(found, GputuiError) else resolve(rule, found, file)
        except GputuiError as error:
            click.echo(f"  {rule.name}: not ok")
            _tell(error, "    ")
            good = False
            continue
        chosen = ", ".join(f"GPU {gpu.index}" for gpu in gpus) if rule.gpus is not None else ""
        where = chosen or ", ".join(rule.instances or ())
        parts = (f"{rule.metric} {rule.condition}", rule.severity, where)
        click.echo(f"  {rule.name}: {', '.join(part for part in parts if part)}")
    return good


def _find_gpus(
    options: Options, config: Config, rules: Sequence[Rule]
) -> tuple[GpuIdentity, ...] | GputuiError:
    """The GPUs, or why they are not known: no instance on the CPU suffers from that."""
    try:
        if any(rule.gpus for rule in rules):
            return read_gpus(options, config)
        return find_gpus(options, config, (instance.name for instance in config.instances))
    except GputuiError as error:
        return error


def _check_power_limits(options: Options, config: Config, file: Path) -> bool:
    """Whether each ``[[power_limits]]`` names GPUs that take its limit, and no GPU has two at a time."""
    if not config.power_limits:
        return True
    try:
        gpus = sample(options, config).gpus
    except GputuiError as error:
        report(error)
        return False
    by_uuid, found = resolve_power_limits(config.power_limits, [gpu.identity for gpu in gpus], file)
    problems: list[GputuiError] = list(found)
    for gpu in gpus:
        for table in by_uuid.get(gpu.identity.uuid, ()):
            label, limits = f"GPU {gpu.identity.index} ({gpu.identity.name})", power_range(gpu)
            if limits.holds(table.watts):
                click.echo(f"{label}: ok, {table.watts:g} W, {window_words(table)}")
            else:
                where = f"{file}: [[power_limits]] watts = {table.watts:g}"
                problems.append(ConfigError(f"{where}: {label} takes {limits.words}"))
    for problem in problems:
        report(problem)
    return not problems


def _check(
    instance: InstanceConfig,
    config: Config,
    found: tuple[GpuIdentity, ...] | GputuiError,
    file: Path,
) -> bool:
    from gputui.instances.starting.placement import Machine
    from gputui.llama.command import check_model, prepare

    try:
        if isinstance(found, GputuiError) and instance.gpus:
            raise found
        gpus = () if isinstance(found, GputuiError) else found
        pinned = resolve_gpus(instance, gpus, file)
        prepare(instance, pinned, gpus, config.llama_server)
        check_model(instance)
        Machine().place(instance)
    except GputuiError as error:
        click.echo(f"{instance.name}: not ok")
        _tell(error)
        return False
    where = ", ".join(f"GPU {gpu.index} ({gpu.name}, {short_bus_id(gpu)})" for gpu in pinned)
    click.echo(f"{instance.name}: ok, {where or 'CPU'}, port {instance.port}")
    _warn_of_flags(instance, config)
    return True


def _tell(error: GputuiError, indent: str = "  ") -> None:
    """What a verdict is for, beneath it: verdicts and reasons stay together wherever they are written."""
    for words in (error.message, error.hint):
        if words:
            click.echo(f"{indent}{words}")


def _warn_of_flags(instance: InstanceConfig, config: Config) -> None:
    """What the binary's own --help says against ``args``: told, and no error, since it is the help alone."""
    from gputui.llama.binary import find
    from gputui.llama.flags import check_arguments, flags_of

    if not instance.args:
        return
    try:
        flags = flags_of(find(instance.llama_server or config.llama_server))
    except GputuiError:
        return
    for doubt in check_arguments(flags, instance.args):
        _tell(ConfigError(f"args: {doubt.message}", doubt.hint))
