"""What a rule can be about: every metric of a GPU, and what follows from several of them.

Each reading has a name that no other has, so the name says whether it is read of a GPU, of an instance
or of the rig. A value that is not known is None, and neither raises an alert nor ends one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from gputui.alerts.pins import misplaced
from gputui.alerts.views import GpuView, InstanceView, RigView, Scope
from gputui.gpu.metrics import METRICS, METRICS_BY_NAME, reason_words
from gputui.instances.status import InstanceMetrics, State
from gputui.text import clean_line, number, seconds, size

THERMAL = 0x20 | 0x40
"""SW and HW thermal slowdown (nvml.h)."""
POWER_BRAKE = 0x80
HW_SLOWDOWN = 0x8
"""nvml.h: the temperature, the power brake or the fast trigger on power draw. Newer GPUs say which by
a bit beside it; alone it does not say which."""


View = TypeVar("View")


@dataclass(frozen=True, slots=True)
class Reading(Generic[View]):
    """One thing that a rule can be about.

    ``what`` names it in a sentence; ``of`` is its value in its base unit, None where not known;
    ``show`` says a value as people read it, with its unit; ``tell`` says more of the value of now than
    ``show`` could, None where that is enough.
    """

    name: str
    scope: Scope
    what: str
    of: Callable[[View], float | None]
    show: Callable[[float], str]
    tell: Callable[[View], str] | None = None

    def value(self, view: View) -> float | None:
        """The value of now; None also where it is no number."""
        value = self.of(view)
        return None if value is None or not math.isfinite(value) else value

    def words(self, view: View) -> str:
        """The value of now, as it stands in a message."""
        value = self.value(view)
        if value is None:
            return "not known"
        return self.show(value) if self.tell is None else clean_line(self.tell(view), 160)


def _plain(value: float) -> str:
    return f"{value:g}"


def _percent(value: float) -> str:
    return f"{value:.0f} %" if value >= 1 or value == 0 else f"{value:.2g} %"


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


# ── of a GPU ─────────────────────────────────────────────────────────────────────────────────────

_NOUNS = MappingProxyType(
    {
        "utilization_gpu": "utilization",
        "temperature_gpu": "temperature",
        "temperature_gpu_tlimit": "temperature left before it slows down",
        "total_energy_consumption": "energy",
        "clocks_sm": "SM clock",
        "clocks_sm_max": "highest SM clock",
        "clocks_mem": "memory clock",
        "clocks_mem_max": "highest memory clock",
        "throttle_reasons": "clocks held down by",
        "pcie_link_gen": "PCIe generation",
        "pcie_link_width": "PCIe lanes",
        "pcie_tx": "PCIe sending",
        "pcie_rx": "PCIe receiving",
        "ecc_corrected": "corrected ECC errors",
        "ecc_uncorrected": "uncorrected ECC errors",
    }
)
"""Metrics whose name is no noun."""


def _metric(name: str) -> Reading[GpuView]:
    def of(view: GpuView) -> float | None:
        return view.sample.get(name)

    noun = _NOUNS.get(name, name.replace("_", " "))
    return Reading(name, Scope.GPU, noun, of, METRICS_BY_NAME[name].show)


def _memory_share(view: GpuView) -> float | None:
    return _share(view.sample.get("memory_used"), view.sample.get("memory_total"))


def _throttled(bits: int, unless: int = 0) -> Callable[[GpuView], float | None]:
    """1 where any of ``bits`` holds the clocks down and none of ``unless`` does, else 0."""

    def of(view: GpuView) -> float | None:
        mask = view.sample.get("throttle_reasons")
        if mask is None or not math.isfinite(mask):
            return None
        return float(bool(int(mask) & bits) and not int(mask) & unless)

    return of


def _throttle_words(bits: int) -> Callable[[GpuView], str]:
    def tell(view: GpuView) -> str:
        return reason_words(int(view.sample.get("throttle_reasons") or 0) & bits)

    return tell


def _missing(metric: str, view: GpuView) -> float | None:
    """How much a link is below its best."""
    now, best = view.sample.get(metric), view.sample.get(f"{metric}_max")
    return None if now is None or best is None else max(0.0, best - now)


def _lanes_missing(view: GpuView) -> float | None:
    return _missing("pcie_link_width", view)


def _generations_missing(view: GpuView) -> float | None:
    """None while the GPU is not busy: an idle one lowers its link to save power."""
    return _missing("pcie_link_gen", view) if view.busy else None


def _link(metric: str) -> Callable[[GpuView], str]:
    """``×8 of ×16``."""
    show = METRICS_BY_NAME[metric].show

    def tell(view: GpuView) -> str:
        sample = view.sample
        return f"{show(sample.get(metric))} of {show(sample.get(f'{metric}_max'))}"

    return tell


def _lost(view: GpuView) -> float:
    return float(view.sample.problem is not None)


def _loss(view: GpuView) -> str:
    return view.sample.problem.message if view.sample.problem else "no"


GPU_READINGS: tuple[Reading[GpuView], ...] = (
    *(_metric(metric.name) for metric in METRICS),
    Reading("memory_used_percent", Scope.GPU, "memory used", _memory_share, _percent),
    Reading(
        "throttle_thermal", Scope.GPU, "held down by heat", _throttled(THERMAL), _plain,
        _throttle_words(THERMAL),
    ),
    Reading(
        "throttle_power_brake", Scope.GPU, "held down by the power brake",
        _throttled(POWER_BRAKE), _plain, _throttle_words(POWER_BRAKE),
    ),
    Reading(
        "throttle_hw_slowdown", Scope.GPU, "slowed down by the hardware",
        _throttled(HW_SLOWDOWN, unless=0x40 | POWER_BRAKE), _plain, _throttle_words(HW_SLOWDOWN),
    ),
    Reading(
        "pcie_link_width_missing", Scope.GPU, "PCIe lanes missing", _lanes_missing, _plain,
        _link("pcie_link_width"),
    ),
    Reading(
        "pcie_link_gen_missing", Scope.GPU, "PCIe generations missing while busy",
        _generations_missing, _plain, _link("pcie_link_gen"),
    ),
    Reading("gpu_lost", Scope.GPU, "lost", _lost, _plain, _loss),
)  # fmt: skip


# ── of an instance ───────────────────────────────────────────────────────────────────────────────


def _rate(value: float) -> str:
    return f"{value:.1f} tok/s"


def _minutes(value: float) -> str:
    return seconds(value) if value < 60 else f"{value // 60:.0f} min"


def _of_instance(
    name: str,
    what: str,
    show: Callable[[float], str],
    of: Callable[[InstanceMetrics], float | None],
) -> Reading[InstanceView]:
    return Reading(name, Scope.INSTANCE, what, lambda view: of(view.status.metrics), show)


def _failed(view: InstanceView) -> float:
    """Not while it is to be tried again: that it crashed is told where it happened."""
    return float(view.status.state is State.FAILED and view.status.restart_at is None)


def _failure(view: InstanceView) -> str:
    return view.status.last_error or str(view.status.state)


def _utilization_while_busy(view: InstanceView) -> float | None:
    """The busiest of its GPUs; None while it answers no request, on the CPU, or where one is unknown."""
    if not view.status.metrics.slots_busy or len(view.gpus) < len(view.status.gpus):
        return None
    known = [gpu.get("utilization_gpu") for gpu in view.gpus]
    utilizations = [value for value in known if value is not None]
    return max(utilizations) if known and len(utilizations) == len(known) else None


def _target_share(view: InstanceView) -> float | None:
    speed = view.status.metrics.generation_tokens_per_second
    return _share(speed, view.targets.generation_tokens_per_second)


def _target_words(view: InstanceView) -> str:
    speed = number(view.status.metrics.generation_tokens_per_second, 1)
    return f"{speed} of {number(view.targets.generation_tokens_per_second, 1)} tok/s"


def _ttft_share(view: InstanceView) -> float | None:
    return _share(view.ttft_seconds, view.targets.ttft_seconds)


def _ttft_words(view: InstanceView) -> str:
    return f"{seconds(view.ttft_seconds)}, target {seconds(view.targets.ttft_seconds)}"


def _error_rate(view: InstanceView) -> float | None:
    return _share(view.failures, view.requests)


def _error_words(view: InstanceView) -> str:
    rate = _error_rate(view) or 0.0
    return f"{_percent(rate)}, {view.failures} of {view.requests} requests"


def _wrong_gpu(view: InstanceView) -> float | None:
    found = misplaced(view.status, view.rig)
    return None if found is None else float(bool(found))


def _wrong_words(view: InstanceView) -> str:
    return misplaced(view.status, view.rig) or "no"


INSTANCE_READINGS: tuple[Reading[InstanceView], ...] = (
    _of_instance(
        "generation_tokens_per_second", "generation speed", _rate,
        lambda metrics: metrics.generation_tokens_per_second,
    ),
    _of_instance(
        "prompt_tokens_per_second", "prompt speed", _rate,
        lambda metrics: metrics.prompt_tokens_per_second,
    ),
    _of_instance(
        "requests_deferred", "queue", _plain, lambda metrics: metrics.requests_deferred
    ),
    _of_instance("slots_busy", "busy slots", _plain, lambda metrics: metrics.slots_busy),
    _of_instance("memory_host", "host memory", size, lambda metrics: metrics.memory_bytes),
    Reading(
        "stalled_seconds", Scope.INSTANCE, "busy without a token",
        lambda view: view.status.stalled_seconds, _minutes,
    ),
    Reading("wrong_gpu", Scope.INSTANCE, "pin", _wrong_gpu, _plain, _wrong_words),
    Reading("failed", Scope.INSTANCE, "failed", _failed, _plain, _failure),
    Reading(
        "gpu_utilization_while_busy", Scope.INSTANCE, "GPU utilization while busy",
        _utilization_while_busy, _percent,
    ),
    Reading(
        "generation_target_percent", Scope.INSTANCE, "generation speed", _target_share, _percent,
        _target_words,
    ),
    Reading(
        "ttft_seconds", Scope.INSTANCE, "TTFT", lambda view: view.ttft_seconds, seconds
    ),
    Reading(
        "ttft_target_percent", Scope.INSTANCE, "TTFT", _ttft_share, _percent, _ttft_words
    ),
    Reading(
        "error_rate_percent", Scope.INSTANCE, "error rate", _error_rate, _percent, _error_words
    ),
)  # fmt: skip


# ── of the rig ───────────────────────────────────────────────────────────────────────────────────


def _watts(value: float) -> str:
    return f"{value:.0f} W"


def _total_draw(view: RigView) -> float | None:
    """The sum over all GPUs; not known where one of them does not say its draw."""
    draws = [gpu.get("power_draw") for gpu in view.snapshot.gpus]
    known = [draw for draw in draws if draw is not None]
    return sum(known) if known and len(known) == len(draws) else None


def _psu_share(view: RigView) -> float | None:
    return _share(_total_draw(view), view.psu_watts)


def _psu_words(view: RigView) -> str:
    return f"{number(_total_draw(view))} of {number(view.psu_watts)} W"


def _host_cpu(view: RigView) -> float | None:
    return view.snapshot.host.cpu_percent if view.snapshot.host else None


def _host_memory(view: RigView) -> float | None:
    host = view.snapshot.host
    return _share(host.memory_used, host.memory_total) if host else None


def _disk_free(view: RigView) -> float | None:
    """The least of the file systems on which models lie."""
    disks = view.snapshot.host.disks if view.snapshot.host else ()
    return min((disk.free for disk in disks), default=None)


RIG_READINGS: tuple[Reading[RigView], ...] = (
    Reading("power_draw_total", Scope.RIG, "power draw", _total_draw, _watts),
    Reading("power_draw_psu_percent", Scope.RIG, "power draw", _psu_share, _percent, _psu_words),
    Reading("host_cpu_percent", Scope.RIG, "CPU", _host_cpu, _percent),
    Reading("host_memory_percent", Scope.RIG, "host memory", _host_memory, _percent),
    Reading("host_disk_free", Scope.RIG, "disk space for models", _disk_free, size),
)

READINGS: MappingProxyType[str, Reading[Any]] = MappingProxyType(
    {
        reading.name: reading
        for readings in (GPU_READINGS, INSTANCE_READINGS, RIG_READINGS)
        for reading in readings
    }
)
"""Everything that a rule can be about, by name."""
