"""How each metric is read from NVML: one row of READERS a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gputui.gpu.metrics import METRICS_BY_NAME, Tier
from gputui.gpu.nvml_library import (
    FUNCTION_NOT_FOUND,
    NOT_SUPPORTED,
    SETTLED,
    GpuHandle,
    Unavailable,
    unavailable,
)
from gputui.gpu.sample import GpuProcess

CLOCK_SM, CLOCK_MEM = 1, 2  # nvmlClockType_t
TEMPERATURE_GPU = 0  # nvmlTemperatureSensors_t
THRESHOLD_SHUTDOWN, THRESHOLD_SLOWDOWN = 0, 1  # nvmlTemperatureThresholds_t
FIELD_MEMORY_TEMPERATURE = 82  # NVML_FI_DEV_MEMORY_TEMP
PCIE_TX, PCIE_RX = 0, 1  # nvmlPcieUtilCounter_t
ECC_CORRECTED, ECC_UNCORRECTED = 0, 1  # nvmlMemoryErrorType_t
ECC_VOLATILE = 0  # nvmlEccCounterType_t: since the driver was loaded
MEMORY_V2 = 0x02000028  # nvmlMemory_v2
PSTATE_LAST = 15  # nvmlPstates_t; 32 is "unknown"

_NO_VALUE = frozenset({2**32 - 1, 2**64 - 1})  # NVML_VALUE_NOT_AVAILABLE, by width
_VALUE_FIELDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # nvmlValueType_t
_UNKNOWN = Unavailable("not known to the driver")
_NOT_WITH_MIG = Unavailable("not measured while MIG is on", NOT_SUPPORTED)

Reading = float | Unavailable
"""A value in the metric's base unit, or why there is none."""


@dataclass(slots=True)
class OpenGpu:
    """A GPU between opening and closing, as the readers see it.

    ``processes`` is the last list read, or why there is none. ``shared_memory`` turns true where
    the driver says that the GPU has no memory of its own; ``mig`` while it is split into instances.
    """

    handle: GpuHandle
    processes: tuple[GpuProcess, ...] | Unavailable = ()
    shared_memory: bool = False
    mig: bool = False
    fans: int | Unavailable = field(default_factory=lambda: _UNKNOWN)

    def query(self, *calls: tuple[Any, ...]) -> Any:
        """As GpuHandle.query."""
        return self.handle.query(*calls)


@dataclass(frozen=True, slots=True)
class Reader:
    """One call to the driver and the metrics it gives, in order; they are of one tier."""

    metrics: tuple[str, ...]
    read: Callable[[OpenGpu], Sequence[Reading]]

    @property
    def tier(self) -> Tier:
        """How often to read."""
        return METRICS_BY_NAME[self.metrics[0]].tier


def _known(answer: Any, scale: float = 1.0) -> Reading:
    if isinstance(answer, Unavailable):
        return answer
    # rounded: 545251 mW are 545.251 W, not 545.2510000000001
    return _UNKNOWN if answer in _NO_VALUE else round(float(answer) * scale, 6)


def _number(
    *calls: tuple[Any, ...], scale: float = 1.0
) -> Callable[[OpenGpu], tuple[Reading, ...]]:
    """Reads one number, by the first of ``calls`` that the driver has, times ``scale``."""
    return lambda gpu: (_known(gpu.query(*calls), scale),)


def _two(answer: Any, scale: float = 1.0) -> tuple[Reading, Reading]:
    """Both numbers of an answer that has two."""
    if isinstance(answer, Unavailable):
        return answer, answer
    first, second = answer
    return _known(first, scale), _known(second, scale)


def _utilization(gpu: OpenGpu) -> tuple[Reading, ...]:
    answer = _whole(gpu, gpu.query(("nvmlDeviceGetUtilizationRates",)))
    if isinstance(answer, Unavailable):
        return answer, answer
    return _percent(answer.gpu), _percent(answer.memory)


def _codec(kind: str) -> Callable[[OpenGpu], tuple[Reading, ...]]:
    """Reads the utilization of the Encoder or Decoder; the driver says over which time, too."""

    def read(gpu: OpenGpu) -> tuple[Reading, ...]:
        answer = _whole(gpu, gpu.query((f"nvmlDeviceGet{kind}Utilization",)))
        return (answer if isinstance(answer, Unavailable) else _percent(answer[0]),)

    return read


def _whole(gpu: OpenGpu, answer: Any) -> Any:
    """An answer about the whole GPU, which the driver does not give while MIG is on."""
    missing = isinstance(answer, Unavailable) and answer.code == NOT_SUPPORTED
    return _NOT_WITH_MIG if missing and gpu.mig else answer


def _percent(answer: int) -> Reading:
    reading = _known(answer)
    if isinstance(reading, float) and reading > 100:
        return Unavailable(f"the driver says {reading:.0f} %")
    return reading


def _memory(gpu: OpenGpu) -> tuple[Reading, ...]:
    """Used, total, the driver's reserve. Version 2 first: ``used`` of version 1 counts the reserve in."""
    answer = gpu.query(
        ("nvmlDeviceGetMemoryInfo", MEMORY_V2),
        ("nvmlDeviceGetMemoryInfo",),
    )
    if not isinstance(answer, Unavailable):
        gpu.shared_memory = False
        reserved = getattr(answer, "reserved", unavailable(FUNCTION_NOT_FOUND))
        return _known(answer.used), _known(answer.total), _known(reserved)
    if answer.code != NOT_SUPPORTED:
        return answer, answer, answer
    gpu.shared_memory = True
    shared = Unavailable("shared with the CPU")
    return _used_by_processes(gpu), shared, shared


def _used_by_processes(gpu: OpenGpu) -> Reading:
    """The sum over all processes; not known where a list of them is missing that there may be."""
    if isinstance(gpu.processes, Unavailable):
        return gpu.processes
    for kind, may_lack in (("Compute", frozenset[int]()), ("Graphics", SETTLED)):
        failure = gpu.handle.failure(f"nvmlDeviceGet{kind}RunningProcesses")
        if failure is not None and failure.code not in may_lack:
            return failure
    used = [process.used_gpu_memory for process in gpu.processes]
    if any(memory is None for memory in used):
        return Unavailable("the memory of a process is not known")
    return float(sum(memory or 0 for memory in used))


def _fan(gpu: OpenGpu) -> tuple[Reading, ...]:
    """The fastest fan. NVML's per cent may exceed 100."""
    if isinstance(gpu.fans, Unavailable):
        gpu.fans = gpu.query(("nvmlDeviceGetNumFans",))
    if isinstance(gpu.fans, Unavailable):
        return (_known(gpu.query(("nvmlDeviceGetFanSpeed",))),)
    if gpu.fans == 0:
        return (Unavailable("no fan", NOT_SUPPORTED),)
    speeds = [_known(gpu.query(("nvmlDeviceGetFanSpeed_v2", fan))) for fan in range(gpu.fans)]
    known = [speed for speed in speeds if isinstance(speed, float)]
    return (max(known) if known else speeds[0],)


def _pstate(gpu: OpenGpu) -> tuple[Reading, ...]:
    reading = _known(gpu.query(("nvmlDeviceGetPerformanceState",)))
    if isinstance(reading, float) and reading > PSTATE_LAST:
        return (_UNKNOWN,)
    return (reading,)


def _power_range(gpu: OpenGpu) -> tuple[Reading, ...]:
    return _two(gpu.query(("nvmlDeviceGetPowerManagementLimitConstraints",)), scale=1e-3)


def _memory_temperature(gpu: OpenGpu) -> tuple[Reading, ...]:
    """Each field has a return code of its own; its value means nothing unless that is 0."""
    answer = gpu.query(("nvmlDeviceGetFieldValues", (FIELD_MEMORY_TEMPERATURE,)))
    if isinstance(answer, Unavailable):
        return (answer,)
    field_value = answer[0]
    if field_value.nvmlReturn:
        return (unavailable(field_value.nvmlReturn),)
    if field_value.valueType >= len(_VALUE_FIELDS):
        return (_UNKNOWN,)
    return (_known(getattr(field_value.value, _VALUE_FIELDS[field_value.valueType])),)


def _mig_mode(gpu: OpenGpu) -> tuple[Reading, ...]:
    """Whether MIG is on now; the mode after the next reset does not matter yet."""
    current, _ = _two(gpu.query(("nvmlDeviceGetMigMode",)))
    gpu.mig = current == 1.0
    return (current,)


def _compute_capability(gpu: OpenGpu) -> tuple[Reading, ...]:
    """``12.0``, ``8.9``: major and minor as they are written."""
    major, minor = _two(gpu.query(("nvmlDeviceGetCudaComputeCapability",)))
    if isinstance(major, Unavailable) or isinstance(minor, Unavailable):
        return (major if isinstance(major, Unavailable) else minor,)
    return (major + minor / 10,)


READERS: tuple[Reader, ...] = (
    Reader(("mig_mode",), _mig_mode),  # first: what others mean by "not supported" depends on it
    Reader(("utilization_gpu", "utilization_memory"), _utilization),
    Reader(("utilization_encoder",), _codec("Encoder")),
    Reader(("utilization_decoder",), _codec("Decoder")),
    Reader(("memory_used", "memory_total", "memory_reserved"), _memory),
    Reader(
        ("temperature_gpu",),
        _number(
            ("nvmlDeviceGetTemperature", TEMPERATURE_GPU),
            ("nvmlDeviceGetTemperatureV", TEMPERATURE_GPU),
        ),
    ),
    Reader(("temperature_memory",), _memory_temperature),
    Reader(
        ("temperature_gpu_slowdown",),
        _number(("nvmlDeviceGetTemperatureThreshold", THRESHOLD_SLOWDOWN)),
    ),
    Reader(
        ("temperature_gpu_shutdown",),
        _number(("nvmlDeviceGetTemperatureThreshold", THRESHOLD_SHUTDOWN)),
    ),
    Reader(("temperature_gpu_tlimit",), _number(("nvmlDeviceGetMarginTemperature",))),
    Reader(("power_draw",), _number(("nvmlDeviceGetPowerUsage",), scale=1e-3)),
    Reader(
        ("power_limit",),
        _number(
            ("nvmlDeviceGetEnforcedPowerLimit",),
            ("nvmlDeviceGetPowerManagementLimit",),
            scale=1e-3,
        ),
    ),
    Reader(
        ("power_default_limit",),
        _number(("nvmlDeviceGetPowerManagementDefaultLimit",), scale=1e-3),
    ),
    Reader(("power_min_limit", "power_max_limit"), _power_range),
    Reader(
        ("total_energy_consumption",),
        _number(("nvmlDeviceGetTotalEnergyConsumption",), scale=1e-3),
    ),
    Reader(("clocks_sm",), _number(("nvmlDeviceGetClockInfo", CLOCK_SM), scale=1e6)),
    Reader(("clocks_sm_max",), _number(("nvmlDeviceGetMaxClockInfo", CLOCK_SM), scale=1e6)),
    Reader(("clocks_mem",), _number(("nvmlDeviceGetClockInfo", CLOCK_MEM), scale=1e6)),
    Reader(("clocks_mem_max",), _number(("nvmlDeviceGetMaxClockInfo", CLOCK_MEM), scale=1e6)),
    Reader(("fan_speed",), _fan),
    Reader(("pcie_link_gen",), _number(("nvmlDeviceGetCurrPcieLinkGeneration",))),
    Reader(("pcie_link_gen_max",), _number(("nvmlDeviceGetMaxPcieLinkGeneration",))),
    Reader(("pcie_link_width",), _number(("nvmlDeviceGetCurrPcieLinkWidth",))),
    Reader(("pcie_link_width_max",), _number(("nvmlDeviceGetMaxPcieLinkWidth",))),
    Reader(("pcie_tx",), _number(("nvmlDeviceGetPcieThroughput", PCIE_TX), scale=1e3)),
    Reader(("pcie_rx",), _number(("nvmlDeviceGetPcieThroughput", PCIE_RX), scale=1e3)),
    Reader(
        ("throttle_reasons",),
        _number(
            ("nvmlDeviceGetCurrentClocksEventReasons",),
            ("nvmlDeviceGetCurrentClocksThrottleReasons",),
        ),
    ),
    Reader(("pstate",), _pstate),
    Reader(
        ("ecc_corrected",),
        _number(("nvmlDeviceGetTotalEccErrors", ECC_CORRECTED, ECC_VOLATILE)),
    ),
    Reader(
        ("ecc_uncorrected",),
        _number(("nvmlDeviceGetTotalEccErrors", ECC_UNCORRECTED, ECC_VOLATILE)),
    ),
    Reader(("persistence_mode",), _number(("nvmlDeviceGetPersistenceMode",))),
    Reader(("compute_cap",), _compute_capability),
)
"""Every metric of the table is in exactly one row."""
