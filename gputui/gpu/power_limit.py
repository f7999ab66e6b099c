"""Holding a GPU to fewer watts: its range, the call, and why it may not.

A limit holds until the driver is unloaded or the machine is booted. Setting one needs root.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gputui.errors import GputuiError
from gputui.gpu.nvml_library import (
    GPU_NOT_FOUND,
    NOT_FOUND,
    Library,
    Unavailable,
    cannot_open,
    gpu_problem,
    unavailable,
)
from gputui.gpu.sample import GpuSample
from gputui.gpu.source import Source
from gputui.identity import GpuIdentity
from gputui.text import clean_line


@dataclass(frozen=True, slots=True)
class PowerRange:
    """The limits a GPU takes and the one it has, in watts; None is not known."""

    limit: float | None = None
    default: float | None = None
    lowest: float | None = None
    highest: float | None = None

    @property
    def words(self) -> str:
        """``150 to 600 W``; a dash where an end is not known."""
        ends = ["–" if watts is None else f"{watts:g}" for watts in (self.lowest, self.highest)]
        return f"{ends[0]} to {ends[1]} W"

    def holds(self, watts: float) -> bool:
        """Whether a limit lies within what is known of the range."""
        too_low = self.lowest is not None and watts < self.lowest
        return not (too_low or (self.highest is not None and watts > self.highest))

    def check(self, gpu: GpuIdentity, watts: float) -> None:
        """Raise LimitRefusedError where a limit does not."""
        if not self.holds(watts):
            raise _out_of_range(gpu, watts, self)


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A limit that was set, in watts: what stood before (None: not known) and what stands now."""

    gpu: GpuIdentity
    before: float | None
    after: float

    @property
    def words(self) -> str:
        """``GPU 1: power limit 575 → 450 W``."""
        if self.before is None:
            return f"GPU {self.gpu.index}: power limit {self.after:g} W"
        return f"GPU {self.gpu.index}: power limit {self.before:g} → {self.after:g} W"


class LimitRefusedError(GputuiError):
    """A limit that this GPU, or this user, cannot set: asked again it would be refused again."""


LimitSetter = Callable[[GpuIdentity, float], LimitChange]
"""Sets a limit in watts, and may block. Raises LimitRefusedError, or GputuiError where the GPU or the
driver does not answer now."""


def power_range(sample: GpuSample) -> PowerRange:
    """What a sample says of the limits."""
    return PowerRange(
        sample.get("power_limit"),
        sample.get("power_default_limit"),
        sample.get("power_min_limit"),
        sample.get("power_max_limit"),
    )


def watts_of(text: str, limits: PowerRange) -> float:
    """The limit that a user typed: ``450``, ``450 W``, ``default``. Raises GputuiError in words.

    Where a range is known, it lies within.
    """
    word = text.strip().lower()
    if word == "default":
        if limits.default is None:
            raise GputuiError("its default is not known", "Give watts.")
        return limits.default
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?) ?w?", word, re.ASCII)
    if not found:
        raise GputuiError(
            f'"{clean_line(text, 20)}" is no limit', "Give watts, as in 450, or the word default."
        )
    watts = float(found[1])
    if not limits.holds(watts):
        raise GputuiError(f"{watts:g} W is out of its range", f"It takes {limits.words}.")
    return watts


def command(gpu: GpuIdentity, watts: float) -> str:
    """What sets this limit with root's rights, for a shell."""
    return f"sudo nvidia-smi -i {shlex.quote(gpu.pci_bus_id or gpu.uuid)} -pl {watts:g}"


def limit_setter(source: Source) -> LimitSetter:
    """What sets limits of the GPUs of ``source``: the driver, or the simulation; none of a recording."""
    if source.name == "nvml":
        return set_limit
    if source.name == "simulated":
        from gputui.gpu.simulated import set_simulated_limit

        return set_simulated_limit
    return _refuse


def _refuse(gpu: GpuIdentity, watts: float) -> LimitChange:
    raise LimitRefusedError(
        f"GPU {gpu.index}: {watts:g} W were not set: it is from a recording",
        "To set a limit of this machine's GPUs, leave --source out.",
    )


def set_limit(gpu: GpuIdentity, watts: float) -> LimitChange:
    """Set a limit through NVML; blocks for as long as the driver does. Raises as LimitSetter says.

    NVML is initialised and shut down here, beside whoever else uses it: it counts its users.
    """
    library = Library()
    failure = library.query("nvmlInit")
    if isinstance(failure, Unavailable):
        problem = cannot_open(failure)
        raise GputuiError(problem.message, problem.hint)
    try:
        return _set(library, gpu, watts)
    finally:
        library.query("nvmlShutdown")


def _set(library: Library, gpu: GpuIdentity, watts: float) -> LimitChange:
    handle = library.query("nvmlDeviceGetHandleByUUID", gpu.uuid)
    if isinstance(handle, Unavailable):
        raise _error(gpu, watts, handle, PowerRange())
    now = _range(library, handle)
    now.check(gpu, watts)
    answer = library.query(
        "nvmlDeviceSetPowerManagementLimit", round(watts * 1000), on=handle
    )  # milliwatts
    if isinstance(answer, Unavailable):
        raise _error(gpu, watts, answer, now)
    after = _watts(library.query("nvmlDeviceGetPowerManagementLimit", on=handle))
    return LimitChange(gpu, now.limit, watts if after is None else after)


def _range(library: Library, handle: Any) -> PowerRange:
    ends = library.query("nvmlDeviceGetPowerManagementLimitConstraints", on=handle)
    lowest, highest = (None, None) if isinstance(ends, Unavailable) else map(_watts, ends)
    return PowerRange(
        _watts(library.query("nvmlDeviceGetPowerManagementLimit", on=handle)),
        _watts(library.query("nvmlDeviceGetPowerManagementDefaultLimit", on=handle)),
        lowest,
        highest,
    )


def _watts(milliwatts: Any) -> float | None:
    return None if isinstance(milliwatts, Unavailable) else float(milliwatts / 1000)


def _error(gpu: GpuIdentity, watts: float, answer: Unavailable, now: PowerRange) -> GputuiError:
    """Why a limit was not set, and the remedy."""
    label = f"GPU {gpu.index} ({gpu.name})"
    match answer.code:
        case 4:  # NO_PERMISSION
            return LimitRefusedError(
                f"{label}: setting a power limit needs root's rights", command(gpu, watts)
            )
        case 3 | 13:  # NOT_SUPPORTED, FUNCTION_NOT_FOUND
            return LimitRefusedError(
                f"{label}: its power limit cannot be set ({answer.reason})",
                "Many laptop GPUs and virtual GPUs have a fixed limit.",
            )
        case 2:  # INVALID_ARGUMENT
            return _out_of_range(gpu, watts, now)
    answer = unavailable(GPU_NOT_FOUND) if answer.code == NOT_FOUND else answer
    problem = gpu_problem(gpu.index, answer)
    return GputuiError(f"{label}: {watts:g} W were not set: {problem.message}", problem.hint)


def _out_of_range(gpu: GpuIdentity, watts: float, now: PowerRange) -> LimitRefusedError:
    default = f" Its default is {now.default:g} W." if now.default is not None else ""
    return LimitRefusedError(
        f"GPU {gpu.index} ({gpu.name}): {watts:g} W is out of its range",
        f"It takes {now.words}.{default}",
    )
