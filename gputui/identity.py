"""Which GPU is which: the names a GPU has, and how people select one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gputui.errors import GputuiError
from gputui.text import nearest


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """The names of one GPU. ``uuid`` is the key; ``index`` is only a label (NVML's, by PCI bus)."""

    index: int
    uuid: str
    name: str
    pci_bus_id: str
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """What a GPU's memory held at one moment, in bytes; None is not known.

    ``taken_at`` is Unix time. ``by_pid``: what each process there holds; None where the list is not known,
    and for a process of which NVML does not say. Processes that this host does not know for certain are
    left out. ``shared``: the GPU has no memory of its own.
    """

    taken_at: float
    total: float | None
    used: float | None
    by_pid: Mapping[int, float | None] | None = None
    shared: bool = False

    @property
    def free(self) -> float | None:
        """What could still be taken."""
        return None if self.total is None or self.used is None else max(0.0, self.total - self.used)


MemoryReader = Callable[[], Mapping[str, GpuMemory]]
"""The memory of each GPU now, by UUID; may block, and be called from any thread. Empty: not known."""


def no_gpu_memory() -> Mapping[str, GpuMemory]:
    """The reader of a machine, or a moment, without GPUs."""
    return {}


class GpuSelectionError(GputuiError):
    """A selector that names no GPU, or more than one."""


def select_gpu(selector: str, gpus: Sequence[GpuIdentity]) -> GpuIdentity:
    """The one GPU that ``selector`` names: its index, UUID, UUID prefix, PCI bus id or part of name.

    The first kind of name under which any GPU matches decides; a number must be a whole word of a name.
    Raises GpuSelectionError where that is none or more than one.
    """
    wanted = selector.strip().lower()
    if not wanted:
        raise GpuSelectionError(f'"{selector}" names no GPU', _hint(selector, gpus))
    tests = (
        lambda g: wanted.isdecimal() and g.index == int(wanted),
        lambda g: g.uuid.lower() == wanted,
        lambda g: _short_bus(g.pci_bus_id) == _short_bus(wanted),
        lambda g: (
            len(wanted) >= 4
            and g.uuid.lower().removeprefix("gpu-").startswith(wanted.removeprefix("gpu-"))
        ),
        lambda g: g.name.lower() == wanted,
        # A number that is no index is no part of "5090" either: 9 must not find it.
        lambda g: wanted in (g.name.lower().split() if wanted.isdecimal() else g.name.lower()),
    )
    for test in tests:
        matches = [gpu for gpu in gpus if test(gpu)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise GpuSelectionError(
                f'"{selector}" names {len(matches)} GPUs: {_list(matches)}',
                "Use the UUID or the PCI bus id instead.",
            )
    raise GpuSelectionError(f'"{selector}" names no GPU', _hint(selector, gpus))


def select_gpus(selectors: Sequence[str], gpus: Sequence[GpuIdentity]) -> tuple[GpuIdentity, ...]:
    """The GPUs that the selectors name, in their order. Raises GpuSelectionError also for a GPU named twice."""
    chosen: list[GpuIdentity] = []
    for selector in selectors:
        gpu = select_gpu(selector, gpus)
        if gpu in chosen:
            raise GpuSelectionError(f'"{selector}" names GPU {gpu.index} a second time')
        chosen.append(gpu)
    return tuple(chosen)


def _short_bus(bus_id: str) -> str:
    """``00000000:01:00.0`` and ``0000:01:00.0`` as people write them: ``01:00.0``; other domains stay."""
    domain, _, rest = bus_id.lower().strip().partition(":")
    if rest.count(":") == 1 and domain.strip("0") == "":
        return rest
    return bus_id.lower().strip()


def short_bus_id(gpu: GpuIdentity) -> str:
    """The PCI bus id without an all-zero domain: ``01:00.0``."""
    return _short_bus(gpu.pci_bus_id)


def gpu_label(uuid: str, gpus: Sequence[GpuIdentity]) -> str:
    """``GPU 1``; by its UUID where it is none of ``gpus``."""
    return f"GPU {next((gpu.index for gpu in gpus if gpu.uuid == uuid), uuid)}"


def short_name(name: str) -> str:
    """A GPU's name without the words that all of them carry."""
    for word in ("NVIDIA ", "GeForce ", " Workstation Edition", " Generation"):
        name = name.replace(word, "")
    return name


def _list(gpus: Sequence[GpuIdentity]) -> str:
    return ", ".join(f"{g.index} ({g.name}, {short_bus_id(g)})" for g in gpus)


def _hint(selector: str, gpus: Sequence[GpuIdentity]) -> str:
    if not gpus:
        return "No GPU is known here. For a server on the CPU write gpus = []."
    words = {word.lower(): gpu for gpu in gpus for word in (gpu.name, *gpu.name.split(), gpu.uuid)}
    near = nearest(selector.lower(), words)
    start = f'Nearest: "{words[near].name}". ' if near else ""
    return f"{start}Known GPUs: {_list(gpus)}."
