"""The options of ``gputui chat`` that say how the sides are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click

from gputui.chat.asking import choosing
from gputui.chat.asking.parameters import PARAMETERS, Parameter, value_of, with_value
from gputui.chat.asking.settings import at_once_of, settings_of
from gputui.chat.model import Settings
from gputui.config import Config
from gputui.errors import ConfigError, GputuiError

_Command = TypeVar("_Command", bound=Callable[..., Any])
_HELP = {
    "temperature": "How freely tokens are drawn.",
    "top_k": "Only the likeliest so many; 0: all.",
    "top_p": "Only the likeliest that make up this share.",
    "min_p": "Only those with this share of the likeliest's probability.",
    "repeat_penalty": "Against tokens that were there lately; 1: none.",
    "presence_penalty": "Against tokens that were there; 0: none.",
    "frequency_penalty": "Against tokens by how often they were there; 0: none.",
    "seed": "The same for all sides; a new one each time without it.",
    "max_tokens": "Longest answer, in tokens.",
    "cache_prompt": "Whether servers may keep what they have read.",
}


def settings_options(command: _Command) -> _Command:
    """--system, --preset, --order, and an option for each parameter; ``chosen`` reads them."""
    for parameter in reversed(tuple(PARAMETERS.values())):
        command = _option(parameter)(command)
    for name, metavar, help in (
        ("--order", "together|one", "Whether the sides answer at once, or one after the other."),
        ("--preset", "NAME", "System prompt and parameters of the configuration's [[presets]]."),
        ("--system", "TEXT", "System prompt, for all sides."),
    ):
        kind = click.Choice(["together", "one"]) if name == "--order" else None
        shown = None if name == "--order" else metavar
        command = click.option(
            name, type=kind, metavar=shown, help=help, expose_value=False, callback=_remember
        )(command)
    return command


def chosen(context: click.Context, config: Config) -> tuple[Settings, int | None]:
    """How all sides are asked, and how many at a time: ``[chat]`` or a preset, and the options over it.

    Raises ConfigError for a preset that there is not.
    """
    given: Mapping[str, Any] = context.meta.get(__name__, {})
    settings, order = settings_of(config.chat), config.chat.order
    if "preset" in given:
        try:
            preset = choosing.preset_named(config.presets, given["preset"])
        except GputuiError as error:
            raise ConfigError(error.message, error.hint.partition("/preset")[0]) from None
        settings, order = settings_of(preset), preset.order or order
    for name, parameter in PARAMETERS.items():
        if name in given:
            sampling = with_value(settings.sampling, parameter, given[name])
            settings = replace(settings, sampling=sampling)
    if "system" in given:
        settings = replace(settings, system=given["system"])
    return settings, at_once_of(given.get("order", order))


def _option(parameter: Parameter) -> Callable[[_Command], _Command]:
    flag = parameter.name.replace("_", "-")
    help = f"{_HELP[parameter.name]}"
    if parameter.kind == "switch":
        return click.option(
            f"--{flag}/--no-{flag}",
            parameter.name,
            default=None,
            expose_value=False,
            callback=_remember,
            help=help,
        )
    return click.option(
        f"--{flag}",
        parameter.name,
        metavar="N",
        expose_value=False,
        callback=_remember_value,
        help=f"{help} {parameter.range[0].upper()}{parameter.range[1:]}.",
    )


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name:
        context.meta.setdefault(__name__, {})[parameter.name] = value


def _remember_value(context: click.Context, option: click.Parameter, text: str | None) -> None:
    """As ``_remember``, with the range where the value is wrong."""
    if text is None:
        return
    try:
        value = value_of(PARAMETERS[option.name or ""], text)
    except GputuiError as error:
        raise click.BadParameter(f"{error.message}: {error.hint}", context, option) from None
    _remember(context, option, value)
