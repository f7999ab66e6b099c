"""Lists of logical CPUs as the kernel writes them, and what in a configuration goes against them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby, pairwise
from pathlib import Path

from gputui.config.tables import Config, InstanceConfig, flag_name
from gputui.errors import ConfigError

_OWN_PLACEMENT = frozenset(
    {
        *("-C", "--cpu-mask", "-Cr", "--cpu-range", "--cpu-strict"),
        *("-Cb", "--cpu-mask-batch", "-Crb", "--cpu-range-batch", "--cpu-strict-batch"),
    }
)
"""llama-server's own flags for the same: they would undo ``cpus`` in its threads."""


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list such as ``0-15,32-47``; () for an empty one.

    Raises ValueError where it is none, or a range runs backwards.
    """
    cpus: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        start, end = int(first), int(last) if dash else int(first)
        if end < start or start < 0 or end > 9999:
            raise ValueError(part)
        cpus.update(range(start, end + 1))
    return frozenset(cpus)


def format_cpus(cpus: Collection[int]) -> str:
    """``0-15,32``, as ``parse_cpus`` takes it; "" for none."""
    runs = groupby(enumerate(sorted(cpus)), key=lambda pair: pair[1] - pair[0])
    parts: list[str] = []
    for _, run in runs:
        numbers = [cpu for _, cpu in run]
        parts.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ",".join(parts)


def check_cpus(config: Config, file: Path) -> None:
    """Raise ConfigError for a range that runs backwards, and for flags that say the same otherwise."""
    for instance in config.instances:
        where = f"{file}: [[instances]] {instance.name}"
        try:
            parse_cpus(instance.cpus or "")
        except ValueError as error:
            raise ConfigError(
                f'{where}: cpus = "{instance.cpus}": {error} runs backwards',
                "Write the lower number first.",
            ) from None
        flag = _conflict(instance)
        if flag is not None:
            key = "cpus" if instance.cpus is not None else "numa_node"
            raise ConfigError(
                f'{where}: args has "{flag}", which says otherwise than {key}',
                "Leave one of the two out.",
            )


def warnings(config: Config) -> tuple[str, ...]:
    """What works and is hardly meant: more threads than CPUs, CPUs that two instances share."""
    return (*_threads_over(config), *_shared(config))


def _threads_over(config: Config) -> Iterator[str]:
    for instance in config.instances:
        cpus = parse_cpus(instance.cpus or "")
        if cpus and instance.threads is not None and instance.threads > len(cpus):
            count = f"{len(cpus)} CPU{'s' * (len(cpus) > 1)}"
            yield f"{instance.name}: {instance.threads} threads on {count}: they wait for each other"


def _shared(config: Config) -> Iterator[str]:
    placed = [i for i in config.instances if i.cpus]
    for number, one in enumerate(placed):
        for other in placed[number + 1 :]:
            shared = parse_cpus(one.cpus or "") & parse_cpus(other.cpus or "")
            if shared and (one.group is None or one.group != other.group):
                yield f"{one.name} and {other.name} share CPUs {format_cpus(shared)}"


def _conflict(instance: InstanceConfig) -> str | None:
    """``--numa numactl`` goes with a placement: the server then uses the CPUs it was given."""
    if instance.cpus is None and instance.numa_node is None:
        return None
    for arg, following in pairwise((*instance.args, "")):
        written, equals, value = arg.partition("=")
        flag = flag_name(arg)
        if flag in _OWN_PLACEMENT:
            return written
        if flag == "--numa" and (value if equals else following) != "numactl":
            return flag
    return None
