"""The command group: options for all commands, commands loaded when they are used, errors in words."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gputui import __version__
from gputui.cli.compose import Options
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean_line

COMMANDS: dict[str, str] = {
    "demo": "fetch a server and two small models, and compare them",
    "init": "write a configuration to start from",
    "gpus": "what each GPU does now",
    "record": "record the GPUs into a file",
    "power-limit": "show and set how much each GPU may draw",
    "fit": "whether a model fits, and what would",
    "status": "which instances run, and how",
    "start": "start instances",
    "stop": "stop instances",
    "restart": "stop and start instances",
    "layout": "switch to a set of instances that run together",
    "supervise": "restart what crashes and unload what idles, without a screen",
    "logs": "the log of an instance",
    "chat": "one prompt to one model or to several",
    "embed": "how near texts are, by an embedding model",
    "conversations": "list, search, show, export, rename and delete kept conversations",
    "votes": "ratings from the votes on answers",
    "config": "check the configuration",
}
"""Every command and its one-line help; the body is in the module of that name (a dash is an underscore
there), loaded on use."""

FASTEST = 1e6
"""The largest ``--speed``: more is no faster."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


class NumberRange(click.FloatRange):
    """A range of numbers; nan, which is in every range, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As a float. Raises click.BadParameter."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


def common_options(command: _Command) -> _Command:
    """The options that every command takes, before or after its name."""
    for option in reversed(
        (
            click.option(
                "--config",
                "config_file",
                type=click.Path(path_type=Path),
                metavar="FILE",
                expose_value=False,
                callback=_remember,
                help="Configuration file.",
            ),
            click.option(
                "--source",
                metavar="auto|nvml|simulated|TRACE",
                expose_value=False,
                callback=_remember,
                help="Where GPU readings come from.",
            ),
            click.option(
                "--speed",
                type=NumberRange(0, FASTEST, min_open=True),
                metavar="N",
                expose_value=False,
                callback=_remember,
                help="How many times as fast a recorded source plays.",
            ),
            click.option(
                "--readonly",
                is_flag=True,
                default=None,
                expose_value=False,
                callback=_remember,
                help="Look, but start, stop and signal nothing.",
            ),
            click.option(
                "--no-mouse",
                is_flag=True,
                default=None,
                expose_value=False,
                callback=_remember,
                help="Leave the mouse to the terminal.",
            ),
        )
    ):
        command = option(command)
    return command


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """What was given at any level of the command line goes into the one Options."""
    options = context.ensure_object(dict)
    if value is not None and parameter.name:
        options[parameter.name] = value


def options_of(context: click.Context) -> Options:
    """The common options as given so far."""
    return Options(**context.ensure_object(dict))


class LazyGroup(click.Group):
    """Loads the module of a command only when that command runs: start-up stays short."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, its module imported now; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gputui.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that ``--help`` loads no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options
@click.version_option(__version__, prog_name="gputui")
@click.pass_context
def group(context: click.Context) -> None:
    """See, run, compare and measure llama.cpp models on your own GPUs.

    Without a command: the dashboard.
    """
    if context.invoked_subcommand is None:
        from gputui.cli.dashboard import run_dashboard

        run_dashboard(options_of(context))


def gputui() -> None:
    """Run the command line; exit codes: 0 done, 1 failed, 2 wrong usage or configuration."""
    try:
        sys.exit(group.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("aborted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except GputuiError as error:
        report(error)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except Exception as error:  # noqa: BLE001  the last boundary: told, and kept for a report
        report(_crash(error))
        sys.exit(1)


def _crash(error: Exception) -> GputuiError:
    """A fault of gputui's own, in words; its traceback goes to a private file."""
    import traceback

    from gputui.config import state_dir
    from gputui.files import write_file

    what = clean_line(f"gputui itself failed: {type(error).__name__}: {error}")
    file = state_dir() / "crash.txt"
    try:
        write_file(file, "".join(traceback.format_exception(error)).encode())
    except GputuiError as problem:
        return GputuiError(what, f"The details could not be written: {problem.message}.")
    return GputuiError(what, f"Models go on running. Please report it with {file}.")


def report(error: GputuiError) -> None:
    """An error as a user sees it: what is wrong and where, then what to do."""
    click.echo(f"gputui: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
