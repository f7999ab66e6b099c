"""The two GPUs of the reference rig, simulated: their load is that of the processes pinned to them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp

from gputui.gpu.metrics import METRICS
from gputui.gpu.power_limit import LimitChange, PowerRange
from gputui.gpu.sample import SIMULATED, GpuProcess, GpuSample, Snapshot
from gputui.identity import GpuIdentity
from gputui.text import clean_line

MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Model:
    """What the data sheet says of a GPU, and how it behaves between idle and full load."""

    identity: GpuIdentity
    memory_total: int
    memory_baseline: int
    memory_reserved: int
    power_limit: float
    power_range: tuple[float, float]
    power_idle: float
    clock_sm_max: float
    clock_mem_max: float
    temperature_full: float
    temperature_slowdown: float
    is_professional: bool


_MODELS = (
    _Model(
        GpuIdentity(
            0,
            "GPU-5b1e0d6c-96b0-4a6e-9c1f-0000000006a0",
            "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
            "00000000:01:00.0",
            simulated=True,
        ),
        memory_total=97887 * MIB,
        memory_baseline=604 * MIB,
        memory_reserved=638 * MIB,
        power_limit=600,
        power_range=(150, 600),
        power_idle=24,
        clock_sm_max=3090e6,
        clock_mem_max=14001e6,
        temperature_full=78,
        temperature_slowdown=92,
        is_professional=True,
    ),
    _Model(
        GpuIdentity(
            1,
            "GPU-5b1e0d6c-32b0-4a6e-9c1f-000000005090",
            "NVIDIA GeForce RTX 5090",
            "00000000:21:00.0",
            simulated=True,
        ),
        memory_total=32607 * MIB,
        memory_baseline=487 * MIB,
        memory_reserved=512 * MIB,
        power_limit=575,
        power_range=(400, 600),
        power_idle=18,
        clock_sm_max=3090e6,
        clock_mem_max=14001e6,
        temperature_full=74,
        temperature_slowdown=90,
        is_professional=False,
    ),
)

SIMULATED_GPUS: tuple[GpuIdentity, ...] = tuple(model.identity for model in _MODELS)
"""The identities of the simulated GPUs; always the same."""

_AMBIENT = 27.0  # °C
_IDLE_RISE = 9.0  # °C above ambient
_WARMING_SECONDS = 25.0  # time constant of the temperature
_SHUTDOWN_ABOVE = 5.0  # °C from slowing down to shutting down
_CUDA_VERSION = "12.8"
_IDLE_BELOW = 2.0  # % load
_CLOCK_IDLE = 180e6
_CLOCK_MEM_IDLE = 405e6
_CLOCK_STEP = 15e6
_PCIE_FULL = 1.6e9  # bytes/s at full load: activations, not weights


_limits: dict[str, float] = {}
"""Limits that were set, by UUID: one for the process, as a driver's are for the machine."""


def set_simulated_limit(gpu: GpuIdentity, watts: float) -> LimitChange:
    """Hold a simulated GPU to that limit while this process runs. Raises LimitRefusedError."""
    model = next(model for model in _MODELS if model.identity.uuid == gpu.uuid)
    limits = PowerRange(_limit(model), model.power_limit, *model.power_range)
    limits.check(gpu, watts)
    _limits[gpu.uuid] = watts
    return LimitChange(gpu, limits.limit, watts)


def _limit(model: _Model) -> float:
    return _limits.get(model.identity.uuid, model.power_limit)


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a process has used: CPU seconds since it began, resident memory in bytes, its name."""

    cpu_seconds: float
    memory: int
    name: str


def process_use(pid: int) -> ProcessUse | None:
    """The use of ``pid``, None where there is no such process or it may not be looked at."""
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return ProcessUse(
                times.user + times.system, process.memory_info().rss, clean_line(process.name())
            )
    except psutil.Error:
        return None


class SimulatedSource:
    """Two GPUs whose load follows the CPU use of the processes pinned to them.

    100 % is every core that this process may use. Everything else follows from the load: clocks,
    power and PCIe at once, the temperature and with it the fan slowly. Deterministic for given
    ``use`` and ``clock`` (seconds). ``pids_by_uuid`` is asked at every sample.
    """

    name = SIMULATED
    live = True

    def __init__(
        self,
        pids_by_uuid: Callable[[], Mapping[str, Sequence[int]]],
        *,
        clock: Callable[[], float] = time.monotonic,
        use: Callable[[int], ProcessUse | None] = process_use,
        cores: int | None = None,
    ) -> None:
        self._pids_by_uuid = pids_by_uuid
        self._clock = clock
        self._use = use
        self._cores = cores or len(os.sched_getaffinity(0))
        self._sampled_at: float | None = None
        self._cpu_seconds: dict[int, float] = {}
        self._gpus = tuple(_SimulatedGpu(model) for model in _MODELS)

    def samples(self) -> tuple[Snapshot]:
        """One, of this moment; see Source."""
        return (self.sample(),)

    def sample(self) -> Snapshot:
        """Both GPUs now. A process counts from its second sample on."""
        now = self._clock()
        elapsed = 0.0 if self._sampled_at is None else now - self._sampled_at
        pinned = self._pids_by_uuid()
        uses = {pid: self._use(pid) for pids in pinned.values() for pid in pids}
        alive = {pid: use for pid, use in uses.items() if use is not None}
        loads = {pid: self._load(pid, use, elapsed) for pid, use in alive.items()}
        self._sampled_at = now
        self._cpu_seconds = {pid: use.cpu_seconds for pid, use in alive.items()}
        # A process split over several GPUs works on them by turns, and its memory is shared out.
        shares = {pid: sum(pid in pids for pids in pinned.values()) for pid in alive}
        samples = []
        for gpu in self._gpus:
            here = [pid for pid in pinned.get(gpu.model.identity.uuid, ()) if pid in alive]
            load = min(100.0, sum(loads[pid] / shares[pid] for pid in here))
            processes = tuple(
                GpuProcess(pid, alive[pid].name, alive[pid].memory // shares[pid]) for pid in here
            )
            samples.append(gpu.step(load, processes, elapsed))
        return Snapshot(self.name, time.time(), tuple(samples), cuda_version=_CUDA_VERSION)

    def close(self) -> None:
        """Nothing is open."""

    def _load(self, pid: int, use: ProcessUse, elapsed: float) -> float:
        """Per cent of all cores that the process used since the last sample."""
        before = self._cpu_seconds.get(pid)
        if before is None or elapsed <= 0:
            return 0.0
        return max(0.0, 100 * (use.cpu_seconds - before) / elapsed / self._cores)


class _SimulatedGpu:
    """One GPU: its data sheet, its temperature, the energy it took, and a jitter that is the same in
    every run."""

    def __init__(self, model: _Model) -> None:
        self.model = model
        self._temperature = _AMBIENT + _IDLE_RISE
        self._energy = 0.0
        self._random = random.Random(model.identity.uuid)  # noqa: S311  a jitter, no secret

    def step(self, load: float, processes: tuple[GpuProcess, ...], elapsed: float) -> GpuSample:
        """The GPU after ``elapsed`` more seconds at ``load`` per cent."""
        model, part, busy = self.model, load / 100, load >= _IDLE_BELOW
        limit = _limit(model)
        wanted = model.power_idle + (model.power_limit - model.power_idle) * part**0.8
        power = min(limit, wanted * self._random.uniform(0.985, 1.015))
        used = model.memory_baseline + sum(p.used_gpu_memory or 0 for p in processes)
        values = {
            **_facts(model),
            **_work(model, load),
            **self._heat(power, elapsed),
            "power_limit": limit,
            "memory_used": min(used, model.memory_total),
            "throttle_reasons": 0x4 if power >= 0.985 * limit else 0 if busy else 0x1,
        }
        if busy and wanted > limit:  # a clock costs about its cube in power
            clock = values["clocks_sm"] * (limit / wanted) ** (1 / 3)
            values["clocks_sm"] = round(clock / _CLOCK_STEP) * _CLOCK_STEP
        missing = {m.name: "not supported" for m in METRICS if m.name not in values}
        return GpuSample(model.identity, values, missing, processes)

    def _heat(self, power: float, elapsed: float) -> dict[str, float]:
        """What follows from the power in time: energy, temperatures, and with them the fan."""
        temperature = self._warm(power, elapsed)
        self._energy += power * elapsed
        values = {
            "power_draw": round(power, 1),
            "total_energy_consumption": round(self._energy, 3),
            "temperature_gpu": round(temperature),
            "temperature_gpu_tlimit": self.model.temperature_slowdown - round(temperature),
            "fan_speed": _fan(temperature),
        }
        if self.model.is_professional:
            values["temperature_memory"] = round(temperature + 0.15 * (temperature - _AMBIENT))
        return values

    def _warm(self, power: float, elapsed: float) -> float:
        """First-order lag towards the temperature that this power ends at."""
        rise = (self.model.temperature_full - _AMBIENT - _IDLE_RISE) / self.model.power_limit
        target = _AMBIENT + _IDLE_RISE + rise * (power - self.model.power_idle)
        self._temperature += (target - self._temperature) * (1 - exp(-elapsed / _WARMING_SECONDS))
        return self._temperature


def _facts(model: _Model) -> dict[str, float]:
    """What does not change."""
    values: dict[str, float] = {
        "utilization_encoder": 0,
        "utilization_decoder": 0,
        "memory_total": model.memory_total,
        "memory_reserved": model.memory_reserved,
        "power_default_limit": model.power_limit,
        "power_min_limit": model.power_range[0],
        "power_max_limit": model.power_range[1],
        "temperature_gpu_slowdown": model.temperature_slowdown,
        "temperature_gpu_shutdown": model.temperature_slowdown + _SHUTDOWN_ABOVE,
        "clocks_sm_max": model.clock_sm_max,
        "clocks_mem_max": model.clock_mem_max,
        "pcie_link_gen_max": 5,
        "pcie_link_width": 16,
        "pcie_link_width_max": 16,
        "persistence_mode": 1,
        "compute_cap": 12.0,
    }
    if model.is_professional:
        values |= {"ecc_corrected": 0, "ecc_uncorrected": 0, "mig_mode": 0}
    return values


def _work(model: _Model, load: float) -> dict[str, float]:
    """What follows from the load at once."""
    part, busy = load / 100, load >= _IDLE_BELOW
    return {
        "utilization_gpu": round(load),
        "utilization_memory": round(load * 0.62),
        "clocks_sm": _clock_sm(model, part) if busy else _CLOCK_IDLE,
        "clocks_mem": model.clock_mem_max if busy else _CLOCK_MEM_IDLE,
        "pcie_link_gen": 5 if busy else 1,
        "pcie_tx": round(0.25 * _PCIE_FULL * part),
        "pcie_rx": round(_PCIE_FULL * part),
        "pstate": 1 if busy else 8,
    }


def _clock_sm(model: _Model, part: float) -> float:
    """Boost falls somewhat under load, in the steps of 15 MHz that the hardware has."""
    return round((model.clock_sm_max - 470e6 * part) / _CLOCK_STEP) * _CLOCK_STEP


def _fan(temperature: float) -> float:
    """Off below 40 °C, then at least 30 %."""
    return 0 if temperature < 40 else round(min(100.0, 30 + (temperature - 40) * 1.3))
