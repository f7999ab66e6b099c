"""``gputui fit``: what a model takes, where it fits, and what would."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from gputui import config as configuration
from gputui.cli.acting import LiveMemory, read_gpus
from gputui.cli.compose import Options
from gputui.cli.fit_table import Place, Report, lines, report_json
from gputui.cli.root import common_options, options_of
from gputui.cli.tables import painted, wants_colour
from gputui.config import Config, InstanceConfig, resolve_gpus
from gputui.config.tables import CacheType
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, select_gpus
from gputui.instances.fit import reckoning as fitting
from gputui.instances.fit.asking import occupancy
from gputui.instances.fit.reckoning import Occupancy, Server
from gputui.llama import command as commands
from gputui.models.gguf import known_header
from gputui.models.search import largest_context, most_layers, quantizations
from gputui.text import nearest

_NOWHERE = 1  # no server is started: this port is never bound


if TYPE_CHECKING:
    _Type = click.ParamType[int | str]
else:
    _Type = click.ParamType  # no generic class in click 8.1

_CACHE_TYPES = click.Choice(get_args(CacheType))


class Layers(_Type):
    """What ``--n-gpu-layers`` takes."""

    name = "layers"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """A number, or the word. Raises click.BadParameter."""
        if value in ("all", "auto"):
            return value
        if not value.isdecimal():
            self.fail(f"{value!r} is neither a number nor all nor auto.", param, ctx)
        return int(value)


@click.command("fit")
@click.argument("model", metavar="MODEL")
@click.option("--gpu", "gpus", multiple=True, metavar="GPU", help="On this GPU; again for a split.")
@click.option("--ctx", "ctx_size", type=click.IntRange(min=0), help="Context of all slots, tokens.")
@click.option("--parallel", type=click.IntRange(min=1), help="Slots; the context is divided.")
@click.option("--ubatch", "ubatch_size", type=click.IntRange(min=1), help="Micro-batch, tokens.")
@click.option("--cache-type-k", type=_CACHE_TYPES, metavar="TYPE", help="Of the cached keys.")
@click.option("--cache-type-v", type=_CACHE_TYPES, metavar="TYPE", help="Of the cached values.")
@click.option(
    "-ngl", "--n-gpu-layers", type=Layers(), metavar="N", help="Layers: a number, all, auto."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@common_options
@click.pass_context
def command(
    context: click.Context, /, model: str, gpus: tuple[str, ...], as_json: bool, **given: Any
) -> None:
    """Show what MODEL takes, where it fits, and what would fit.

    MODEL is a .gguf file, or the name of a configured instance. Without --gpu: the instance's GPUs; for
    a file each GPU, and all together.
    """
    options = options_of(context)
    config = options.load_config()
    instance, configured = _instance(model, config)
    instance = _changed(instance, {key: value for key, value in given.items() if value is not None})
    report = _report(options, config, instance, gpus, configured)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without "✓" is no reason to fail
    if as_json:
        click.echo(json.dumps(report_json(report), indent=2, ensure_ascii=False))
        return
    width = shutil.get_terminal_size((120, 24)).columns
    colour = wants_colour(sys.stdout)
    click.echo("\n".join(painted(line, width, colour=colour) for line in lines(report, width)))


def _instance(model: str, config: Config) -> tuple[InstanceConfig, bool]:
    """The configured instance of that name, or one for the file; whether it is configured."""
    for instance in config.instances:
        if instance.name == model:
            return instance, True
    path = Path(model).expanduser()
    near = nearest(model, [instance.name for instance in config.instances])
    if not path.exists() and "/" not in model and not model.endswith(".gguf"):
        raise GputuiError(
            f'"{model}" is no file, and no instance is named so',
            f'Did you mean "{near}"?' if near else "Give a .gguf file.",
        )
    if not path.exists():
        raise GputuiError(f"{path}: no such file", "Give a .gguf file, or an instance's name.")
    if path.is_dir():
        raise GputuiError(f"{path}: is a directory", "Name the .gguf file in it.")
    return InstanceConfig(name="model", model=str(path), port=_NOWHERE), False


def _changed(instance: InstanceConfig, given: dict[str, Any]) -> InstanceConfig:
    """The instance with what the command line says."""
    return msgspec.convert(msgspec.to_builtins(instance) | given, InstanceConfig)


def _report(
    options: Options,
    config: Config,
    instance: InstanceConfig,
    selectors: Sequence[str],
    configured: bool,
) -> Report:
    path = commands.model_path(instance)
    header = known_header(path)
    known, trouble = _gpus(options, config, needed=bool(selectors))
    if selectors:
        sets = [select_gpus(selectors, known)]
    elif configured:
        sets = [resolve_gpus(instance, known, options.config_file)]
    else:
        sets = [(gpu,) for gpu in known] + ([known] if len(known) > 1 else [])
    memory = LiveMemory(options, config)
    leaving = {instance.name} if configured else set()
    around = occupancy(memory.read, configuration.state_dir(), leaving)
    memory.close()
    alone = len(sets) < 2
    places = [
        _place(config, instance, chosen, known, around, contexts=alone) for chosen in sets or [()]
    ]
    return Report(header, places, simulated=any(g.simulated for g in known), trouble=trouble)


def _gpus(options: Options, config: Config, *, needed: bool) -> tuple[tuple[GpuIdentity, ...], str]:
    """The machine's GPUs, and why there are none."""
    try:
        return read_gpus(options, config), ""
    except GputuiError as error:
        if needed:
            raise
        return (), error.message


def _place(
    config: Config,
    instance: InstanceConfig,
    gpus: tuple[GpuIdentity, ...],
    known: Sequence[GpuIdentity],
    around: Occupancy,
    *,
    contexts: bool,
) -> Place:
    server, why = _server(config, instance, gpus, known)
    room = fitting.room_for(server, around)
    fit = fitting.fit_of(server, around)
    return Place(
        gpus,
        fit,
        room.options,
        largest_context(room) if fit.fits is not None else None,
        most_layers(room) if gpus and fit.fits is not None else None,
        quantizations(room, contexts=contexts) if fit.fits is not None else (),
        why,
        nothing_fits=fit.fits is False and not room.holds(room.taken(gpu_layers=0)),
    )


def _server(
    config: Config,
    instance: InstanceConfig,
    gpus: tuple[GpuIdentity, ...],
    known: Sequence[GpuIdentity],
) -> tuple[Server, str]:
    """The server as it would run; why it could not, where that is so: the estimate needs none."""
    if not any(gpu.simulated for gpu in gpus):
        try:
            launch = commands.prepare(instance, gpus, known, config.llama_server)
            return Server(instance.name, launch.argv, launch.model, gpus, launch.environment), ""
        except GputuiError as error:
            why = error.message
    else:
        why = ""
    model = commands.model_path(instance)
    argv = commands.arguments(instance, model, None if gpus else "none")
    return Server(instance.name, ("llama-server", *argv), model, gpus), why
