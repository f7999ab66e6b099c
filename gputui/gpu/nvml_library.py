"""The one place where NVML is called: every answer is a value or a reason, never an exception.

Codes and constants are those of nvml.h, which are its ABI.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, ModuleType
from typing import Any

from gputui.gpu.sample import Problem

UNINITIALIZED = 1
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
GPU_NOT_FOUND = 28

NO_CODE = 0
"""The code of an Unavailable that is no NVML error: the driver answered, but with no value."""

SETTLED = frozenset({NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND})
"""Answers that will be the same a second later."""

DOWN = frozenset(
    {
        UNINITIALIZED,
        DRIVER_NOT_LOADED,
        GPU_IS_LOST,
        RESET_REQUIRED,
        LIB_RM_VERSION_MISMATCH,
        GPU_NOT_FOUND,
    }
)
"""Answers that stand for the whole GPU, and need NVML to be initialised again."""

_NOT_IN_DRIVER = frozenset({FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH})
_MISSING_SECONDS = 4.0
"""A call that the driver lacks is left out so long: shorter than the slow tier, which asks anew."""

_REASONS = MappingProxyType(
    {
        UNINITIALIZED: "the driver was unloaded",
        NOT_SUPPORTED: "not supported",
        NO_PERMISSION: "no permission",
        NOT_FOUND: "not found",
        DRIVER_NOT_LOADED: "the driver is not loaded",
        10: "timed out",
        11: "interrupt request failed",
        LIBRARY_NOT_FOUND: "no NVIDIA driver library",
        FUNCTION_NOT_FOUND: "not in this driver",
        GPU_IS_LOST: "GPU is lost",
        RESET_REQUIRED: "GPU needs a reset",
        17: "blocked by the operating system",
        LIB_RM_VERSION_MISMATCH: "driver and library versions differ",
        19: "in use",
        20: "the driver is out of memory",
        21: "no data",
        ARGUMENT_VERSION_MISMATCH: "not in this driver",
        26: "not in this driver any more",
        27: "not ready",
        GPU_NOT_FOUND: "GPU not found",
        999: "unknown driver error",
    }
)


Call = tuple[Any, ...]
"""A function's name and its arguments, which can be hashed."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why there is no value: words for people, and NVML's return code."""

    reason: str
    code: int = NO_CODE


@lru_cache(maxsize=128)
def unavailable(code: int) -> Unavailable:
    """What an NVML return code says."""
    return Unavailable(_REASONS.get(code, f"NVML error {code}"), code)


class Library:
    """NVML, through nvidia-ml-py. Usable from several threads."""

    def __init__(self) -> None:
        import pynvml

        self._pynvml: ModuleType = pynvml

    def query(self, function: str, *arguments: Any, on: Any = None) -> Any:
        """The answer of an nvidia-ml-py function, called with the handle ``on`` (if any) first.

        Returns Unavailable instead of raising.
        """
        target = getattr(self._pynvml, function, None)
        if target is None:
            return unavailable(FUNCTION_NOT_FOUND)
        try:
            return target(*arguments) if on is None else target(on, *arguments)
        except self._pynvml.NVMLError as error:
            return unavailable(error.value)
        except self._pynvml.NVMLLibraryMismatchError:
            return unavailable(FUNCTION_NOT_FOUND)
        except UnicodeDecodeError:
            return Unavailable("the driver's answer is garbled")

    def first(self, *calls: Call) -> Any:
        """The answer of the first of ``calls`` that this driver has."""
        return _first(lambda call: self.query(*call), calls)


class GpuHandle:
    """A GPU as NVML knows it. ``down`` says why nothing of it can be read, None while it can.

    What its driver does not have is not asked for at every call, but again and again: another driver
    may have been loaded. ``clock`` gives seconds.
    """

    def __init__(
        self,
        library: Library,
        handle: Any,
        down: Unavailable | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._handle = handle
        self._clock = clock
        self._missing_until: dict[Call, float] = {}
        self._failures: dict[str, Unavailable | None] = {}
        self.down = down

    @property
    def opened(self) -> bool:
        """Whether NVML gave a handle."""
        return self._handle is not None

    def renew(self, answer: Any) -> None:
        """Take what NVML answers when asked for this GPU's handle: one, or why there is none."""
        if isinstance(answer, Unavailable):
            self._handle, self.down = None, answer
        else:
            self._handle, self.down = answer, None

    def query(self, *calls: Call) -> Any:
        """The answer of the first of ``calls`` (function, arguments after the handle) there is.

        Asks nothing of a GPU that is down.
        """
        if self.down is not None:
            return self.down
        answer = _first(self._ask, calls)
        failure = answer if isinstance(answer, Unavailable) else None
        self._failures[calls[0][0]] = failure
        if failure is not None and failure.code in DOWN:
            self.down = failure
        return answer

    def failure(self, function: str) -> Unavailable | None:
        """Why ``function`` (the first of its calls) gave nothing when it was last asked; None where it
        gave something."""
        return self._failures.get(function)

    def _ask(self, call: Call) -> Any:
        until = self._missing_until.get(call) if self._missing_until else None
        if until is not None and self._clock() < until:
            return unavailable(FUNCTION_NOT_FOUND)
        answer = self._library.query(*call, on=self._handle)
        if _is_missing(answer):
            self._missing_until[call] = self._clock() + _MISSING_SECONDS
        return answer


def _first(ask: Callable[[Call], Any], calls: Iterable[Call]) -> Any:
    """What the first call gives that the driver has; the last one's error where it has none."""
    answer: Any = unavailable(FUNCTION_NOT_FOUND)
    for call in calls:
        answer = ask(call)
        if not _is_missing(answer):
            break
    return answer


def _is_missing(answer: Any) -> bool:
    return isinstance(answer, Unavailable) and answer.code in _NOT_IN_DRIVER


_CANNOT_OPEN = MappingProxyType(
    {
        LIBRARY_NOT_FOUND: Problem(
            "no NVIDIA driver is installed (libnvidia-ml.so.1 was not found)",
            "Install the NVIDIA driver. In a container: start it with --gpus all and "
            "NVIDIA_DRIVER_CAPABILITIES=utility,compute. To try gputui: --source simulated.",
        ),
        DRIVER_NOT_LOADED: Problem(
            "the NVIDIA driver is installed, but its kernel module is not loaded",
            "sudo modprobe nvidia. If that fails, dmesg says why: often Secure Boot, or a kernel "
            "newer than the module.",
        ),
        LIB_RM_VERSION_MISMATCH: Problem(
            "the NVIDIA library and the loaded kernel module have different versions "
            "(the driver was updated)",
            "Reboot; or stop all that uses the GPUs and reload the modules: sudo rmmod nvidia_uvm "
            "nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia. Then start gputui again.",
        ),
        NO_PERMISSION: Problem(
            "no permission to talk to the NVIDIA driver",
            "Look at the rights of /dev/nvidiactl and /dev/nvidia0 (groups video and render); in a "
            "container, at the devices that were passed in.",
        ),
    }
)

NO_GPU = Problem(
    "the NVIDIA driver sees no GPU",
    "Does lspci | grep -i nvidia show it? Look at power cables and seat; in a container at --gpus "
    "and NVIDIA_VISIBLE_DEVICES.",
)
"""NVML works and counts no GPU."""


def cannot_open(failure: Unavailable) -> Problem:
    """Why NVML does not start, and the remedy."""
    if failure.code in (NOT_FOUND, GPU_NOT_FOUND):
        return NO_GPU
    return _CANNOT_OPEN.get(failure.code) or Problem(
        f"NVML does not start: {failure.reason}", "See nvidia-smi, and dmesg | grep -i nvrm."
    )


_LOOK = "dmesg | grep -i xid tells more; look at riser, seat and power cables."


def not_listed(pci_bus_id: str) -> Problem:
    """A GPU that fell off the bus is not counted once NVML is initialised again. It cannot be reset."""
    return Problem(
        f"the driver no longer lists this GPU ({pci_bus_id})",
        f"If nobody took it away, power the machine off and on. {_LOOK}",
    )


def gpu_problem(index: int, failure: Unavailable) -> Problem:
    """Why the GPU of that index gives no reading, and the remedy."""
    reset = f"sudo nvidia-smi --gpu-reset -i {index}"
    match failure.code:
        case 15 | 28:  # GPU_IS_LOST, GPU_NOT_FOUND
            return Problem(
                "GPU is lost: it does not answer on the PCIe bus",
                f"Stop what uses it and try {reset}; else power the machine off and on. {_LOOK}",
            )
        case 16:  # RESET_REQUIRED
            return Problem("GPU needs a reset", f"Stop what uses it, then {reset}.")
        case 1 | 9:  # UNINITIALIZED, DRIVER_NOT_LOADED
            return Problem("the driver was unloaded", "gputui connects again when it is back.")
        case 4:  # NO_PERMISSION
            return Problem(
                "no permission to read this GPU",
                f"Look at the rights of /dev/nvidia{index}, or at the container's devices.",
            )
    return Problem(f"GPU does not answer: {failure.reason}", "See dmesg | grep -i -e nvrm -e xid.")
