"""Long runs at speed: what grows, by the hour and by the turn.

    python -m tests.bench.long_run gpus [--gpus 16] [--hours 24] [--speed 720]   a day on the screen
    python -m tests.bench.long_run chat [--turns 10000]                          a conversation, no screen
    python -m tests.bench.long_run screen [--before 9500] [--turns 500]          its end on the screen

``gpus`` records readings that are noise (so that alerts fire and end) and plays them back through the
real program in a pseudo-terminal. ``chat`` and ``screen`` talk to tests/bench/token_server.py. Memory is
the process's PSS; objects are counted in the middle and at the end. A bench, no test: nothing passes or
fails.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gputui.chat.conversation import Conversation
from gputui.chat.keeping.store import Store
from gputui.chat.model import Endpoint
from gputui.gpu.sample import Snapshot
from gputui.gpu.trace_writer import write_trace
from tests.bench.chat import seat_endpoints, token_server
from tests.bench.conversations import fill
from tests.bench.figures import table, written
from tests.bench.measures import Spent, between, pss_mib, spent
from tests.bench.surroundings import environment
from tests.bench.watched import grown, objects
from tests.support.pty_terminal import PtyTerminal
from tests.ui.harness import snapshot

HOUR = 3600.0
TOKENS = 6
NOISE = {
    "utilization_gpu": (0.0, 100.0),
    "power_draw": (20.0, 575.0),
    "temperature_gpu": (30.0, 92.0),  # over 90 for 10 s is an alert
    "fan_speed": (30.0, 100.0),
}


@dataclass(frozen=True, slots=True)
class Point:
    """What the program holds and has used at a point of its run."""

    name: str
    mib: float
    spent: Spent
    byte_count: int


class Watched:
    """gputui in a terminal, looked at now and then."""

    def __init__(self, folder: Path, arguments: Sequence[str], size: tuple[int, int]) -> None:
        self._file = folder / "objects"
        command = [sys.executable, "-m", "tests.bench.watched", str(self._file), *arguments]
        self.terminal = PtyTerminal(command, size, environment(folder))
        self._byte_count = 0
        self.points: list[Point] = []

    def look(self, name: str) -> None:
        """A point; what came so far is counted and let go."""
        self._byte_count += len(self.terminal.written)
        self.terminal.screen()
        self.terminal.forget()
        pid = self.terminal.pid
        self.points.append(Point(name, pss_mib(pid), spent(pid), self._byte_count))

    def objects(self) -> Counter[str]:
        """How many of each type it holds now."""
        self._file.unlink(missing_ok=True)
        os.kill(self.terminal.pid, signal.SIGUSR2)
        deadline = time.monotonic() + 60
        while not self._file.exists():
            if time.monotonic() > deadline or not self.terminal.read_for(0.05):
                raise SystemExit(f"it counts nothing:\n{self.terminal.screen()}")
        return Counter(json.loads(self._file.read_text()))

    def report(self, what: str, before: Counter[str], after: Counter[str], least: int) -> None:
        """A line a point; then the types that grew."""
        rows = []
        for last, one in zip(self.points, self.points[1:], strict=False):
            used = between(last.spent, one.spent)
            sent = (one.byte_count - last.byte_count) / 1024
            cells = (one.mib, used.cpu_seconds, used.cpu_percent, sent)
            rows.append([one.name, *(written(cell, 1) for cell in cells)])
        print(*table((what, "MiB", "CPU s", "CPU %", "KiB sent"), rows), sep="\n")
        print_grown(before, after, least)


def print_grown(before: Counter[str], after: Counter[str], least: int) -> None:
    """The types of which there are more."""
    total = sum(after.values()) - sum(before.values())
    print(f"\nobjects: {sum(before.values())}, then {total:+}; types with {least} or more of them:")
    for name, had, has in grown(before, after, least)[:60]:
        print(f"  {name:<60}{had:9} {has - had:+9}")


def noise(gpus: int, hours: float, interval: float) -> Iterator[Snapshot]:
    """Readings all over their ranges, one snapshot an interval."""
    chance = random.Random(1)  # noqa: S311
    for tick in range(round(hours * HOUR / interval)):
        taken = snapshot(gpus, tick)
        samples = (
            replace(
                one,
                values=dict(one.values) | {n: chance.uniform(*ends) for n, ends in NOISE.items()},
            )
            for one in taken.gpus
        )
        yield replace(taken, taken_at=1.7e9 + tick * interval, gpus=tuple(samples))


def run_gpus(options: argparse.Namespace) -> None:
    """A day of GPUs."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        trace = folder / "day.trace.gz"
        write_trace(trace, noise(options.gpus, options.hours + 1, options.interval))
        arguments = ("--source", str(trace), "--speed", str(options.speed))
        watched = Watched(folder, arguments, (160, 45))
        stack.callback(watched.terminal.close)
        watched.terminal.until(lambda screen: "Instances" in screen, "the dashboard")
        began = time.monotonic()
        watched.look("0")
        early: Counter[str] = Counter()
        for hour in range(1, round(options.hours) + 1):
            due = began + hour * HOUR / options.speed
            if not watched.terminal.read_for(max(0.0, due - time.monotonic())):
                raise SystemExit(f"it ended:\n{watched.terminal.screen()}")
            watched.look(str(hour))
            if hour == max(1, round(options.hours) // 2):
                early = watched.objects()
        print(f"{options.gpus} GPUs, a sample each {options.interval:g} s, {options.speed:g} times")
        watched.report("hour", early, watched.objects(), 20)
        print(watched.terminal.screen())


async def talk(server: str, store: Store, turns: int, every: int) -> None:
    """A conversation of so many turns with no screen."""
    conversation = Conversation(store)
    for name, side in conversation.sides.items():
        side.choose(Endpoint(f"side-{name}", f"{server}/{name.lower()}/v1"))
    before: Counter[str] = Counter()
    rows, last = [], spent(os.getpid())
    for turn in range(1, turns + 1):
        conversation.send(f"prompt {turn}")
        await conversation.wait()
        if turn % every == 0:
            now = spent(os.getpid())
            used, last = between(last, now), now
            memory = pss_mib(os.getpid())
            rows.append([str(turn), written(memory), written(1000 * used.cpu_seconds / every, 2)])
            print(f"  {turn}: {memory:.1f} MiB", flush=True)
        if turn == max(1, turns // 2):
            before = objects()
    print(*table(("turns", "MiB", "CPU ms a turn"), rows), sep="\n")
    print_grown(before, objects(), turns // 20)
    await conversation.close()


def run_chat(options: argparse.Namespace) -> None:
    """Ten thousand turns, no screen."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = Store(folder / "gputui.db")
        with token_server(folder, "prose", 1000, TOKENS) as server:
            asyncio.run(talk(server, store, options.turns, max(1, options.turns // 10)))


def run_screen(options: argparse.Namespace) -> None:
    """The last turns of ten thousand, on the screen."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        server = stack.enter_context(token_server(folder, "prose", 1000, TOKENS))
        seat_endpoints(folder, server)
        database = folder / "state" / "gputui" / "gputui.db"
        database.parent.mkdir(parents=True, mode=0o700)
        if options.before:
            fill(database, options.before, 1, 40)
        watched = Watched(folder, ("--source", "simulated"), (200, 50))
        stack.callback(watched.terminal.close)
        _open(watched.terminal, bool(options.before))
        every = max(1, options.turns // 10)
        watched.look("0")
        early: Counter[str] = Counter()
        for turn in range(1, options.turns + 1):
            _ask(watched.terminal, folder / "answered", turn)
            if turn % every == 0:
                watched.look(str(turn))
                print(f"  {turn}: {watched.points[-1].mib:.1f} MiB", flush=True)
            if turn == max(1, options.turns // 2):
                early = watched.objects()
        print(f"{options.before} turns before, then turn by turn on the screen")
        watched.report("turn", early, watched.objects(), options.turns // 20)


def _open(terminal: PtyTerminal, kept: bool) -> None:
    """Into the prompt, of the kept conversation where there is one."""
    terminal.until(lambda screen: "side-a" in screen and "side-b" in screen, "both sides")
    if kept:
        terminal.type("o")
        terminal.until(lambda screen: "enter opens" in screen or "turns" in screen, "the list")
        terminal.read_for(1.0)
        terminal.type("\r")
        terminal.read_for(5.0)
    terminal.type("c")
    terminal.read_for(1.0)


def _ask(terminal: PtyTerminal, answered: Path, turn: int) -> None:
    """One prompt; until both sides have answered and all is drawn."""
    terminal.type(f"prompt {turn}")
    terminal.read_for(0.03)
    terminal.type("\r")
    deadline = time.monotonic() + 30
    while not answered.exists() or int(answered.read_text()) < 2 * turn:
        if time.monotonic() > deadline or not terminal.read_for(0.02):
            raise SystemExit(f"no answer to prompt {turn}:\n{terminal.screen()}")
    quiet = 0
    while quiet < 3:
        seen = len(terminal.reads)
        terminal.read_for(0.04)
        quiet = quiet + 1 if len(terminal.reads) == seen else 0


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.long_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("gpus")
    part.set_defaults(run=run_gpus)
    part.add_argument("--gpus", type=int, default=16)
    part.add_argument("--hours", type=float, default=24.0)
    part.add_argument("--interval", type=float, default=10.0, help="seconds between samples")
    part.add_argument("--speed", type=float, default=720.0)
    part = parts.add_parser("chat")
    part.set_defaults(run=run_chat)
    part.add_argument("--turns", type=int, default=10_000)
    part = parts.add_parser("screen")
    part.set_defaults(run=run_screen)
    part.add_argument("--before", type=int, default=9_500)
    part.add_argument("--turns", type=int, default=500)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
