"""What gputui costs, beside its peers: one command, one report. Nothing passes or fails.

python -m tests.bench                  all of it, and the table into README.md (about 15 minutes)
python -m tests.bench --quick          a look at all of it (about 3 minutes), README.md stays
python -m tests.bench wire --gpus 2 --size 160x45 --program gputui --program nvitop
python -m tests.bench chat --rate 200 --kind prose
python -m tests.bench startup
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import chat, wire
from tests.bench.programs import chosen
from tests.bench.streams import KINDS
from tests.support.standin_nvml import NoCompilerError

GPUS, SIZES = (2, 8, 16), ("80x24", "160x45")


def wire_plan(options: argparse.Namespace) -> wire.Plan:
    """What the command line asks for."""
    settings = []
    for gpus in options.gpus:
        for size in options.size:
            columns, rows = (int(number) for number in size.split("x"))
            settings.append(wire.Setting(gpus, columns, rows))
    return wire.Plan(tuple(settings), options.rounds, options.seconds)


def run_wire(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the wire bench's tables."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            results = wire.run(wire_plan(options), chosen(options.program), Path(folder))
        except NoCompilerError as error:
            raise SystemExit(str(error)) from None
    yield from wire.report(results, options.rounds, options.seconds)


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
    yield from chat.report(chat.run(cases, options.seconds), options.seconds)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true")
    parts = parser.add_subparsers(dest="part")
    part = parts.add_parser("wire", help="gputui and its peers, idle")
    part.set_defaults(run=run_wire)
    part.add_argument("--gpus", type=int, nargs="+", default=[2], metavar="1..16")
    part.add_argument("--size", nargs="+", default=["160x45"], metavar="COLUMNSxROWS")
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--seconds", type=float, default=10.0, help="measured in each round")
    part.add_argument("--program", action="append", default=[], metavar="NAME|NAME=COMMAND")
    part = parts.add_parser("chat", help="two answers that stream")
    part.set_defaults(run=run_chat)
    part.add_argument("--rate", type=int, nargs="+", default=[200], help="tokens a second a side")
    part.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    part.add_argument("--turns", type=int, nargs="+", default=[0], help="before")
    part.add_argument("--seconds", type=float, default=8.0)
    part.add_argument("--program", action="append", choices=(chat.GPUTUI, chat.BASELINE))
    return parser


def main() -> None:
    """Run what is asked for and print it."""
    options = arguments().parse_args()
    for line in options.run(options):
        print(line)


if __name__ == "__main__":
    main()
