"""Scenarios of the stand-in NVML, and what holds of every sample."""

from __future__ import annotations

from collections import Counter

from gputui.gpu.metrics import METRICS, METRICS_BY_NAME, Tier
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.sample import NOT_READ, GpuSample, Snapshot
from tests.support.waiting import wait_for

EVERY_TICK = Counter(
    {
        "nvmlDeviceGetUtilizationRates": 1,
        "nvmlDeviceGetMemoryInfo_v2": 1,
        "nvmlDeviceGetTemperature": 1,
        "nvmlDeviceGetPowerUsage": 1,
        "nvmlDeviceGetTotalEnergyConsumption": 1,
        "nvmlDeviceGetClockInfo": 2,
        "nvmlDeviceGetCurrentClocksEventReasons": 1,
    }
)
"""The driver's functions that are called for one GPU at each second, and how often."""

MIB = 2**20
LANE_METRICS = {metric.name for metric in METRICS if metric.tier is Tier.LANE}

FUNCTIONS = (
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetTemperatureThreshold",
    "nvmlDeviceGetMarginTemperature",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetPowerManagementDefaultLimit",
    "nvmlDeviceGetPowerManagementLimitConstraints",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetMaxClockInfo",
    "nvmlDeviceGetNumFans",
    "nvmlDeviceGetFanSpeed",
    "nvmlDeviceGetFanSpeed_v2",
    "nvmlDeviceGetCurrPcieLinkGeneration",
    "nvmlDeviceGetMaxPcieLinkGeneration",
    "nvmlDeviceGetCurrPcieLinkWidth",
    "nvmlDeviceGetMaxPcieLinkWidth",
    "nvmlDeviceGetPcieThroughput",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetPerformanceState",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetPersistenceMode",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetComputeRunningProcesses_v2",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v2",
    "nvmlDeviceGetProcessUtilization",
)
"""All by which a GPU is read, older names too; each may fail alone."""


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def errors(code: int, *functions: str) -> dict[str, object]:
    return {f"error.{function}": code for function in functions}


def with_rates(source: NvmlSource) -> Snapshot:
    """A sample in which the slow lane has answered too."""

    def sample() -> Snapshot | None:
        snapshot = source.sample()
        waiting = any(NOT_READ in gpu.unavailable.values() for gpu in snapshot.gpus)
        return None if waiting else snapshot

    snapshot = wait_for(sample)
    assert snapshot is not None
    return snapshot


def check_complete(gpu: GpuSample) -> None:
    """Each metric is a value or has a reason, never both, never neither."""
    assert set(gpu.values) | set(gpu.unavailable) == set(METRICS_BY_NAME)
    assert not set(gpu.values) & set(gpu.unavailable)
    assert all(gpu.unavailable.values())
