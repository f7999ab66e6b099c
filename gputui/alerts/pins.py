"""Whether a server is where it was pinned, by the processes that NVML shows on each GPU."""

from __future__ import annotations

from collections.abc import Sequence

from gputui.gpu.sample import GpuSample
from gputui.instances.status import InstanceStatus, State
from gputui.text import size

_EMPTY_BYTES = 200 << 20
"""A GPU of which less is used holds no model: the context of one process alone takes about as much."""


def misplaced(status: InstanceStatus, rig: Sequence[GpuSample]) -> str | None:
    """Where an instance is other than pinned, in words; "" where it is right, None where not known.

    ``rig`` are all GPUs that are known now. A process that this host does not know for certain is
    nobody: in a container NVML's pids are those of the host.
    """
    if not status.owned or status.pid is None or not status.gpus:
        return None
    if any(gpu.identity.simulated for gpu in rig) or not _lists_known(rig):
        return None
    at = f"is pinned to {_names([gpu for gpu in rig if gpu.identity.uuid in status.gpus])}"
    elsewhere = [
        f"{size(held)} on GPU {gpu.identity.index}"
        if held is not None
        else f"memory on {_names([gpu])}"
        for gpu in rig
        if gpu.identity.uuid not in status.gpus and status.pid in _visible(gpu)
        for held in (_visible(gpu)[status.pid],)
    ]
    if elsewhere:
        return f"{at} and holds {', '.join(elsewhere)}"
    own = [gpu for gpu in rig if gpu.identity.uuid in status.gpus]
    if any(status.pid in _visible(gpu) for gpu in own):
        return ""
    if (
        status.state is not State.READY
        or not status.offloads
        or len(own) < len(status.gpus)
        or not _would_show(own, rig)
    ):
        return None
    return f"{at} and holds no memory there"


def _lists_known(rig: Sequence[GpuSample]) -> bool:
    known = [gpu for gpu in rig if gpu.problem is None and gpu.processes_problem is None]
    return bool(known) and len(known) == len(rig)


def _visible(gpu: GpuSample) -> dict[int, int | None]:
    """What each process that this host knows holds there, in bytes."""
    return {p.pid: p.used_gpu_memory for p in gpu.processes if p.host is not None}


def _would_show(own: Sequence[GpuSample], rig: Sequence[GpuSample]) -> bool:
    """Whether a process of this host that is on these GPUs would be in their lists.

    So where such a one is in any list, and no other that may be ours under another pid; or else where
    the GPUs are all but empty.
    """
    if any(process.host is None for gpu in own for process in gpu.processes):
        return False
    if any(_visible(gpu) for gpu in rig):
        return True
    used = [gpu.get("memory_used") for gpu in own]
    return all(value is not None and value < _EMPTY_BYTES for value in used)


def _names(gpus: Sequence[GpuSample]) -> str:
    return ", ".join(f"GPU {gpu.identity.index}" for gpu in gpus) or "a GPU that is gone"
