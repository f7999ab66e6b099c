"""What a source reports: immutable samples, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gputui.gpu.metrics import METRICS
from gputui.host import HostSample
from gputui.identity import GpuIdentity, GpuMemory
from gputui.processes import ProcessIdentity

NOT_READ = "not read yet"
"""The reason of a metric that is read in a moment: a rate, or one with a slow call."""


RECORDED = "recorded"
"""The name of the source that plays a recording."""
SIMULATED = "simulated"
"""The name of the source that simulates GPUs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why readings are missing, and the remedy ("" where there is none)."""

    message: str
    hint: str = ""


class ProcessType(StrEnum):
    """What a process does on a GPU, as nvidia-smi writes it."""

    COMPUTE = "C"
    GRAPHICS = "G"
    BOTH = "C+G"


@dataclass(frozen=True, slots=True)
class HostProcess:
    """A process on a GPU as this host sees it; its texts are cleaned, None is not known.

    ``identity`` tells it from a later process of the same pid. ``own``: it belongs to the user who
    runs gputui. ``started_at`` is Unix time, ``memory`` resident bytes, ``cpu_percent`` of one core.
    """

    identity: ProcessIdentity
    user: str
    command: str
    started_at: float
    own: bool
    memory: int | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process with a context on a GPU. ``name`` is cleaned; None is not known.

    ``used_gpu_memory`` in bytes, ``utilization_sm`` in per cent. ``host`` is None for a foreign pid: a
    process that this host does not show, or not for certain (a container's, say).
    """

    pid: int
    name: str
    used_gpu_memory: int | None
    type: ProcessType = ProcessType.COMPUTE
    utilization_sm: float | None = None
    host: HostProcess | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one moment.

    ``values`` holds what is known, by metric name in base units; every other metric of the table is
    a key of ``unavailable`` with its reason. ``problem`` is set where the whole GPU gives no reading
    (lost, hung). ``shared_memory``: the GPU has no memory of its own (GB10, Grace).
    ``processes_problem`` is why the list of processes is not known; ``processes`` is then ().
    """

    identity: GpuIdentity
    values: Mapping[str, float]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    processes: tuple[GpuProcess, ...] = ()
    problem: Problem | None = None
    shared_memory: bool = False
    processes_problem: str | None = None

    def get(self, metric: str) -> float | None:
        """The value of ``metric`` in its base unit, None where not known."""
        return self.values.get(metric)

    def memory(self, taken_at: float) -> GpuMemory:
        """What its memory holds, as the rooms that know no GPU take it; ``taken_at`` is the sample's."""
        held = {p.pid: p.used_gpu_memory for p in self.processes if p.host is not None}
        return GpuMemory(
            taken_at=taken_at,
            total=self.get("memory_total"),
            used=self.get("memory_used"),
            by_pid=None if self.problem or self.processes_problem else held,
            shared=self.shared_memory,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All GPUs at one moment. ``taken_at`` is Unix time in seconds; ``source`` names the source.

    ``problem`` is set where the source as a whole does not answer; ``gpus`` are then the last known
    or (). ``cuda_version`` is the newest CUDA that the driver knows (``12.8``). ``host`` is the machine
    around the GPUs, None where it was not read.
    """

    source: str
    taken_at: float
    gpus: tuple[GpuSample, ...] = ()
    driver_version: str | None = None
    problem: Problem | None = None
    cuda_version: str | None = None
    host: HostSample | None = None

    @property
    def live(self) -> bool:
        """Whether it is of this machine and of now, so that its pids mean processes here."""
        return self.source != RECORDED

    @property
    def identities(self) -> tuple[GpuIdentity, ...]:
        """The GPUs that the source knows."""
        return tuple(gpu.identity for gpu in self.gpus)

    def memory(self) -> Mapping[str, GpuMemory]:
        """The memory of each GPU by UUID; empty where the sample is not of this machine and of now."""
        return {gpu.identity.uuid: gpu.memory(self.taken_at) for gpu in self.gpus if self.live}


def snapshot_json(
    snapshot: Snapshot, instances: Mapping[int, str] | None = None
) -> dict[str, object]:
    """The shape of ``gputui gpus --json``. ``instances`` gives an instance's name for a pid."""
    problem = snapshot.problem
    return {
        "source": snapshot.source,
        "driver_version": snapshot.driver_version,
        "cuda_version": snapshot.cuda_version,
        "taken_at": snapshot.taken_at,
        "problem": problem and {"message": problem.message, "hint": problem.hint},
        "gpus": [_gpu_json(gpu, instances or {}, snapshot.live) for gpu in snapshot.gpus],
        "host": snapshot.host and _host_json(snapshot.host),
    }


def _host_json(host: HostSample) -> dict[str, object]:
    load = host.load_average
    return {
        "cpu_percent": host.cpu_percent,
        "memory_used_bytes": host.memory_used,
        "memory_total_bytes": host.memory_total,
        "swap_used_bytes": host.swap_used,
        "swap_total_bytes": host.swap_total,
        "load_average": load and list(load),
        "disks": [
            {"mount": disk.mount, "free_bytes": disk.free, "total_bytes": disk.total}
            for disk in host.disks
        ],
    }


def _gpu_json(gpu: GpuSample, instances: Mapping[int, str], live: bool) -> dict[str, object]:
    names = gpu.identity
    missing = {
        metric.key: gpu.unavailable.get(metric.name, NOT_READ)
        for metric in METRICS
        if gpu.get(metric.name) is None
    }
    return {
        "index": names.index,
        "uuid": names.uuid,
        "name": names.name,
        "pci_bus_id": names.pci_bus_id,
        "metrics": {metric.key: gpu.get(metric.name) for metric in METRICS},
        "unavailable": missing,
        "processes": [_process_json(process, instances, live) for process in gpu.processes],
        "processes_unavailable": gpu.processes_problem,
    }


def _process_json(
    process: GpuProcess, instances: Mapping[int, str], live: bool
) -> dict[str, object]:
    """A foreign process is no instance of ours, whatever its pid is here; nor is a recorded one."""
    host = process.host
    return {
        "pid": process.pid,
        "name": process.name,
        "used_gpu_memory_bytes": process.used_gpu_memory,
        "instance": instances.get(process.pid) if host and live else None,
        "type": str(process.type),
        "foreign": host is None if live else None,
        "user": (host.user or None) if host else None,
        "command": (host.command or None) if host else None,
        "started_at": host and host.started_at,
        "utilization_sm_percent": process.utilization_sm,
        "cpu_percent": host and host.cpu_percent,
        "host_memory_bytes": host and host.memory,
    }
