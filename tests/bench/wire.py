"""What programs cost on the wire: bytes, processor, memory, wake-ups, the first picture, the quit.

Each program runs in a pseudo-terminal of its own, one after the other in turns, on the stand-in NVML
(tests/support/nvml/scenario.h) whose readings change once a second, the same for all.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench.figures import median, ratio, table, with_spread, written
from tests.bench.measures import MIB, between, pss_mib, spent
from tests.bench.programs import Installed, NotInstalledError, Program, install
from tests.bench.surroundings import INSTANCES, changing_readings, configure, environment
from tests.support.pty_terminal import Emulator, PtyTerminal, Written
from tests.support.standin_nvml import StandinNvml

START_SECONDS = 20.0
SETTLE_SECONDS = 2.5
QUIT_SECONDS = 5.0
GPU_BYTES = 8 * 1024 * MIB


class Setting(NamedTuple):
    """What is on the screen: so many GPUs in so many columns and rows."""

    gpus: int
    columns: int
    rows: int

    def __str__(self) -> str:
        return f"{self.gpus} GPUs, {self.columns}×{self.rows}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each setting, and how many seconds each time.

    Graphs that move in steps of eight columns cost the same in each eight seconds.
    """

    rounds: Mapping[Setting, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of one program.

    ``first_picture_seconds`` is None where no GPU's memory ever stood on the screen, ``quit_seconds``
    where the program did not end, or left the terminal raw. ``gpus_shown`` are those on the screen.
    """

    kib_per_second: float
    cpu_percent: float
    mib: float
    wakeups_per_second: float
    first_picture_seconds: float | None
    quit_seconds: float | None
    gpus_shown: int


@dataclass(frozen=True, slots=True)
class Results:
    """Every run, by setting and program; and why a program was left out."""

    costs: Mapping[Setting, Mapping[str, Sequence[Cost]]]
    installed: tuple[Installed, ...]
    left_out: Mapping[str, str]


class EndedError(Exception):
    """A program ended by itself; with what it said."""


def measure(
    installed: Installed, surroundings: Mapping[str, str], setting: Setting, seconds: float
) -> Cost:
    """Start it, let it settle, watch it for ``seconds``, quit. Raises EndedError."""
    program = installed.program
    size = (setting.columns, setting.rows)
    terminal = PtyTerminal(installed.command, size, surroundings)
    try:
        settled = _settle(terminal, program.keys)
        at, before = len(terminal.reads), spent(terminal.pid)
        if not (settled and terminal.read_for(seconds)):
            said = b"".join(data for _, data in terminal.reads[-3:]).decode(errors="replace")
            raise EndedError(f"{shlex.join(program.command)} ended by itself: {said[-300:]!r}")
        used = between(before, spent(terminal.pid))
        memory, reads = pss_mib(terminal.pid), terminal.reads[:]
        left = _quit(terminal, program.quit_key)
        first, shown = pictures(reads, size, program.marker)
        return Cost(
            sum(len(data) for _, data in reads[at:]) / used.seconds / 1024,
            used.cpu_percent,
            memory,
            used.wakeups_per_second,
            None if first is None else first - terminal.began,
            left,
            shown,
        )
    finally:
        terminal.close()


def _settle(terminal: PtyTerminal, keys: Sequence[str]) -> bool:
    """Let it start, press its keys, let it come to rest; False where it ended."""
    if not terminal.until_written(START_SECONDS):
        return False
    for key in keys:
        if not terminal.read_for(SETTLE_SECONDS / len(keys)):
            return False
        terminal.type(key)
    return terminal.read_for(SETTLE_SECONDS)


def _quit(terminal: PtyTerminal, key: str) -> float | None:
    """Seconds from the key to the end of the process, the terminal as it was before."""
    pressed = terminal.type(key)
    ended = terminal.ended_within(QUIT_SECONDS)
    return None if ended is None or not terminal.is_cooked() else ended - pressed


def pictures(
    reads: Sequence[Written], size: tuple[int, int], marker: str
) -> tuple[float | None, int]:
    """When a GPU first stood on the screen, None for never; how many stand there in the end."""
    emulator, first = Emulator(size), None
    for when, data in reads:
        emulator.feed(data)
        if first is None and re.search(marker, "\n".join(emulator.lines())):
            first = when
    return first, len(re.findall(marker, "\n".join(emulator.lines())))


def run(plan: Plan, programs: Sequence[Program], standin: StandinNvml, folder: Path) -> Results:
    """All programs in turns, ``folder`` their home."""
    standin.set(compute=f"{os.getpid()}:{GPU_BYTES}")
    configure(folder, INSTANCES)
    surroundings = environment(folder) | standin.environment()
    left_out: dict[str, str] = {}
    there = tuple(_there(programs, standin, surroundings, left_out))
    costs: dict[Setting, dict[str, list[Cost]]] = {}
    for setting, rounds in plan.rounds.items():
        costs[setting] = defaultdict(list)
        for turn in range(rounds):
            for one in there:
                print(f"  {setting}, turn {turn + 1}: {one.program.name}", flush=True)
                try:
                    with changing_readings(standin, setting.gpus):
                        cost = measure(one, surroundings, setting, plan.seconds)
                except EndedError as error:
                    left_out[f"{one.program.name} ({setting})"] = str(error)
                else:
                    costs[setting][one.program.name].append(cost)
    return Results(costs, there, left_out)


def _there(
    programs: Sequence[Program],
    standin: StandinNvml,
    surroundings: Mapping[str, str],
    left_out: dict[str, str],
) -> Iterator[Installed]:
    """Those that can be started and show a GPU of the stand-in; a first start also warms the disk."""
    for program in programs:
        try:
            installed = install(program)
            with changing_readings(standin, 2):
                cost = measure(installed, surroundings, Setting(2, 160, 45), 0.5)
        except (NotInstalledError, EndedError) as error:
            left_out[program.name] = str(error)
            continue
        if cost.first_picture_seconds is None:
            left_out[program.name] = "it shows no GPU of the stand-in NVML library"
        else:
            yield installed


TITLES = (
    "KiB/s",
    "CPU %",
    "MiB",
    "wake-ups/s",
    "first picture s",
    "quit s",
    "GPUs shown",
)


def setting_table(
    costs: Mapping[str, Sequence[Cost]], ratios_of: Sequence[str] | None = None
) -> list[str]:
    """A line a program, median and least to most; then the ratios of gputui's to each peer."""
    rows = [[name, *_cells(runs)] for name, runs in costs.items()]
    own = [name for name in costs if name.startswith("gputui")]
    for one in own if ratios_of is None else ratios_of:
        for other in costs:
            if other not in own:
                rows.append([f"{one} / {other}", *_ratios(costs[one], costs[other])])
    return table(("", *TITLES), rows)


FIELDS = (
    ("kib_per_second", 2),
    ("cpu_percent", 2),
    ("mib", 0),
    ("wakeups_per_second", 1),
    ("first_picture_seconds", 2),
    ("quit_seconds", 2),
)


def _cells(runs: Sequence[Cost]) -> Iterator[str]:
    for name, digits in FIELDS:
        yield with_spread([getattr(cost, name) for cost in runs], digits)
    yield str(min(cost.gpus_shown for cost in runs))


def _ratios(one: Sequence[Cost], other: Sequence[Cost]) -> Iterator[str]:
    for name, _ in FIELDS:
        medians = (median([getattr(cost, name) for cost in runs]) for runs in (one, other))
        quotient = ratio(*medians)
        yield written(quotient, 2) + ("×" if quotient is not None else "")
    yield ""


def report(results: Results, seconds: float) -> Iterator[str]:
    """A table a setting, and what stands behind it."""
    for setting, costs in results.costs.items():
        rounds = max(map(len, costs.values()), default=0)
        yield f"{setting}: {rounds} × {seconds:g} s, median (least–most)"
        yield ""
        yield from setting_table(costs)
        yield ""
    yield from versions(results)


def versions(results: Results) -> Iterator[str]:
    """Which programs were measured, which were not and why."""
    for one in results.installed:
        textual = f", Textual {one.textual}" if one.textual else ""
        note = f": {one.program.note}" if one.program.note else ""
        yield f"- {one.program.name} {one.version}{textual}{note}"
    for name, reason in results.left_out.items():
        yield f"- {name} is left out: {reason}"
