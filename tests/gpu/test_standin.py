"""The stand-in library itself: what it keeps, and what it answers as the driver does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from tests.support.standin_nvml import StandinNvml


@pytest.fixture
def handle(standin_nvml: StandinNvml) -> Iterator[Any]:
    pynvml.nvmlInit()
    yield pynvml.nvmlDeviceGetHandleByIndex(0)
    pynvml.nvmlShutdown()


def test_a_power_limit_that_is_set_holds_until_the_scenario_changes_it(
    standin_nvml: StandinNvml, handle: Any
) -> None:
    lowest, highest = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    pynvml.nvmlDeviceSetPowerManagementLimit(handle, lowest)
    assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == lowest
    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) == lowest
    other = pynvml.nvmlDeviceGetHandleByIndex(1)
    assert pynvml.nvmlDeviceGetPowerManagementLimit(other) == highest
    assert "gpu.0.power_limit 150000" in standin_nvml.scenario.read_text(), "for other processes"
    standin_nvml.set(temperature_gpu=50)
    assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == lowest
    standin_nvml.clear()
    assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == highest


@pytest.mark.parametrize("limit", [0, 149_999, 600_001])
def test_a_power_limit_out_of_range_is_refused(handle: Any, limit: int) -> None:
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceSetPowerManagementLimit(handle, limit)
    assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == 600_000


def test_a_power_limit_that_may_not_be_set_stays(standin_nvml: StandinNvml, handle: Any) -> None:
    standin_nvml.set({"gpu.0.error.nvmlDeviceSetPowerManagementLimit": 4})
    with pytest.raises(pynvml.NVMLError_NoPermission):
        pynvml.nvmlDeviceSetPowerManagementLimit(handle, 200_000)
    assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == 600_000


def test_utilization_of_processes_is_what_came_since_the_last_look(
    standin_nvml: StandinNvml, handle: Any
) -> None:
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(handle, 0)
    standin_nvml.set(gpu_0={"utilization": "7:1000:30:10,8:2000:60:20:5:6"})
    both = pynvml.nvmlDeviceGetProcessUtilization(handle, 999)
    assert [(s.pid, s.timeStamp, s.smUtil, s.memUtil) for s in both] == [
        (7, 1000, 30, 10),
        (8, 2000, 60, 20),
    ]
    assert (both[1].encUtil, both[1].decUtil) == (5, 6)
    assert [s.pid for s in pynvml.nvmlDeviceGetProcessUtilization(handle, 1000)] == [8]
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(handle, 2000)
