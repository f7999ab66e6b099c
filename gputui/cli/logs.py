"""``gputui logs``: the log of an instance."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import click

from gputui import config as configuration
from gputui.cli.root import common_options, options_of
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean_line, nearest

if TYPE_CHECKING:
    from gputui.instances.log.lines import LogLine, Wanted
    from gputui.instances.log.reader import LogFile

_STEP = 0.2
_AT_ONCE = 500  # lines
_PIECE = 1 << 20


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Lines."
)
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="debug",
    help="Only lines of this level and graver.",
)
@click.option("--grep", metavar="TEXT", help="Only lines with this text.")
@click.option("--previous", is_flag=True, help="The log before this one.")
@common_options
@click.pass_context
def command(
    context: click.Context,
    name: str,
    follow: bool,
    lines: int,
    level: str,
    grep: str | None,
    previous: bool,
) -> None:
    """Print the end of an instance's log, and with -f what comes.

    The log before the last start, or before this one became too large, has the same name with .1 added.
    Capitals count in --grep only where the text has one.
    """
    from gputui.instances.log.lines import Level, Search, Wanted
    from gputui.instances.log.reader import InstanceLog
    from gputui.instances.records import Paths

    if follow and previous:
        raise click.UsageError("The log before this one does not grow: --previous or -f, not both.")
    names = [instance.name for instance in options_of(context).load_config().instances]
    path = Paths(configuration.state_dir()).log(name)
    if name not in names and not path.is_file():
        near = nearest(name, names)
        hint = f'Did you mean "{near}"?' if near else f"Configured: {', '.join(names) or 'none'}."
        raise ConfigError(f'no instance is named "{clean_line(name, 80)}"', hint)
    file = InstanceLog(path).open(1 if previous else 0)
    if file.inode is None:
        raise _no_log(name, file, previous=previous)
    wanted = Wanted(Level[level.upper()], Search(grep) if grep else None)
    with contextlib.closing(_shown(file, lines, wanted, follow)) as shown:
        for line in shown:
            click.echo(line.text)
            sys.stdout.flush()


def _no_log(name: str, file: LogFile, *, previous: bool) -> GputuiError:
    if file.path.exists():
        return GputuiError(f"{file.path}: {file.trouble}")
    if previous:
        return GputuiError(f"{name} has no log before this one", f"{file.path}")
    return GputuiError(f"{name} has no log: it was never started here", f"{file.path}")


def _shown(
    file: LogFile, lines: int, wanted: Wanted, follow: bool
) -> Generator[LogLine, None, None]:
    """The last lines, and with ``follow`` what comes, for ever."""
    end = file.whole_end if follow else file.size
    at, edge = file.start_of_last(lines, wanted), lines == 0
    while not edge:
        page = file.lines_from(at, _AT_ONCE, wanted)
        yield from (line for line in page.lines if line.end <= end)
        at, edge = page.reached, page.edge
    if file.trouble:
        raise GputuiError(f"{file.path}: {file.trouble}")
    if follow:
        yield from _grown(file, end, wanted)


def _grown(file: LogFile, start: int, wanted: Wanted) -> Iterator[LogLine]:
    """What is added to the log; a log that is cut, or begun anew, goes on."""
    from gputui.instances.log.lines import LineFeed
    from gputui.llama.growing import GrowingLog

    growing, feed = GrowingLog(file.path), LineFeed(file.level_before(start))
    try:
        growing.start_at(start)
        while True:
            with contextlib.suppress(FileNotFoundError):  # a start is about to make it
                while data := growing.read(_PIECE):
                    yield from (line for line in feed.take(data) if wanted.takes(line))
            time.sleep(_STEP)
    except OSError as error:
        raise GputuiError(f"{file.path}: {error.strerror}") from error
