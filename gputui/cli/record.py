"""``gputui record``: what the GPUs do, into a file that ``--source`` plays back."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING

import click

from gputui.cli.compose import Options, make_host_reader, make_source
from gputui.cli.root import NumberRange, common_options, options_of, report
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.text import size, uptime

if TYPE_CHECKING:
    from gputui.gpu.sample import Snapshot
    from gputui.gpu.source import Source
    from gputui.gpu.trace_writer import TraceWriter
    from gputui.host import HostReader

_WAITING = 4096  # snapshots between sampling and writing at most: then a trace has to wait
_LOOK_SECONDS = 0.2  # a signal is noticed so soon
_CLOSING_SECONDS = 0.5
_TICK = 0.001  # seconds; a trace counts in milliseconds
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("record")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--seconds",
    type=NumberRange(min=0, min_open=True),
    metavar="N",
    help="End after so long; else ctrl-C or SIGTERM ends it.",
)
@click.option(
    "--interval",
    type=NumberRange(0.1, 60),
    metavar="S",
    help="Seconds between samples.  [default: as configured]",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@common_options
@click.pass_context
def command(
    context: click.Context,
    file: Path,
    seconds: float | None,
    interval: float | None,
    force: bool,
) -> None:
    """Record the GPUs into FILE: compressed JSON lines, for bug reports, pictures and tests.

    gputui --source FILE plays it back, with --speed N as fast as you like. Processes are recorded
    with pid, name, memory and utilization, without user and command line.
    """
    options = options_of(context)
    config = options.load_config()
    _refuse_itself(options, config, file)
    source = make_source(options, config)
    from gputui.gpu.trace_writer import TraceWriter

    with TraceWriter(file, source.name, force=force) as writer, _signals() as came:
        click.echo(f"recording {_words(options, source)} into {file}; ctrl-C ends it", err=True)
        sampling = _Sampling(source, interval or config.interval, make_host_reader(config, source))
        done = _record(sampling, writer, _Until(seconds, came))
    click.echo(_summary(writer, done))
    if done.failure is not None:
        raise done.failure


@dataclass
class _Done:
    """What was recorded, and why it ended before the trace that was its source.

    ``told_at``: the time that was given to the newest sample that says the driver does not answer.
    """

    first: float | None = None
    last: float = 0.0
    gpus: int = 0
    told_at: float | None = None
    failure: GputuiError | None = None


class _Until:
    """When to end: after ``seconds``, or when a signal ``came``."""

    def __init__(self, seconds: float | None, came: Sequence[int]) -> None:
        self._end = float("inf") if seconds is None else time.monotonic() + seconds
        self._came = came

    def wait(self) -> float:
        """For how long to wait now, in seconds; 0 or less: no longer."""
        return 0.0 if self._came else min(_LOOK_SECONDS, self._end - time.monotonic())


@dataclass(frozen=True)
class _Sampling:
    """What is sampled, how often in seconds, and what reads the machine beside it."""

    source: Source
    interval: float
    host: HostReader | None


def _record(sampling: _Sampling, writer: TraceWriter, until: _Until) -> _Done:
    """Write samples until it is time, a signal comes, or a trace is over."""
    from gputui.gpu.recorded import END_OF_RECORDING, EndOfRecording
    from gputui.gpu.sampler import Sampler

    arrived: Queue[Snapshot] = Queue(_WAITING)
    sampler = Sampler(
        sampling.source, sampling.interval, arrived.put, keep_history=False, host=sampling.host
    )
    done, told = _Done(), False
    sampler.start()
    for snapshot in _arriving(arrived, until):
        problem = snapshot.problem
        if isinstance(problem, EndOfRecording):
            if problem != END_OF_RECORDING:
                done.failure = GputuiError(problem.message, problem.hint)
            break
        if problem is not None and not told:
            told = True
            report(GputuiError(problem.message, problem.hint))
        _write(writer, snapshot, done, live=sampling.source.live)
    sampler.stop(wait=_CLOSING_SECONDS)
    return done


def _write(writer: TraceWriter, snapshot: Snapshot, done: _Done, *, live: bool) -> None:
    """A sample that says since when the driver does not answer is as old as the last good one: what
    it says is of now. The good one that comes in that very moment is written behind it."""
    if live and snapshot.problem is not None and snapshot.taken_at <= done.last:
        done.told_at = time.time()
        snapshot = replace(snapshot, taken_at=done.told_at)
    elif live and done.told_at is not None and -1 < snapshot.taken_at - done.told_at < _TICK:
        snapshot = replace(snapshot, taken_at=done.told_at + _TICK)
    writer.write(snapshot)
    done.first = snapshot.taken_at if done.first is None else done.first
    done.last = max(done.last, snapshot.taken_at)
    done.gpus = max(done.gpus, len(snapshot.gpus))


def _arriving(arrived: Queue[Snapshot], until: _Until) -> Iterator[Snapshot]:
    while (wait := until.wait()) > 0:
        with contextlib.suppress(Empty):
            yield arrived.get(timeout=wait)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that came within the block; one that is ignored (nohup, a background job of the
    shell) stays so. A handler may interrupt anything, so all that this one does is to append."""
    came: list[int] = []
    handled = [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in handled
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(writer: TraceWriter, done: _Done) -> str:
    span = uptime(0.0 if done.first is None else done.last - done.first)
    path = writer.path
    amount = f", {size(path.stat().st_size)}" if path.is_file() else ""
    gpus = f"{done.gpus} GPU{'s' * (done.gpus != 1)}"
    return f"{path}: {writer.count} samples of {gpus} in {span}{amount}"


def _words(options: Options, source: Source) -> str:
    """What is recorded: a source's name, or the path of a trace."""
    return source.name if source.live or options.source is None else options.source


def _refuse_itself(options: Options, config: Config, file: Path) -> None:
    """Raise GputuiError where the recording would be written over what it is made of."""
    source = Path(options.source or config.source).expanduser()
    if source.exists() and file.exists() and source.samefile(file):
        raise GputuiError(f"{file} is the source: it cannot be recorded into itself")
