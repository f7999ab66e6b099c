"""Two answers that stream into the chat: what is shown in time, what it costs, how keys answer.

gputui in a pseudo-terminal of 200×50, asked by its prompt; the answers come from a server in a process
of its own. Beside it, Textual's MarkdownStream as it comes (tests/bench/markdown_panes.py).
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Turn
from tests.bench.chat_reading import Key, Shown, milliseconds, read
from tests.bench.figures import ratio, table, written
from tests.bench.measures import between, pss_mib, spent
from tests.bench.streams import SIDES, streams
from tests.bench.surroundings import ROOT, configure, environment
from tests.support.pty_terminal import PtyTerminal

SIZE = (200, 50)
GRACE_SECONDS = 1.0
"""After the last token: the finished answer is laid out as Markdown in it, and is paid for."""
PREFIX, LETTERS = "::", "abcdefghklmnprtv"
ENOUGH = 100
"""Keys, of which a 99th percentile can be told."""
GPUTUI, BASELINE = "gputui", "MarkdownStream"


class Case(NamedTuple):
    """Two answers of a kind at a rate each, in a conversation that has so many turns already."""

    program: str
    kind: str
    rate: int
    turns: int = 0

    def __str__(self) -> str:
        turns = f", {self.turns} turns before" if self.turns else ""
        return f"{self.program}, {self.kind}, 2×{self.rate} tok/s{turns}"


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one case cost. ``tokens`` of both sides together; ``mib`` when all has come."""

    case: Case
    tokens: int
    cpu_seconds: float
    byte_count: int
    mib: float
    shown: Shown

    @property
    def cpu_per_1000(self) -> float:
        """Seconds, user and system."""
        return 1000 * self.cpu_seconds / self.tokens

    @property
    def bytes_per_token(self) -> float:
        """Bytes that went to the terminal."""
        return self.byte_count / self.tokens


class FailedError(Exception):
    """Why a case could not be measured."""


def measure(case: Case, seconds: float) -> Streamed:
    """Let both sides stream for ``seconds``. Raises FailedError."""
    count = round(case.rate * seconds)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(token_server(folder, case.kind, case.rate, count))
        terminal = PtyTerminal(_command(case, folder, server), SIZE, environment(folder))
        stack.callback(terminal.close)
        _ready(terminal, case)
        before, at = spent(terminal.pid), len(terminal.reads)
        terminal.type("\r")
        keys = list(_keys(terminal, folder, seconds))
        terminal.read_for(GRACE_SECONDS)
        used, memory = between(before, spent(terminal.pid)), pss_mib(terminal.pid)
        sent = {side: json.loads((folder / f"sent-{side}.json").read_text()) for side in SIDES}
        shown = read(terminal.reads, SIZE, streams(case.kind, count), sent, keys)
        came = sum(len(data) for _, data in terminal.reads[at:])
        return Streamed(case, 2 * count, used.cpu_seconds, came, memory, shown)


@contextlib.contextmanager
def token_server(folder: Path, kind: str, rate: int, count: int) -> Iterator[str]:
    """The server of tests/bench/token_server.py; where it listens."""
    words = (str(folder), kind, str(rate), str(count))
    command = [sys.executable, "-m", "tests.bench.token_server", *words]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        while not (folder / "port").exists():
            if process.poll() is not None:
                raise FailedError("the token server ended")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{(folder / 'port').read_text()}"
    finally:
        process.kill()
        process.wait()


def _command(case: Case, folder: Path, server: str) -> list[str]:
    if case.program == BASELINE:
        urls = (f"{server}/{side}/v1" for side in SIDES)
        return [sys.executable, "-m", "tests.bench.markdown_panes", *urls]
    seat_endpoints(folder, server)
    if case.turns:
        keep_turns(folder / "state" / "gputui" / "gputui.db", case.turns)
    return [sys.executable, "-m", "gputui", "--source", "simulated"]


def seat_endpoints(folder: Path, server: str) -> None:
    """A configuration in which the token server answers on both sides."""
    tables = (
        f'[[endpoints]]\nname = "side-{side}"\nurl = "{server}/{side}/v1"\n' for side in SIDES
    )
    configure(folder, "\n".join(tables))


def keep_turns(path: Path, turns: int) -> None:
    """A conversation of so many turns, as gputui keeps it: half a page of an answer on each side."""
    path.parent.mkdir(parents=True, mode=0o700)
    store, conversation = Store(path), None
    text = "\n\n".join("".join(streams("list", 120)[side].tokens) for side in SIDES)
    for number in range(turns):
        answers = {
            name: Answer(name, f"side-{name.lower()}", "words", text, finish_reason="stop")
            for name in "AB"
        }
        turn = Turn(f"prompt {number + 1}", 1.7e9 + number, answers)
        turn_id = None
        for answer in answers.values():
            conversation, turn_id = store.keep(conversation, turn_id, turn, answer)
    store.close()


def _ready(terminal: PtyTerminal, case: Case) -> None:
    """Until a prompt stands in the prompt's line, in the conversation with all its turns."""
    if case.program == BASELINE:
        terminal.until(lambda screen: "prompt" in screen, "the prompt")
    else:
        terminal.until(lambda screen: "side-a" in screen and "side-b" in screen, "both sides")
        if case.turns:
            terminal.type("o")
            terminal.until(lambda screen: "prompt 1" in screen, "the conversation")
            terminal.type("\r")
            last = f"prompt {case.turns}"
            terminal.until(lambda screen: screen.count(last) > 1, "its last turn")
        terminal.type("c")
    terminal.read_for(1.0)
    terminal.type("go")
    terminal.read_for(0.5)


def _keys(terminal: PtyTerminal, folder: Path, seconds: float) -> Iterator[Key]:
    """Type into the prompt, five keys a second at random times, until both answers have gone out."""
    chance, prompt = random.Random(1), PREFIX  # noqa: S311
    terminal.read_for(0.3)
    terminal.type(PREFIX)
    deadline = time.monotonic() + 3 * seconds + 10
    while not all((folder / f"sent-{side}.json").exists() for side in SIDES):
        if time.monotonic() > deadline:
            raise FailedError(f"the answers do not end:\n{terminal.screen()}")
        if not terminal.read_for(chance.uniform(0.1, 0.3)):
            raise FailedError(f"it ended by itself:\n{terminal.screen()}")
        prompt += chance.choice(LETTERS)
        yield Key(terminal.type(prompt[-1]), prompt)


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured, for so many seconds each; and what was not, with the reason."""

    streamed: tuple[Streamed, ...]
    failed: Mapping[Case, str]
    seconds: float


def run(cases: Sequence[Case], seconds: float) -> Results:
    """All cases, one after the other."""
    streamed, failed = [], {}
    for case in cases:
        print(f"  {case}", flush=True)
        try:
            streamed.append(measure(case, seconds))
        except (FailedError, AssertionError) as error:  # the terminal waited in vain
            failed[case] = str(error)
    return Results(tuple(streamed), failed, seconds)


TITLES = (
    "shown %",
    "in time %",
    "delay p99 ms",
    "first ms",
    "stall ms",
    "CPU s/1000",
    "bytes/token",
    "key p50 ms",
    "key max ms",
    "MiB",
)


def report(results: Results) -> Iterator[str]:
    """The table, keys over all kinds, what failed."""
    yield f"Two answers side by side in 200×50, {results.seconds:g} s each"
    yield ""
    yield from case_table(results.streamed)
    yield ""
    yield from pooled(results.streamed)
    for case, reason in results.failed.items():
        yield f"- {case} is left out: {reason}"


def case_table(streamed: Sequence[Streamed]) -> list[str]:
    """A line a case; then the ratios."""
    rows = [[str(one.case), *_cells(one)] for one in streamed]
    return table(("", *TITLES), [*rows, *_ratios(streamed)])


def _cells(one: Streamed) -> Iterator[str]:
    shown = one.shown
    yield written(100 * shown.share)
    yield written(100 * shown.in_time)
    yield written(milliseconds(shown.delays, 0.99), 0)
    yield written(None if shown.first is None else 1000 * shown.first, 0)
    yield written(1000 * shown.stall, 0)
    yield written(one.cpu_per_1000, 2)
    yield written(one.bytes_per_token, 0)
    yield written(milliseconds(shown.keys, 0.5), 0)
    yield written(milliseconds(shown.keys, 1.0), 0) + ("!" if shown.keys_lost else "")
    yield written(one.mib, 0)


def _ratios(results: Sequence[Streamed]) -> Iterator[list[str]]:
    """gputui to the baseline where both were measured alike."""
    found = {one.case: one for one in results}
    for case, own in found.items():
        other = found.get(case._replace(program=BASELINE))
        if case.program == BASELINE or other is None:
            continue
        cpu = ratio(own.cpu_per_1000, other.cpu_per_1000)
        sent = ratio(own.bytes_per_token, other.bytes_per_token)
        cells = ["", "", "", "", "", f"{written(cpu, 2)}×", f"{written(sent, 2)}×", "", "", ""]
        yield [f"{GPUTUI} / {BASELINE}, {case.kind}, 2×{case.rate}", *cells]


def pooled(results: Sequence[Streamed]) -> Iterator[str]:
    """Keys of all kinds at a rate: enough of them for a 99th percentile."""

    def key(one: Streamed) -> tuple[str, int]:
        return one.case.program, one.case.rate

    for (program, rate), group in groupby(sorted(results, key=key), key):
        runs = list(group)
        keys = [seconds for one in runs for seconds in one.shown.keys]
        cpu = statistics.fmean(one.cpu_per_1000 for one in runs)
        yield (
            f"- {program}, 2×{rate} tok/s, all kinds: {len(keys)} keys,"
            f" p50 {written(milliseconds(keys, 0.5), 0)} ms,"
            f" p99 {written(milliseconds(keys, 0.99) if len(keys) >= ENOUGH else None, 0)} ms,"
            f" longest {written(milliseconds(keys, 1.0), 0)} ms,"
            f" {sum(one.shown.keys_lost for one in runs)} lost; {cpu:.2f} CPU s per 1000 tokens"
        )
