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
