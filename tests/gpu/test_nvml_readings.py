"""What the NVML source reads from the stand-in library, through nvidia-ml-py's ctypes calls."""

from __future__ import annotations

import os

import pynvml
import pytest

from gputui.gpu import nvml_library, nvml_readers
from gputui.gpu.metrics import METRICS, METRICS_BY_NAME
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.nvml_readers import READERS
from tests.support.nvml_scenarios import (
    MIB,
    OPTIONAL,
    Clock,
    errors,
    with_rates,
)
from tests.support.standin_nvml import StandinNvml


def test_every_metric_has_one_reader_and_the_constants_are_those_of_nvml() -> None:
    read = [metric for reader in READERS for metric in reader.metrics]
    assert sorted(read) == sorted(METRICS_BY_NAME)
    for reader in READERS:
        assert {METRICS_BY_NAME[metric].tier for metric in reader.metrics} == {reader.tier}
    assert nvml_readers.CLOCK_SM == pynvml.NVML_CLOCK_SM
    assert nvml_readers.CLOCK_MEM == pynvml.NVML_CLOCK_MEM
    assert nvml_readers.TEMPERATURE_GPU == pynvml.NVML_TEMPERATURE_GPU
    assert nvml_readers.PCIE_TX == pynvml.NVML_PCIE_UTIL_TX_BYTES
    assert nvml_readers.PCIE_RX == pynvml.NVML_PCIE_UTIL_RX_BYTES
    assert nvml_readers.ECC_UNCORRECTED == pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    assert nvml_readers.ECC_VOLATILE == pynvml.NVML_VOLATILE_ECC
    assert pynvml.nvmlMemory_v2 == nvml_readers.MEMORY_V2
    for name, code in vars(nvml_library).items():
        if name.isupper() and isinstance(code, int) and name != "NO_CODE":
            assert code == getattr(pynvml, f"NVML_ERROR_{name}"), name


def test_each_reading_exactly_in_its_base_unit(source: NvmlSource) -> None:
    snapshot = with_rates(source)
    assert snapshot.source == "nvml"
    assert snapshot.problem is None
    assert snapshot.driver_version == "570.86.16"
    first, second = snapshot.gpus
    assert (first.identity.index, second.identity.index) == (0, 1)
    assert first.identity.name == "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
    assert first.identity.uuid == "GPU-a0000000-0000-4000-8000-000000000000"
    assert first.identity.pci_bus_id == "00000000:01:00.0"
    assert second.identity.pci_bus_id == "00000000:21:00.0"
    assert not first.identity.simulated
    assert first.values == {
        "utilization_gpu": 42,
        "utilization_memory": 17,
        "memory_used": 8192 * MIB,
        "memory_total": 32607 * MIB,
        "temperature_gpu": 61,
        "power_draw": 545.25,
        "power_limit": 600,
        "clocks_sm": 2617e6,
        "clocks_sm_max": 3090e6,
        "clocks_mem": 14001e6,
        "clocks_mem_max": 14002e6,
        "fan_speed": 44,  # the faster of two
        "pcie_link_gen": 4,
        "pcie_link_gen_max": 5,
        "pcie_link_width": 8,
        "pcie_link_width_max": 16,
        "pcie_tx": 1e6,
        "pcie_rx": 2e6,
        "throttle_reasons": 4,
        "pstate": 1,
        "ecc_uncorrected": 0,
    }
    assert first.unavailable == {}
    assert not first.shared_memory


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "not supported"),
        (4, "no permission"),
        (10, "timed out"),
        (13, "not in this driver"),
        (999, "unknown driver error"),
        (77, "NVML error 77"),
    ],
)
def test_what_fails_has_a_reason_and_no_value(
    source: NvmlSource, standin_nvml: StandinNvml, code: int, reason: str
) -> None:
    standin_nvml.set(errors(code, *OPTIONAL, "nvmlDeviceGetPowerManagementLimit"))
    standin_nvml.set(errors(code, "nvmlDeviceGetCurrentClocksThrottleReasons"))
    standin_nvml.set(errors(code, "nvmlDeviceGetComputeRunningProcesses_v2"))
    standin_nvml.set(errors(code, "nvmlDeviceGetGraphicsRunningProcesses_v2"))
    for gpu in with_rates(source).gpus:
        assert gpu.problem is None
        assert gpu.processes == ()
        assert gpu.values == {}
        expected = dict.fromkeys(METRICS_BY_NAME, reason)
        if code == 3:
            expected["memory_total"] = "shared with the CPU"
        assert gpu.unavailable == expected


def test_one_reading_that_fails_on_one_gpu_takes_no_other_along(
    source: NvmlSource, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set(gpu_1={"error.nvmlDeviceGetPowerUsage": 4})
    first, second = with_rates(source).gpus
    assert len(first.values) == len(METRICS)
    assert second.unavailable == {"power_draw": "no permission"}


def test_an_older_driver_is_asked_by_the_older_names(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    standin_nvml.set(
        errors(
            13,
            "nvmlDeviceGetMemoryInfo_v2",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetEnforcedPowerLimit",
            "nvmlDeviceGetNumFans",
            "nvmlDeviceGetComputeRunningProcesses_v3",
        )
    )
    standin_nvml.set(compute=f"{os.getpid()}:1000")
    gpu = with_rates(source).gpus[0]
    assert gpu.unavailable == {}
    assert gpu.get("memory_used") == (8192 + 512) * MIB, "version 1 counts the reserve in"
    assert gpu.get("throttle_reasons") == 4
    assert gpu.get("power_limit") == 600
    assert gpu.get("fan_speed") == 40
    assert [process.used_gpu_memory for process in gpu.processes] == [1000]
    standin_nvml.take_calls()
    clock.now += 10
    source.sample()
    calls = {name for name, _ in standin_nvml.take_calls()}
    assert "nvmlDeviceGetMemoryInfo" in calls
    assert "nvmlDeviceGetMemoryInfo_v2" not in calls, "what is not there is asked for once"


def test_values_that_stand_for_unknown_are_unknown(
    source: NvmlSource, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set(
        memory_used="unknown",
        power_draw="unknown",
        pstate=32,
        utilization_gpu=250,
        pcie_tx="unknown",
        throttle_reasons="unknown",
    )
    gpu = with_rates(source).gpus[0]
    assert gpu.unavailable == {
        "memory_used": "not known to the driver",
        "power_draw": "not known to the driver",
        "pstate": "not known to the driver",
        "utilization_gpu": "the driver says 250 %",
        "pcie_tx": "not known to the driver",
        "throttle_reasons": "not known to the driver",
    }
    assert gpu.get("memory_total") == 32607 * MIB


def test_processes_of_both_lists_by_pid_with_names_and_unknown_memory(
    source: NvmlSource, standin_nvml: StandinNvml
) -> None:
    me, nobody = os.getpid(), 2**22 + 5  # above the kernel's largest pid
    standin_nvml.set(
        gpu_0={"compute": f"{me}:5000,{nobody}:unknown", "graphics": f"{me}:unknown,1:7"}
    )
    first, second = source.sample().gpus
    by_pid = {process.pid: process for process in first.processes}
    assert list(by_pid) == [1, me, nobody]
    assert by_pid[me].used_gpu_memory == 5000
    assert by_pid[me].name
    assert by_pid[nobody].used_gpu_memory is None
    assert by_pid[nobody].name == ""
    assert second.processes == ()


def test_a_gpu_without_memory_of_its_own_uses_what_its_processes_use(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    missing = errors(3, "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2")
    standin_nvml.set(missing, gpu_0={"compute": "1:5000", "graphics": "2:37"})
    first, second = source.sample().gpus
    assert first.shared_memory
    assert first.get("memory_used") == 5037
    assert first.unavailable["memory_total"] == "shared with the CPU"
    assert second.get("memory_used") == 0, "no process, and the driver said so"
    standin_nvml.set(gpu_0={"compute": "1:unknown"})
    clock.now += 10
    assert source.sample().gpus[0].unavailable["memory_used"] == (
        "the memory of a process is not known"
    )


def test_mig_has_memory_but_no_utilization(source: NvmlSource, standin_nvml: StandinNvml) -> None:
    standin_nvml.set(gpu_0=errors(3, "nvmlDeviceGetUtilizationRates"))
    first, _ = with_rates(source).gpus
    assert first.unavailable == {
        "utilization_gpu": "not supported",
        "utilization_memory": "not supported",
    }


def test_a_gpu_without_fans_says_so(source: NvmlSource, standin_nvml: StandinNvml) -> None:
    standin_nvml.set(gpu_0={"fans": 0})
    assert source.sample().gpus[0].unavailable["fan_speed"] == "no fan"


def test_sixteen_gpus(source: NvmlSource, standin_nvml: StandinNvml) -> None:
    standin_nvml.set(gpus=16)
    gpus = with_rates(source).gpus
    assert [gpu.identity.index for gpu in gpus] == list(range(16))
    assert len({gpu.identity.uuid for gpu in gpus}) == 16
    assert all(gpu.unavailable == {} for gpu in gpus)


def test_strings_of_the_driver_are_cleaned(source: NvmlSource, standin_nvml: StandinNvml) -> None:
    standin_nvml.set(gpu_0={"name": "RTX\x1b[31m 5090\x07"}, gpu_1={"name": "bad \udcff bytes"})
    first, second = source.sample().gpus
    assert first.identity.name == "RTX 5090"
    assert second.identity.name == "unknown GPU"
    assert second.get("power_draw") == 545.25
