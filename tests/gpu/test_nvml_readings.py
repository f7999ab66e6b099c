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
    FUNCTIONS,
    MIB,
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
    assert nvml_readers.THRESHOLD_SHUTDOWN == pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN
    assert nvml_readers.THRESHOLD_SLOWDOWN == pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
    assert nvml_readers.FIELD_MEMORY_TEMPERATURE == pynvml.NVML_FI_DEV_MEMORY_TEMP
    assert nvml_readers.ECC_CORRECTED == pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED
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
    assert snapshot.cuda_version == "12.8"
    assert first.values == {
        "utilization_gpu": 42,
        "utilization_memory": 17,
        "utilization_encoder": 3,
        "utilization_decoder": 5,
        "memory_used": 8192 * MIB,
        "memory_total": 32607 * MIB,
        "memory_reserved": 512 * MIB,
        "temperature_gpu": 61,
        "temperature_memory": 68,
        "temperature_gpu_slowdown": 92,
        "temperature_gpu_shutdown": 97,
        "temperature_gpu_tlimit": 26,
        "power_draw": 545.25,
        "power_limit": 600,
        "power_default_limit": 600,
        "power_min_limit": 150,
        "power_max_limit": 600,
        "total_energy_consumption": 7200123.456,
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
        "ecc_corrected": 2,
        "ecc_uncorrected": 0,
        "persistence_mode": 1,
        "mig_mode": 0,
        "compute_cap": 12.0,
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
    standin_nvml.set(errors(code, *FUNCTIONS))
    for gpu in with_rates(source).gpus:
        assert gpu.problem is None
        assert gpu.processes == ()
        assert gpu.values == {}
        expected = dict.fromkeys(METRICS_BY_NAME, reason)
        if code == 3:
            expected["memory_total"] = expected["memory_reserved"] = "shared with the CPU"
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
    standin_nvml.set(errors(13, "nvmlDeviceGetTemperature", "nvmlSystemGetCudaDriverVersion_v2"))
    snapshot = with_rates(source)
    gpu = snapshot.gpus[0]
    assert gpu.unavailable == {"memory_reserved": "not in this driver"}
    assert snapshot.cuda_version == "12.8"
    assert gpu.get("temperature_gpu") == 61
    assert gpu.get("memory_used") == (8192 + 512) * MIB, "version 1 counts the reserve in"
    assert gpu.get("throttle_reasons") == 4
    assert gpu.get("power_limit") == 600
    assert gpu.get("fan_speed") == 40
    assert [process.used_gpu_memory for process in gpu.processes] == [1000]
    standin_nvml.take_calls()
    for _ in range(10):
        clock.now += 1
        source.sample()
    calls = standin_nvml.take_calls()
    assert calls["nvmlDeviceGetMemoryInfo", 0] == 10
    assert calls["nvmlDeviceGetMemoryInfo_v2", 0] <= 3, "what is not there is asked for seldom"


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


def test_processes_of_both_lists_by_pid_and_unknown_memory(
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
    assert by_pid[nobody].used_gpu_memory is None
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


def test_mig_has_memory_but_no_utilization(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    standin_nvml.set(gpu_0={"mig_mode": 1})
    first, second = with_rates(source).gpus
    assert first.get("mig_mode") == 1
    assert first.get("memory_used") == 8192 * MIB
    utilization = ["utilization_" + part for part in ("gpu", "memory", "encoder", "decoder")]
    assert first.unavailable == dict.fromkeys(utilization, "not measured while MIG is on")
    assert second.unavailable == {}
    standin_nvml.clear()
    for _ in range(10):
        clock.now += 1
        first = source.sample().gpus[0]
    assert (first.get("mig_mode"), first.unavailable) == (0, {})


def test_a_field_of_the_driver_has_an_error_of_its_own(
    source: NvmlSource, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set({"gpu.0.error.NVML_FI_DEV_MEMORY_TEMP": 3})
    first, second = with_rates(source).gpus
    assert first.unavailable == {"temperature_memory": "not supported"}
    assert second.get("temperature_memory") == 68


@pytest.mark.parametrize(
    ("number", "words"), [(12080, "12.8"), (11040, "11.4"), (13000, "13.0"), (0, None)]
)
def test_the_cuda_version_as_people_write_it(
    source: NvmlSource, standin_nvml: StandinNvml, number: int, words: str | None
) -> None:
    standin_nvml.set(cuda_version=number)
    assert source.sample().cuda_version == words


def test_versions_and_names_that_could_not_be_had_are_asked_for_again(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    missing = errors(999, "nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetDriverVersion")
    standin_nvml.set(missing | errors(999, "nvmlDeviceGetUUID", "nvmlDeviceGetName"))
    snapshot = source.sample()
    assert (snapshot.cuda_version, snapshot.driver_version) == (None, None)
    assert [names.uuid for names in snapshot.identities] == ["unknown-0", "unknown-1"]
    assert snapshot.identities[0].pci_bus_id == "00000000:01:00.0"
    standin_nvml.clear()
    clock.now += 5
    snapshot = source.sample()
    assert (snapshot.cuda_version, snapshot.driver_version) == ("12.8", "570.86.16")
    assert snapshot.identities[1].uuid == "GPU-a0000001-0000-4000-8000-000000000001"
    assert snapshot.identities[0].name.startswith("NVIDIA RTX PRO 6000")


def test_no_two_gpus_have_one_uuid(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    """GPU 0 fell off the bus, and GPU 1 moved up to its index; a third cannot be named."""
    before = source.sample().identities
    standin_nvml.set(gpu_0={"uuid": before[1].uuid}, reloads=1)
    standin_nvml.set({"gpu.1.error.nvmlDeviceGetUUID": 999})
    for _ in range(3):
        clock.now += 1
        snapshot = source.sample()
    uuids = [names.uuid for names in snapshot.identities]
    assert uuids == [before[1].uuid, "unknown-1", before[0].uuid]
    assert "no longer lists" in str(snapshot.gpus[2].problem)


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
