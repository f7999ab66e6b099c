"""``gputui gpus --watch``: the table in place on a terminal, one block a sample on a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

import click

from gputui.cli.gpus import (
    MOST_SAMPLES,
    PATIENCE_SECONDS,
    QUICK_SECONDS,
    instances_by_pid,
    is_settled,
    lines_of,
)
from gputui.config import Config
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.recorded import EndOfRecording
from gputui.gpu.sample import Snapshot, snapshot_json
from gputui.gpu.sampler import Sampler
from gputui.gpu.source import Source
from gputui.host import HostReader
from gputui.power.cost import cost, money
from gputui.power.meter import PowerMeter, since_boot

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGTSTP)


@dataclass(frozen=True, slots=True)
class _Came:
    """A signal, for the loop to act upon: its handler may interrupt anything."""

    number: int


_Events = SimpleQueue[Snapshot | _Came]

MOST_WAITING = 64
"""Samples that wait for a reader who stands still; then live ones are left out, and a trace waits."""


class Printer(Protocol):
    """Where samples go."""

    def show(self, snapshot: Snapshot, session: str) -> None:
        """One sample, and what was used since the start, in words."""

    def again(self) -> None:
        """The last one once more: the terminal has another size, or was somebody else's meanwhile."""

    def leave(self) -> None:
        """Give the terminal back as it was. Idempotent."""


def watch(
    source: Source, host: HostReader | None, config: Config, interval: float, *, as_json: bool
) -> int:
    """Show samples until a signal comes, or on a pipe a recording ends.

    Returns the exit code: ctrl-C is the way to end, and no failure.
    """
    events: _Events = SimpleQueue()
    room = threading.Semaphore(MOST_WAITING)

    def put(snapshot: Snapshot) -> None:
        if room.acquire(blocking=not source.live):
            events.put(snapshot)

    sampler = Sampler(
        source, QUICK_SECONDS, put, patience=PATIENCE_SECONDS, keep_history=False, host=host
    )
    printer: Printer = Documents() if as_json else Blocks(config)
    if sys.stdout.isatty() and not as_json:
        printer = InPlace(config)
    with _signals(events):
        sampler.start()
        try:
            return _loop(
                events,
                room,
                sampler,
                printer,
                PowerMeter(interval, clock=since_boot),
                config,
                interval,
            )
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # Python flushes at its end
            return 0
        finally:
            printer.leave()
            sampler.stop(wait=0.5)


def _loop(
    events: _Events,
    room: threading.Semaphore,
    sampler: Sampler,
    printer: Printer,
    meter: PowerMeter,
    config: Config,
    interval: float,
) -> int:
    samples = 0
    begun = False
    while True:
        event = events.get()
        if isinstance(event, _Came):
            if event.number == signal.SIGWINCH:
                printer.again()
            elif event.number == signal.SIGTSTP:
                printer.leave()
                os.kill(os.getpid(), signal.SIGSTOP)
                printer.again()
            else:
                return 0 if event.number == signal.SIGINT else 128 + event.number
            continue
        room.release()
        meter.sampled(event)
        samples += 1
        if not begun and not is_settled(event, first=samples == 1) and samples < MOST_SAMPLES:
            continue
        if not begun:
            begun = True
            sampler.set_interval(interval)
        if isinstance(printer, InPlace) and not events.empty():
            continue  # a newer one is there already
        printer.show(event, _session(meter, config))
        if isinstance(event.problem, EndOfRecording) and not isinstance(printer, InPlace):
            return 0


def _session(meter: PowerMeter, config: Config) -> str:
    """``1.2 Wh since the start, $0.01``."""
    joules = meter.report().energy.joules
    if not joules:
        return ""
    spent = cost(joules, config.power.price_per_kwh)
    words = f"{METRICS_BY_NAME['total_energy_consumption'].show(joules)} since the start"
    return words if spent is None else f"{words}, {money(spent, config.power.currency)}"


class Documents:
    """JSON, a document a line."""

    def show(self, snapshot: Snapshot, session: str) -> None:
        """As ``gputui gpus --json`` has it."""
        click.echo(json.dumps(snapshot_json(snapshot, instances_by_pid()), ensure_ascii=False))

    def again(self) -> None:
        """Nothing is on a screen."""

    def leave(self) -> None:
        """Nothing is on a screen."""


class Blocks:
    """The table, a blank line, the next table."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def show(self, snapshot: Snapshot, session: str) -> None:
        """The whole table."""
        click.echo("\n".join([*lines_of(snapshot, self._config, session), ""]))

    def again(self) -> None:
        """Nothing is on a screen."""

    def leave(self) -> None:
        """Nothing is on a screen."""


class InPlace:
    """The table from the terminal's first line on; only lines that changed are written."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._last: tuple[Snapshot, str] | None = None
        self._lines: list[str] | None = None
        self._size: os.terminal_size | None = None

    def show(self, snapshot: Snapshot, session: str) -> None:
        """As many lines of the table as the terminal has."""
        self._last = snapshot, session
        size = shutil.get_terminal_size()
        lines = lines_of(snapshot, self._config, session)
        if len(lines) >= size.lines:
            left_out = len(lines) - size.lines + 2
            lines = [*lines[: size.lines - 2], f"… {left_out} lines more: make the terminal higher"]
        if self._lines is None or size != self._size:
            text = HIDE_CURSOR + HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in lines)
        else:
            text = "".join(
                f"\x1b[{row};1H{line}{CLEAR_LINE}"
                for row, line in enumerate(lines, 1)
                if row > len(self._lines) or line != self._lines[row - 1]
            )
            text += f"\x1b[{len(lines) + 1};1H"
        self._lines, self._size = lines, size
        self._write(text + CLEAR_BELOW)

    def again(self) -> None:
        """All of it."""
        self._lines = None
        if self._last is not None:
            self.show(*self._last)

    def leave(self) -> None:
        """The cursor below the table; the table stays."""
        if self._lines is not None:
            self._lines = None
            with contextlib.suppress(OSError):  # the terminal is gone
                self._write(SHOW_CURSOR)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


@contextlib.contextmanager
def _signals(events: _Events) -> Iterator[None]:
    """Signals come as events within the block; one that is ignored (nohup) stays so."""
    before = {
        number: signal.signal(number, lambda number, _frame: events.put(_Came(number)))
        for number in _SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
