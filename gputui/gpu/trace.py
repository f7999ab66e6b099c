"""Traces: snapshots as compressed JSON lines, in a form of their own that outlives our classes.

Version 1. UTF-8, gzip (RFC 1952; a reader takes plain text too). The first line is the header::

    {"gputui_trace": 1, "gputui": "0.1.0", "source": "nvml"}

Each further line is a snapshot. What a line does not say is as on the line before, at first unknown::

    {"taken_at": 1769904000.125,            Unix time in seconds; the only key that must be there
     "driver_version": "570.86.16",         or null
     "cuda_version": "12.8",                or null
     "problem": {"message": "…", "hint": ""},   of the source as a whole, or null
     "gpus": [{"index": 0, "uuid": "GPU-…", "name": "…", "pci_bus_id": "…", "simulated": true}],
     "readings": [{"values": {"power_draw": 545.25, "memory_used": 8589934592},
                   "unavailable": {"fan_speed": "not supported"},
                   "processes": [{"pid": 7, "name": "llama-server", "used_gpu_memory": 5000,
                                  "type": "C+G", "utilization_sm": 31.0}],
                   "processes_unavailable": null,     or why the list is not known
                   "problem": null, "shared_memory": true}],
     "host": {"cpu_percent": 12.5, "memory_used": 5, "memory_total": 9, "swap_used": 0,
              "swap_total": 2, "load_average": [0.5, 1.0, 1.5],
              "disks": [{"mount": "/models", "free": 3, "total": 4}]}}   or null: not read

``gpus`` names all GPUs anew and forgets what was known of them. ``readings`` then has one entry for each
GPU, in that order; it is left out where no GPU has news. Metrics are named as in the metric table, with
values in base units; one is in ``values`` or, with the reason, in ``unavailable``. A metric of which
nothing was ever said is "not recorded". Numbers are rounded to three decimals. Unknown keys, and metrics
that are in no table, are passed over, so that a later version of gputui may say more.

Processes have no user, command line or environment in a trace: it is made to be passed on.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gputui.gpu.sample import ProcessType

TRACE_VERSION = 1
"""The number in the header line; another one is refused."""

MOST_GPUS = 256
"""More in one snapshot are no rig, but a damaged or hostile file."""

_Whole = Annotated[int, Meta(ge=0, le=2**62)]


class Header(Struct):
    """The first line."""

    gputui_trace: int
    gputui: str = ""
    source: str = ""


class WireProblem(Struct, omit_defaults=True):
    """Why readings are missing."""

    message: str
    hint: str = ""


class WireGpu(Struct, omit_defaults=True):
    """Which GPU it is."""

    index: _Whole
    uuid: str
    name: str
    pci_bus_id: str
    simulated: bool = False


class WireProcess(Struct, omit_defaults=True):
    """A process with a context on a GPU."""

    pid: _Whole
    name: str = ""
    used_gpu_memory: _Whole | None = None
    type: ProcessType = ProcessType.COMPUTE
    utilization_sm: float | None = None


class WireReadings(Struct, omit_defaults=True):
    """What is new of one GPU."""

    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    processes: list[WireProcess] | UnsetType = UNSET
    problem: WireProblem | UnsetType | None = UNSET
    shared_memory: bool | UnsetType = UNSET
    processes_unavailable: str | UnsetType | None = UNSET


class WireDisk(Struct):
    """A file system on which models lie."""

    mount: str
    free: _Whole
    total: _Whole


class WireHost(Struct, omit_defaults=True):
    """What is new of the machine."""

    cpu_percent: float | UnsetType | None = UNSET
    memory_used: _Whole | UnsetType | None = UNSET
    memory_total: _Whole | UnsetType | None = UNSET
    swap_used: _Whole | UnsetType | None = UNSET
    swap_total: _Whole | UnsetType | None = UNSET
    load_average: tuple[float, float, float] | UnsetType | None = UNSET
    disks: list[WireDisk] | UnsetType = UNSET


class WireSnapshot(Struct, omit_defaults=True):
    """A line after the header."""

    taken_at: Annotated[float, Meta(ge=0, le=1e11)]
    driver_version: str | UnsetType | None = UNSET
    cuda_version: str | UnsetType | None = UNSET
    problem: WireProblem | UnsetType | None = UNSET
    gpus: Annotated[list[WireGpu], Meta(max_length=MOST_GPUS)] | UnsetType = UNSET
    readings: list[WireReadings] = []
    host: WireHost | UnsetType | None = UNSET
