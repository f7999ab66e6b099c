"""What gputui costs, beside its peers: one command, one report. Nothing passes or fails.

    python -m tests.bench                  all of it, and its tables into README.md (15 minutes)
    python -m tests.bench --quick          a look at all of it (3 minutes); README.md stays as it is
    python -m tests.bench wire --gpus 2 --size 160x45 --program gputui --program nvitop
    python -m tests.bench chat --rate 200 --kind prose
    python -m tests.bench startup

Let the machine do nothing else meanwhile. The peers are installed from PyPI at first use, each into a
virtual environment of its own in the cache folder.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import chat, report, startup, wire
from tests.bench.programs import PROGRAMS, Program, chosen
from tests.bench.streams import KINDS
from tests.bench.surroundings import ROOT
from tests.bench.wire import Plan, Setting
from tests.support.standin_nvml import NoCompilerError, StandinNvml, compile_library

WIDE, NARROW = (160, 45), (80, 24)
FULL_WIRE = Plan(
    {Setting(2, *WIDE): 3} | {Setting(gpus, *WIDE): 1 for gpus in (8, 16)}
    | {Setting(gpus, *NARROW): 1 for gpus in (2, 8, 16)},
    seconds=8.0,
)  # fmt: skip
QUICK_WIRE = Plan({Setting(gpus, *WIDE): 1 for gpus in (2, 16)}, seconds=4.0)
HISTORY = (1, 50, 500)
FULL_CHAT = (
    *(
        chat.Case(program, kind, rate)
        for rate in (200, 100, 50)
        for kind in KINDS
        for program in (chat.GPUTUI, chat.BASELINE)
        if program == chat.GPUTUI or rate == 200
    ),
    *(chat.Case(chat.GPUTUI, "prose", 200, turns) for turns in HISTORY),
)
QUICK_CHAT = tuple(
    chat.Case(program, kind, 200)
    for kind in ("prose", "code")
    for program in (chat.GPUTUI, chat.BASELINE)
)
FULL_CHAT_SECONDS, QUICK_CHAT_SECONDS = 6.0, 4.0


def run_all(options: argparse.Namespace) -> Iterator[str]:
    """Everything; README.md has its tables afterwards, unless it was only a look."""
    quick = options.quick
    plan = QUICK_WIRE if quick else FULL_WIRE
    whole = report.Whole(
        _wire(plan, PROGRAMS),
        plan.seconds,
        chat.run(QUICK_CHAT, QUICK_CHAT_SECONDS)
        if quick
        else chat.run(FULL_CHAT, FULL_CHAT_SECONDS),
        startup.run(),
    )
    if not quick:
        report.put(ROOT / "README.md", report.for_readme(whole))
    yield from report.full(whole)


def run_wire(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the wire bench's tables."""
    rounds = {}
    for gpus in options.gpus:
        for size in options.size:
            columns, rows = (int(number) for number in size.split("x"))
            rounds[Setting(gpus, columns, rows)] = options.rounds
    results = _wire(Plan(rounds, options.seconds), chosen(options.program))
    yield from wire.report(results, options.seconds)


def _wire(plan: Plan, programs: Sequence[Program]) -> wire.Results:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            standin = StandinNvml(compile_library(folder), folder)
        except NoCompilerError as error:
            raise SystemExit(str(error)) from None
        return wire.run(plan, programs, standin, folder)


def run_chat(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the chat bench's table."""
    cases = [
        chat.Case(program, kind, rate, turns)
        for rate in options.rate
        for kind in options.kind
        for turns in options.turns
        for program in options.program or (chat.GPUTUI, chat.BASELINE)
        if not turns or program == chat.GPUTUI
    ]
    yield from chat.report(chat.run(cases, options.seconds))


def run_startup(_: argparse.Namespace) -> Iterator[str]:
    """The lines of the start-up's tables."""
    yield from startup.report(startup.run())


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a look, in 3 minutes")
    parser.set_defaults(run=run_all)
    parts = parser.add_subparsers()
    part = parts.add_parser("wire", help="gputui and its peers, idle")
    part.set_defaults(run=run_wire)
    part.add_argument("--gpus", type=int, nargs="+", default=[2], metavar="1..16")
    part.add_argument("--size", nargs="+", default=["160x45"], metavar="COLUMNSxROWS")
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--seconds", type=float, default=8.0, help="measured in each round")
    part.add_argument("--program", action="append", default=[], metavar="NAME|NAME=COMMAND")
    part = parts.add_parser("chat", help="two answers that stream")
    part.set_defaults(run=run_chat)
    part.add_argument("--rate", type=int, nargs="+", default=[200], help="tokens a second a side")
    part.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    part.add_argument("--turns", type=int, nargs="+", default=[0], help="before")
    part.add_argument("--seconds", type=float, default=8.0)
    part.add_argument("--program", action="append", choices=(chat.GPUTUI, chat.BASELINE))
    part = parts.add_parser("startup", help="what is imported before the first picture")
    part.set_defaults(run=run_startup)
    return parser


def main() -> None:
    """Run what is asked for and print it."""
    options = arguments().parse_args()
    for line in options.run(options):
        print(line)


if __name__ == "__main__":
    main()
