"""``gputui logs``: the log of an instance."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from gputui import config as configuration
from gputui.cli.root import common_options, options_of
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean, nearest

_STEP = 0.2
_BLOCK = 1 << 16
_LONGEST = 1 << 20  # a line is shown in pieces of at most this many bytes


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Lines."
)
@common_options
@click.pass_context
def command(context: click.Context, name: str, follow: bool, lines: int) -> None:
    """Print the end of an instance's log, and with -f what comes.

    The log before the last start has the same name with .1 added.
    """
    from gputui.instances.records import Paths

    names = [instance.name for instance in options_of(context).load_config().instances]
    path = Paths(configuration.state_dir()).log(name)
    if name not in names and not path.is_file():
        near = nearest(name, names)
        hint = f'Did you mean "{near}"?' if near else f"Configured: {', '.join(names) or 'none'}."
        raise ConfigError(f'no instance is named "{name}"', hint)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise GputuiError(f"{name} has no log: it was never started here", f"{path}") from None
    except OSError as error:
        raise GputuiError(f"{path}: {error.strerror}") from error
    with contextlib.closing(_shown(path, file, lines, follow)) as pieces:
        for piece in pieces:
            click.echo(clean(piece.decode(errors="replace")), nl=False)
            sys.stdout.flush()


def _shown(path: Path, file: BinaryIO, lines: int, follow: bool) -> Generator[bytes, None, None]:
    """The last lines, and with ``follow`` what comes, for ever. Raises GputuiError; the caller's
    own errors (a reader of our output that has seen enough) are not the log's."""
    try:
        with file:
            file.seek(start_of_last(file, lines))
            yield from _lines(file)
            position = file.tell()
        if follow:
            yield from _grown(path, position)
    except OSError as error:
        raise GputuiError(f"{path}: {error.strerror}") from error


def start_of_last(file: BinaryIO, lines: int) -> int:
    """Where the last ``lines`` lines of a file begin, in bytes; read from its end."""
    end = position = file.seek(0, os.SEEK_END)
    wanted = lines
    while position > 0 and wanted >= 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        if position + size == end and not block.endswith(b"\n"):
            wanted -= 1  # a last line without its end
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            if wanted == 0:
                return position + at + 1
            wanted -= 1
    return 0 if lines else end


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LONGEST):
        yield line


def _grown(path: Path, position: int) -> Iterator[bytes]:
    """What is added to the log, for ever; a new start begins a new file."""
    file = path.open("rb")
    file.seek(position)
    try:
        while True:
            yield from _lines(file)
            time.sleep(_STEP)
            if _replaced(path, file):
                file.close()
                file = path.open("rb")
    finally:
        file.close()


def _replaced(path: Path, file: BinaryIO) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
