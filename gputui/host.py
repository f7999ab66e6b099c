"""The machine around the GPUs: processor, memory, and room for models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system on which models lie: where it is mounted, and its free and whole size in bytes."""

    mount: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class HostSample:
    """The machine at one moment; None is not known. Memory in bytes.

    ``cpu_percent`` is of all cores together. ``memory_used`` is what is not available to a new program.
    ``load_average`` is over 1, 5 and 15 minutes.
    """

    cpu_percent: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    swap_used: int | None = None
    swap_total: int | None = None
    load_average: tuple[float, float, float] | None = None
    disks: tuple[Disk, ...] = ()
