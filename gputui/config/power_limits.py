"""The ``[[power_limits]]`` tables: when each holds, and that no GPU has two limits at a time.

All by the local clock, as a wall shows it: an hour that daylight saving time leaves out is in no window,
one that it repeats is twice in its window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from gputui.config.paths import default_path
from gputui.config.tables import PowerLimitConfig
from gputui.errors import ConfigError
from gputui.identity import GpuIdentity, GpuSelectionError, select_gpu

_DAY = 24 * 60
_Numbered = tuple[int, PowerLimitConfig]


def holds_at(table: PowerLimitConfig, hour: int, minute: int) -> bool:
    """Whether the table's window holds that minute of the local day: ``from`` is in it, ``to`` is not."""
    now = hour * 60 + minute
    return any(begin <= now < end for begin, end in _spans(table))


def window_words(table: PowerLimitConfig) -> str:
    """``22:00 to 07:00``, ``all day``."""
    return "all day" if table.from_ == table.to else f"{table.from_} to {table.to}"


def check_power_limits(tables: Sequence[PowerLimitConfig], file: Path) -> None:
    """Raise ConfigError where the same words name a GPU twice at a time.

    Different words for one GPU are found once the GPUs are known: see ``resolve_power_limits``.
    """
    for (one, first), (other, second) in combinations(enumerate(tables, 1), 2):
        both = {word.lower() for word in first.gpus} & {word.lower() for word in second.gpus}
        if both and _overlap(first, second):
            raise _both(file, (one, first), (other, second), f'"{min(both)}"')


def resolve_power_limits(
    tables: Sequence[PowerLimitConfig], gpus: Sequence[GpuIdentity], file: Path | None = None
) -> tuple[Mapping[str, tuple[PowerLimitConfig, ...]], tuple[ConfigError, ...]]:
    """The tables of each GPU by its UUID, and what is wrong with them.

    A word that names no GPU is left out; of two tables that overlap on a GPU, the first is for it.
    """
    file = file or default_path()
    chosen: dict[str, list[_Numbered]] = {}
    problems: list[ConfigError] = []
    for number, table in enumerate(tables, 1):
        for word in table.gpus:
            try:
                gpu = select_gpu(word, gpus)
            except GpuSelectionError as error:
                where = f"{file}: [[power_limits]] number {number}: gpus"
                problems.append(ConfigError(f"{where}: {error.message}", error.hint))
                continue
            others = chosen.setdefault(gpu.uuid, [])
            clash = next((other for other in others if _overlap(other[1], table)), None)
            if clash is None:
                others.append((number, table))
            elif clash[0] != number:  # named twice in one table is once
                label = f"GPU {gpu.index} ({gpu.name})"
                problems.append(_both(file, clash, (number, table), label))
    return {uuid: tuple(t for _, t in found) for uuid, found in chosen.items()}, tuple(problems)


def _spans(table: PowerLimitConfig) -> tuple[tuple[int, int], ...]:
    """The minutes of the day, from and to, that the window holds."""
    begin, end = (int(time[:2]) * 60 + int(time[3:]) for time in (table.from_, table.to))
    if begin < end:
        return ((begin, end),)
    return ((0, end), (begin, _DAY))


def _overlap(one: PowerLimitConfig, other: PowerLimitConfig) -> bool:
    return any(a < d and c < b for a, b in _spans(one) for c, d in _spans(other))


def _both(file: Path, one: _Numbered, other: _Numbered, gpu: str) -> ConfigError:
    windows = " and ".join(
        f"number {number} ({window_words(table)})" for number, table in (one, other)
    )
    return ConfigError(
        f"{file}: [[power_limits]] {windows} overlap for {gpu}",
        "A GPU has one limit at a time: let one end where the other begins.",
    )
