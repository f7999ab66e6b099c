"""The processes on a GPU as NVML tells of them: which, what for, how much memory, how busy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gputui.gpu.nvml_library import (
    FUNCTION_NOT_FOUND,
    INSUFFICIENT_SIZE,
    NO_CODE,
    NOT_FOUND,
    NOT_SUPPORTED,
    GpuHandle,
    Unavailable,
)
from gputui.gpu.sample import GpuProcess, ProcessType

_TRIES = 3
"""How often a list is asked for that grew between the call for its size and the call for itself."""

_QUIET_ROUNDS = 15
"""Rounds without a sample after which the mark is doubted: the clock may have been set back."""

_MEMORY_UNKNOWN = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE: WSL, and other users' in some drivers
_NO_LIST = (NOT_SUPPORTED, FUNCTION_NOT_FOUND)  # there can be no process of that kind
_KINDS = (("Compute", ProcessType.COMPUTE), ("Graphics", ProcessType.GRAPHICS))


@dataclass(slots=True)
class SmUtilization:
    """What each process used of the SMs since the last look.

    ``mark`` is the newest time stamp seen, in microseconds of a clock that is the driver's own
    (Unix time with most, time since boot with some), so it is only ever compared with itself.
    """

    mark: int = 0
    quiet: int = 0

    def read(self, handle: GpuHandle, pids: Collection[int]) -> Mapping[int, float | None]:
        """Per cent by pid; None where not known: at the first look, which only sets the mark (what
        the driver holds by then is a mean over minutes), and where the driver says nonsense.

        The driver has no sample of a process that did nothing: that is 0.
        """
        doubtful = self.quiet >= _QUIET_ROUNDS
        since = 0 if doubtful else self.mark
        answer = ask(handle, ("nvmlDeviceGetProcessUtilization", since))
        if isinstance(answer, Unavailable):
            if answer.code not in (NOT_FOUND, NO_CODE):  # NO_CODE: success, and an empty list
                return dict.fromkeys(pids)
            answer = ()
        samples = [sample for sample in answer if sample.pid in pids]
        # Nonsense may carry any time stamp: it never moves the mark.
        sane = [sample for sample in samples if sample.smUtil <= 100]
        newest = max((sample.timeStamp for sample in sane), default=0)
        if since == 0 and newest != self.mark:  # the first look, or the clock was set back
            self.mark, self.quiet = newest, 0
            return dict.fromkeys(pids)
        known: dict[int, float | None] = dict.fromkeys(pids, 0.0)
        known |= dict.fromkeys(sample.pid for sample in samples if sample.timeStamp > self.mark)
        for sample in sorted(sane, key=lambda sample: int(sample.timeStamp)):
            if sample.timeStamp > self.mark:
                known[sample.pid] = float(sample.smUtil)
        self.quiet = 0 if newest > self.mark or doubtful else self.quiet + 1
        self.mark = max(self.mark, newest)
        return known


@dataclass(slots=True)
class ProcessReader:
    """The processes with a context on one GPU, read again at each round."""

    utilization: SmUtilization = field(default_factory=SmUtilization)

    def read(self, handle: GpuHandle) -> tuple[GpuProcess, ...] | Unavailable:
        """The processes by pid, compute and graphics as one list, without names; or why there is none.

        One list that cannot be read leaves the other; with nothing in that, none is known. How busy
        they are is asked only where there are any.
        """
        lists = {kind: _running(handle, name) for name, kind in _KINDS}
        compute, graphics = lists.values()
        if isinstance(compute, Unavailable) and isinstance(graphics, Unavailable):
            return compute
        for answer, other in ((compute, graphics), (graphics, compute)):
            if isinstance(answer, Unavailable) and answer.code not in _NO_LIST and not other:
                return answer
        memory: dict[int, int | None] = {}
        kinds: dict[int, ProcessType] = {}
        for kind, answer in lists.items():
            for process in () if isinstance(answer, Unavailable) else answer:
                pid = int(process.pid)
                # In both lists a process has the same memory, or none in one of them.
                known = (memory.get(pid), _bytes(process.usedGpuMemory))
                memory[pid] = max((m for m in known if m is not None), default=None)
                kinds[pid] = kind if kinds.get(pid, kind) is kind else ProcessType.BOTH
        busy = self.utilization.read(handle, memory) if memory else {}
        return tuple(
            GpuProcess(pid, "", used, kinds[pid], busy[pid]) for pid, used in sorted(memory.items())
        )


def ask(handle: GpuHandle, *calls: tuple[Any, ...]) -> Any:
    """As ``handle.query``, for a list: nvidia-ml-py asks for its size and then for itself, and fails
    where it grew in between."""
    answer: Any = None
    for _ in range(_TRIES):
        answer = handle.query(*calls)
        if not (isinstance(answer, Unavailable) and answer.code == INSUFFICIENT_SIZE):
            break
    return answer


def _running(handle: GpuHandle, kind: str) -> Any:
    call = f"nvmlDeviceGet{kind}RunningProcesses"
    return ask(handle, (call,), (f"{call}_v2",))


def _bytes(answer: int | None) -> int | None:
    return None if answer in (None, _MEMORY_UNKNOWN) else int(answer)
