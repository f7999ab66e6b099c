"""``gputui gpus``: what each GPU does now, once or again and again."""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
from collections.abc import Mapping
from queue import SimpleQueue

import click

from gputui import config as configuration
from gputui.cli.compose import make_host_reader, make_source
from gputui.cli.gpus_table import Shown, table
from gputui.cli.root import common_options, options_of, report
from gputui.cli.tables import painted, wants_colour
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.gpu.sample import NOT_READ, Snapshot, snapshot_json
from gputui.gpu.sampler import Sampler
from gputui.gpu.source import Source
from gputui.host import HostReader

QUICK_SECONDS = 0.25
"""Between the first samples: a rate needs two."""
MOST_SAMPLES = 6
"""For a first answer."""
PATIENCE_SECONDS = 10.0
"""Without nvidia-persistenced the driver may need several seconds to wake up."""
LEAST_SECONDS, MOST_SECONDS = 0.1, 3600.0


@click.command("gpus")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--watch",
    "seconds",
    is_flag=False,
    flag_value=0.0,
    type=float,
    metavar="[SECONDS]",
    help="Go on, every SECONDS; as configured without. With --json: one document a line.",
)
@common_options
@click.pass_context
def command(context: click.Context, as_json: bool, seconds: float | None) -> None:
    """Show what each GPU does now."""
    options = options_of(context)
    config = options.load_config()
    if seconds and not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        words = f"--watch takes {LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds"
        raise click.UsageError(words, context)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without "×" is no reason to fail
    source = make_source(options, config)
    host = make_host_reader(config, source)
    if seconds is not None:
        from gputui.cli.gpus_watch import watch

        context.exit(watch(source, host, config, seconds or config.interval, as_json=as_json))
    snapshot = one_shot(source, host)
    failed = snapshot.problem is not None and not snapshot.gpus
    if as_json:
        document = snapshot_json(snapshot, instances_by_pid())
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        context.exit(1 if failed else 0)
    if snapshot.problem is not None and failed:
        raise GputuiError(snapshot.problem.message, snapshot.problem.hint)
    click.echo("\n".join(lines_of(snapshot, config)))
    if snapshot.problem is not None:
        report(GputuiError(snapshot.problem.message, snapshot.problem.hint))


def one_shot(source: Source, host: HostReader | None = None) -> Snapshot:
    """A snapshot of ``source`` in which rates are measured too: they need a second sample.

    Returns with a Problem, soon, where the driver does not answer.
    """
    arrived: SimpleQueue[Snapshot] = SimpleQueue()
    sampler = Sampler(
        source, QUICK_SECONDS, arrived.put, patience=PATIENCE_SECONDS, keep_history=False, host=host
    )
    sampler.start()
    try:
        for number in range(MOST_SAMPLES):
            snapshot = arrived.get()
            if is_settled(snapshot, first=number == 0):
                break
    finally:
        sampler.stop(wait=0.5)
    return snapshot


def is_settled(snapshot: Snapshot, *, first: bool) -> bool:
    """Whether another sample soon would show more than this one."""
    if snapshot.problem is not None:
        return True
    return not first and not any(NOT_READ in gpu.unavailable.values() for gpu in snapshot.gpus)


def lines_of(snapshot: Snapshot, config: Config, session: str = "") -> list[str]:
    """The table as it is printed, for the terminal or the pipe that is there now."""
    width = shutil.get_terminal_size((120, 24)).columns
    shown = Shown(snapshot, instances_by_pid(), config.power, socket.gethostname(), session)
    colour = wants_colour(sys.stdout)
    return [painted(line, width, colour=colour) for line in table(shown, width)]


def instances_by_pid() -> Mapping[int, str]:
    """Instance names by pid, of the instances that run now."""
    from gputui.instances.records import names_by_pid

    return names_by_pid(configuration.state_dir())
