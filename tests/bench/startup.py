"""What gputui imports before its first picture, and what that costs: ``python -X importtime``."""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import table, written
from tests.bench.surroundings import environment
from tests.support.pty_terminal import PtyTerminal

LINE = re.compile(r"import time: +(\d+) \| +(\d+) \|( +)(\S+)")
MOST = 10
MARKER = re.compile(r"\d+\.\d/\d+")
PROGRAM = """
import sys
sys.__stderr__ = sys.__stdout__  # where Textual draws: standard error is for the import times
from gputui.cli import main
main()
"""
COMMAND = (sys.executable, "-X", "importtime", "-c", PROGRAM, "--source", "simulated")


@dataclass(frozen=True, slots=True)
class Import:
    """One module: milliseconds of its own, and with all that it was the first to import."""

    name: str
    own_ms: float
    whole_ms: float


@dataclass(frozen=True, slots=True)
class Startup:
    """The modules that were imported when a GPU first stood on the screen; and those that came then."""

    before: tuple[Import, ...]
    after: tuple[Import, ...]


def imports(text: str) -> list[Import]:
    """What ``-X importtime`` wrote, in the order in which the imports ended."""
    return [
        Import(name, int(own) / 1000, int(whole) / 1000)
        for own, whole, _, name in LINE.findall(text)
    ]


def run() -> Startup:
    """Start the dashboard once to warm the disk, once to be read."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _start(folder)
        return _start(folder)


def _start(folder: Path) -> Startup:
    """The times are written to where errors go: into a file."""
    file = folder / "imports"
    command = ["sh", "-c", f"exec {shlex.join(COMMAND)} 2> {shlex.quote(str(file))}"]
    terminal = PtyTerminal(command, (160, 45), environment(folder))
    try:
        terminal.until(lambda screen: MARKER.search(screen) is not None, "the first picture")
        before = imports(file.read_text())
        terminal.read_for(2.0)
        return Startup(tuple(before), tuple(imports(file.read_text())[len(before) :]))
    finally:
        terminal.close()


def report(startup: Startup) -> Iterator[str]:
    """How many modules, the costliest of them, and the costliest packages."""
    own = sum(one.own_ms for one in startup.before)
    yield (
        f"Before the first picture {len(startup.before)} modules are imported, {written(own, 0)} ms"
        f" by python -X importtime, which itself takes time; {len(startup.after)} more in the 2 s after it"
    )
    yield ""
    costliest = sorted(startup.before, key=lambda one: -one.own_ms)[:MOST]
    rows = [[one.name, written(one.own_ms), written(one.whole_ms)] for one in costliest]
    yield from table(("module", "own ms", "with its own imports ms"), rows)
    yield ""
    rows = [
        [name, str(count), written(cost)] for name, count, cost in packages(startup.before)[:MOST]
    ]
    yield from table(("package", "modules", "ms"), rows)


def packages(found: Sequence[Import]) -> list[tuple[str, int, float]]:
    """Top-level packages, their modules and milliseconds; the standard library as one; costliest first."""
    counts: Counter[str] = Counter()
    costs: Counter[str] = Counter()
    for one in found:
        top = one.name.partition(".")[0]
        name = "standard library" if top in sys.stdlib_module_names else top
        counts[name] += 1
        costs[name] += one.own_ms  # type: ignore[assignment]
    return [(name, counts[name], cost) for name, cost in costs.most_common()]
