"""The whole report, and the part of it that stands in README.md between two marks."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from tests.bench import chat, startup, wire
from tests.bench.figures import UNKNOWN, median, ratio, table, written
from tests.bench.measures import machine

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True, slots=True)
class Whole:
    """All that one run measured."""

    wire: wire.Results
    wire_seconds: float
    chat: chat.Results
    startup: startup.Startup


def full(whole: Whole) -> Iterator[str]:
    """Every table."""
    yield surroundings()
    yield ""
    yield from wire.report(whole.wire, whole.wire_seconds)
    yield ""
    yield from chat.report(whole.chat)
    yield ""
    yield from startup.report(whole.startup)


def surroundings() -> str:
    """When, on what, with which versions."""
    python, textual = platform.python_version(), metadata.version("textual")
    kernel = platform.release().partition("-")[0]
    return (
        f"Measured {date.today():%Y-%m-%d} on {machine()}, Linux {kernel}, Python {python},"
        f" Textual {textual}."
    )


def for_readme(whole: Whole) -> list[str]:
    """The main setting in full, all settings in short, the chat."""
    main = next(iter(whole.wire.costs))
    return [
        surroundings(),
        "",
        f"Idle, {main}, readings once a second, median (least–most of {_rounds(whole, main)} runs):",
        "",
        *wire.setting_table(whole.wire.costs[main], ratios_of=("gputui",)),
        "",
        *worse(whole.wire.costs[main]),
        "",
        "KiB/s and per cent of a core, by GPUs and size:",
        "",
        *_by_setting(whole.wire),
        "",
        "Programs:",
        "",
        *wire.versions(whole.wire),
        "",
        f"Two answers side by side in 200×50, {whole.chat.seconds:g} s each:",
        "",
        *chat.case_table(whole.chat.streamed),
        "",
        *chat.pooled(whole.chat.streamed),
        *(f"- {case} is left out: {why}" for case, why in whole.chat.failed.items()),
        "",
        f"Before its first picture gputui imports {len(whole.startup.before)} modules.",
    ]


WORDS = {
    "kib_per_second": "bytes",
    "cpu_percent": "CPU",
    "mib": "memory",
    "wakeups_per_second": "wake-ups",
    "first_picture_seconds": "time to the first picture",
    "quit_seconds": "time to quit",
}
ALIKE = 1.05


def worse(costs: Mapping[str, Sequence[wire.Cost]]) -> Iterator[str]:
    """Of what gputui takes more than each peer, in words; nothing within a twentieth of it."""
    own = costs["gputui"]
    for name, runs in costs.items():
        if name.startswith("gputui"):
            continue
        more = []
        for field, word in WORDS.items():
            medians = (median([getattr(cost, field) for cost in one]) for one in (own, runs))
            quotient = ratio(*medians)
            if quotient is not None and quotient > ALIKE:
                more.append(f"{word} ({quotient:.1f}×)")
        yield f"- Worse than {name} in: {', '.join(more) or 'nothing here'}."


def _rounds(whole: Whole, setting: wire.Setting) -> int:
    return max(map(len, whole.wire.costs[setting].values()), default=0)


def _by_setting(results: wire.Results) -> list[str]:
    """A line a program, a column a setting."""
    settings = list(results.costs)
    rows = []
    for one in results.installed:
        name = one.program.name
        cells = [_short(results.costs[setting].get(name, ())) for setting in settings]
        rows.append([name, *cells])
    titles = [f"{one.gpus} GPUs {one.columns}×{one.rows}" for one in settings]
    return table(("", *titles), rows)


def _short(runs: Sequence[wire.Cost]) -> str:
    read: tuple[Callable[[wire.Cost], float], ...] = (
        lambda cost: cost.kib_per_second,
        lambda cost: cost.cpu_percent,
    )
    if not runs:
        return UNKNOWN
    sent, cpu = (median([one(cost) for cost in runs]) for one in read)
    return f"{written(sent, 2)}, {written(cpu, 2)} %"


def put(readme: Path, lines: Sequence[str]) -> None:
    """Replace what stands between the marks. Raises ValueError where they are not there."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} has no {BEGIN} and {END}")
    readme.write_text("\n".join((before + BEGIN, "", *lines, "", END + after)))
