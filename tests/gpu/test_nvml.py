"""The NVML source on the stand-in library, through nvidia-ml-py's own ctypes calls."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pynvml
import pytest

from gputui.gpu import nvml_library, nvml_readers
from gputui.gpu.metrics import METRICS, METRICS_BY_NAME, Tier
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.nvml_readers import READERS
from gputui.gpu.sample import NOT_READ, GpuSample, Snapshot
from gputui.gpu.sampler import Sampler
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for

MIB = 2**20
LANE_METRICS = {metric.name for metric in METRICS if metric.tier is Tier.LANE}

OPTIONAL = (
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
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
    "nvmlDeviceGetPerformanceState",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(standin_nvml: StandinNvml, clock: Clock) -> Iterator[NvmlSource]:
    source = NvmlSource(clock=clock)
    yield source
    source.close()


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


@pytest.mark.parametrize(
    ("scenario", "message", "hint"),
    [
        (errors(9, "nvmlInitWithFlags"), "kernel module is not loaded", "modprobe"),
        (errors(18, "nvmlInitWithFlags"), "different versions", "Reboot"),
        (errors(4, "nvmlInitWithFlags"), "no permission", "/dev/nvidiactl"),
        (errors(12, "nvmlInitWithFlags"), "no NVIDIA driver is installed", "Install"),
        (errors(999, "nvmlInitWithFlags"), "unknown driver error", "nvidia-smi"),
        (errors(999, "nvmlDeviceGetCount_v2"), "unknown driver error", "nvidia-smi"),
        ({"gpus": 0}, "sees no GPU", "lspci"),
    ],
)
def test_each_reason_for_no_gpu_has_its_message_and_remedy_and_passes(
    source: NvmlSource,
    standin_nvml: StandinNvml,
    clock: Clock,
    scenario: dict[str, object],
    message: str,
    hint: str,
) -> None:
    standin_nvml.set(scenario)
    snapshot = source.sample()
    assert snapshot.gpus == ()
    assert snapshot.problem is not None
    assert message in snapshot.problem.message
    assert hint in snapshot.problem.hint
    standin_nvml.clear()
    clock.now += 10
    assert len(source.sample().gpus) == 2


def test_no_library_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_file(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(pynvml, "CDLL", no_such_file)
    source = NvmlSource()
    problem = source.sample().problem
    assert problem is not None
    assert "no NVIDIA driver is installed" in problem.message
    source.close()
    source.close()


def test_retries_back_off(source: NvmlSource, standin_nvml: StandinNvml, clock: Clock) -> None:
    standin_nvml.set(errors(9, "nvmlInitWithFlags"))
    began = clock.now
    tried = []
    for _ in range(400):
        standin_nvml.take_calls()
        source.sample()
        if standin_nvml.take_calls()[("nvmlInitWithFlags", -1)]:
            tried.append(clock.now - began)
        clock.now += 0.1
    steps = [round(after - before) for before, after in itertools.pairwise(tried)]
    assert steps[:6] == [1, 2, 4, 8, 8, 8]
    standin_nvml.clear()
    clock.now += 8
    assert source.sample().problem is None
    standin_nvml.set(reloads=1)
    source.sample()
    clock.now += 1
    assert source.sample().gpus[0].problem is None, "the next fault begins with a short wait again"


def test_a_lost_gpu_says_so_the_other_goes_on_and_it_comes_back(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    before = source.sample()
    standin_nvml.set(gpu_1={"lost": 1})
    clock.now += 1
    for _ in range(30):
        first, second = source.sample().gpus
        assert first.problem is None
        assert first.get("power_draw") == 545.25
        assert second.problem is not None
        assert "lost" in second.problem.message
        assert "-i 1" in second.problem.hint
        assert second.identity == before.gpus[1].identity, "it keeps its names"
        assert second.values == {}
        check_complete(second)
        clock.now += 1
    standin_nvml.set(gpu_1={"lost": 0})
    for _ in range(10):  # seconds from the end of the fault
        clock.now += 1
        second = source.sample().gpus[1]
    assert second.problem is None
    assert second.get("power_draw") == 545.25


def test_a_lost_gpu_is_not_asked_for_more(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    with_rates(source)
    standin_nvml.set(gpu_1={"lost": 1})
    clock.now += 0.1
    source.sample()
    standin_nvml.take_calls()
    clock.now += 0.1
    source.sample()
    assert not [call for call in standin_nvml.take_calls() if call[1] == 1]


def test_gpu_lost_before_the_start_has_no_names_but_a_problem(
    source: NvmlSource, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set(gpu_0={"lost": 1})
    first, second = source.sample().gpus
    assert first.problem is not None
    assert first.identity.index == 0
    assert first.identity.uuid not in ("", second.identity.uuid)
    assert second.problem is None


def test_a_reloaded_driver_is_connected_again(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    source.sample()
    standin_nvml.set(reloads=1)
    clock.now += 0.5
    for gpu in source.sample().gpus:
        assert gpu.problem is not None
        assert "unloaded" in gpu.problem.message
        check_complete(gpu)
    clock.now += 1
    assert all(gpu.problem is None for gpu in source.sample().gpus)


def test_gpus_keep_their_place_while_the_driver_is_away(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    before = source.sample()
    standin_nvml.set(errors(9, "nvmlInitWithFlags"), reloads=1)
    clock.now += 1
    source.sample()
    clock.now += 2
    away = source.sample()
    assert away.problem is not None
    assert away.identities == before.identities
    for gpu in away.gpus:
        assert gpu.values == {}
        check_complete(gpu)


def test_the_exact_calls_of_a_tick(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    """What a second costs in the driver; more is a decision, not an accident."""
    standin_nvml.set(compute="1:5000")
    with_rates(source)
    standin_nvml.take_calls()

    def calls_after(seconds: float) -> dict[str, int]:
        clock.now += seconds
        source.sample()
        calls = standin_nvml.take_calls()
        assert not [name for name, index in calls if index < 0], "no nvmlInit, no handles"
        lane = "nvmlDeviceGetPcieThroughput"
        return {n: c for (n, index), c in calls.items() if index == 0 and n != lane}

    tick = {
        "nvmlDeviceGetUtilizationRates": 1,
        "nvmlDeviceGetMemoryInfo_v2": 1,
        "nvmlDeviceGetTemperature": 1,
        "nvmlDeviceGetPowerUsage": 1,
        "nvmlDeviceGetClockInfo": 2,
        "nvmlDeviceGetCurrentClocksEventReasons": 1,
    }
    processes = {
        "nvmlDeviceGetComputeRunningProcesses_v3": 2,  # the size, then the list
        "nvmlDeviceGetGraphicsRunningProcesses_v3": 1,
    }
    slow = {
        "nvmlDeviceGetEnforcedPowerLimit": 1,
        "nvmlDeviceGetFanSpeed_v2": 2,
        "nvmlDeviceGetCurrPcieLinkGeneration": 1,
        "nvmlDeviceGetMaxPcieLinkGeneration": 1,
        "nvmlDeviceGetCurrPcieLinkWidth": 1,
        "nvmlDeviceGetMaxPcieLinkWidth": 1,
        "nvmlDeviceGetPerformanceState": 1,
        "nvmlDeviceGetTotalEccErrors": 1,
    }
    assert calls_after(1) == tick
    assert calls_after(1) == tick | processes
    assert calls_after(1) == tick
    assert calls_after(1) == tick | processes
    assert calls_after(1) == tick | slow


def test_what_is_not_supported_is_not_asked_for_at_every_tick(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    standin_nvml.set(errors(3, "nvmlDeviceGetPowerUsage"))
    with_rates(source)
    standin_nvml.take_calls()
    for _ in range(4):
        clock.now += 1
        source.sample()
    assert standin_nvml.take_calls()[("nvmlDeviceGetPowerUsage", 0)] == 0
    standin_nvml.clear()
    clock.now += 1
    assert source.sample().gpus[0].get("power_draw") == 545.25


@pytest.mark.parametrize("hung", ["nvmlDeviceGetTemperature", "nvmlInitWithFlags"])
def test_a_call_that_hangs_is_reported_and_the_rest_goes_on(
    standin_nvml: StandinNvml, hung: str
) -> None:
    told: list[Snapshot] = []
    standin_nvml.set({f"hang.{hung}": 1})
    sampler = Sampler(NvmlSource(), 0.05, told.append, patience=0.2)
    sampler.start()
    problem = wait_for(lambda: next((s.problem for s in told if s.problem), None))
    assert problem is not None
    assert "has not answered" in problem.message
    standin_nvml.set({f"hang.{hung}": None})
    good: Callable[[], bool] = lambda: bool(told[-1].gpus) and told[-1].problem is None  # noqa: E731
    wait_for(good)
    standin_nvml.set({"hang.nvmlDeviceGetTemperature": 1})
    wait_for(lambda: told[-1].problem is not None)
    sampler.stop()  # does not wait
    standin_nvml.clear()
    sampler.stop(wait=20)


def test_pcie_throughput_delays_no_sample(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    standin_nvml.set({"hang.nvmlDeviceGetPcieThroughput": 1})
    gpu = source.sample().gpus[0]
    assert gpu.get("power_draw") == 545.25
    assert {gpu.unavailable[metric] for metric in LANE_METRICS} == {NOT_READ}
    standin_nvml.set({"hang.nvmlDeviceGetPcieThroughput": None})
    assert with_rates(source).gpus[0].get("pcie_rx") == 2e6
    clock.now += 60
    assert source.sample().gpus[0].unavailable == {
        "pcie_tx": "no answer for 60 s",
        "pcie_rx": "no answer for 60 s",
    }
