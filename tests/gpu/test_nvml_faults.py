"""Any faults, alone and in any order: never an exception, never a number that the driver did not say,
and all readings back within ten seconds of the last fault's end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.sample import Snapshot, snapshot_json
from tests.support.nvml_scenarios import FUNCTIONS, MIB, Clock, check_complete
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for

RECOVERY = 10
"""Samples, one a second, from the end of a fault until everything is there again."""

TRUTH: dict[str, set[float]] = {
    "utilization_gpu": {42},
    "utilization_memory": {17},
    "utilization_encoder": {3},
    "utilization_decoder": {5},
    # version 2, version 1 with the reserve, and the sum over the processes (one of 5000 bytes)
    "memory_used": {8192 * MIB, 8704 * MIB, 5000},
    "memory_total": {32607 * MIB},
    "memory_reserved": {512 * MIB},
    "power_draw": {545.25},
    "power_limit": {600},
    "power_default_limit": {600},
    "power_min_limit": {150},
    "power_max_limit": {600},
    "total_energy_consumption": {7200123.456},
    "temperature_gpu": {61},
    "temperature_memory": {68},
    "temperature_gpu_slowdown": {92},
    "temperature_gpu_shutdown": {97},
    "temperature_gpu_tlimit": {26},
    "fan_speed": {40, 44},
    "clocks_sm": {2617e6},
    "clocks_sm_max": {3090e6},
    "clocks_mem": {14001e6},
    "clocks_mem_max": {14002e6},
    "throttle_reasons": {4},
    "pstate": {1},
    "pcie_link_gen": {4},
    "pcie_link_gen_max": {5},
    "pcie_link_width": {8},
    "pcie_link_width_max": {16},
    "pcie_tx": {1e6},
    "pcie_rx": {2e6},
    "ecc_corrected": {2},
    "ecc_uncorrected": {0},
    "persistence_mode": {1},
    "mig_mode": {0, 1},
    "compute_cap": {12.0},
}

NOT_OF_ONE_GPU = (
    "nvmlInitWithFlags",
    "nvmlShutdown",
    "nvmlDeviceGetCount_v2",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlSystemGetCudaDriverVersion",
)
OPENING = (
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetPciInfo_v3",
)
OF_ONE_GPU = (*FUNCTIONS, *OPENING, "NVML_FI_DEV_MEMORY_TEMP")
CODES = (*range(1, 31), 999, 12345)
KINDS_OF_ERROR = (3, 10, 13, 15, 25, 999)
"""Settled, in passing, missing, lost, of another version, of any other kind."""
UNKNOWN = (
    "memory_used",
    "memory_reserved",
    "power_draw",
    "power_max_limit",
    "total_energy_consumption",
    "temperature_memory",
    "pstate",
    "clocks_sm",
    "clocks_sm_max",
    "throttle_reasons",
    "pcie_tx",
    "ecc_corrected",
    "fan_speed_1",
)


class Driver:
    """The stand-in, a source that samples it, and what it says while all is well."""

    def __init__(self, standin: StandinNvml) -> None:
        self.standin = standin
        self.clock = Clock()
        self.source = NvmlSource(clock=self.clock, spawn=lambda work: work())
        self.heal()
        self.sample()
        self.clock.now += 2  # what processes use is known from the second look on
        self.healthy = self.sample()
        assert self.healthy.problem is None
        assert [gpu.unavailable for gpu in self.healthy.gpus] == [{}, {}]

    def heal(self) -> None:
        self.standin.clear()
        self.standin.set(compute="1:5000")

    def sample(self) -> Snapshot:
        """The next sample, which holds nothing that was not said."""
        return checked(self.source.sample())

    def take(self, key: str, value: object) -> None:
        """One step of a sequence."""
        if key == "heal":
            self.heal()
        elif key.startswith("hang."):
            self.hang(key.removeprefix("hang."), float(str(value)))
        else:
            self.standin.set({key: value})

    def hang(self, function: str, seconds: float) -> None:
        """A sample in which ``function`` does not return for so long."""
        os.environ["STANDIN_NVML_CALLS"] = str(self.standin.calls_file)
        self.standin.set({f"hang.{function}": 1})
        calls = self.standin.calls_file
        with ThreadPoolExecutor(1) as pool:
            sampling = pool.submit(self.source.sample)
            wait_for(lambda: sampling.done() or (calls.exists() and function in calls.read_text()))
            self.clock.now += seconds
            self.standin.set({f"hang.{function}": None})
            checked(sampling.result(20))
        self.standin.take_calls()
        os.environ.pop("STANDIN_NVML_CALLS")

    def check_recovery(self) -> None:
        """All that the healthy driver says is there in time, and stays."""
        for _ in range(RECOVERY):
            self.clock.now += 1
            if told(self.sample()) == told(self.healthy):
                break
        for _ in range(2):
            self.clock.now += 1
            assert told(self.sample()) == told(self.healthy)

    def close(self) -> None:
        self.heal()
        self.source.close()


@pytest.fixture(autouse=True)
def _no_count_of_calls(standin_nvml: StandinNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STANDIN_NVML_CALLS")  # writing them takes longer than making them


@pytest.fixture
def driver(standin_nvml: StandinNvml) -> Iterator[Driver]:
    driver = Driver(standin_nvml)
    yield driver
    driver.close()


def told(snapshot: Snapshot) -> Snapshot:
    """A snapshot but for its time, and but for further GPUs that are there no more."""
    further = [
        gpu
        for gpu in snapshot.gpus[2:]
        if gpu.problem is None or "no longer lists" not in gpu.problem.message
    ]
    return replace(snapshot, taken_at=0.0, gpus=(*snapshot.gpus[:2], *further))


def checked(snapshot: Snapshot) -> Snapshot:
    uuids = [gpu.identity.uuid for gpu in snapshot.gpus]
    assert len(set(uuids)) == len(uuids)
    assert snapshot.gpus or snapshot.problem
    for gpu in snapshot.gpus:
        check_complete(gpu)
        for name, value in gpu.values.items():
            assert value in TRUTH[name], f"{name} = {value} was never said"
        for process in gpu.processes:
            assert (process.pid, process.used_gpu_memory) == (1, 5000)
            assert process.utilization_sm in (None, 0)
    assert snapshot_json(snapshot)
    return snapshot


def test_the_truth_is_told_of_every_metric() -> None:
    assert set(TRUTH) == set(METRICS_BY_NAME)


@pytest.mark.parametrize("function", [*OF_ONE_GPU, *NOT_OF_ONE_GPU])
def test_each_function_alone_with_each_error(driver: Driver, function: str) -> None:
    for code in CODES:
        driver.standin.set({f"error.{function}": code})
        driver.clock.now += 5
        driver.sample()
        driver.standin.set(reloads=code)  # now NVML is started under this fault
        for _ in range(2):
            driver.clock.now += 1
            driver.sample()
        driver.standin.set({f"error.{function}": None})
        driver.check_recovery()


@pytest.mark.parametrize("function", OF_ONE_GPU)
def test_each_function_of_one_gpu_with_each_error_takes_no_other_gpu_along(
    driver: Driver, function: str
) -> None:
    for code in KINDS_OF_ERROR:
        driver.standin.set({f"gpu.1.error.{function}": code})
        driver.clock.now += 5
        assert told(driver.sample()).gpus[0] == told(driver.healthy).gpus[0]
        driver.standin.set({f"gpu.1.error.{function}": None})
        driver.check_recovery()


gpu_prefix = st.sampled_from(("", "gpu.0.", "gpu.1."))
all_functions = st.sampled_from((*OF_ONE_GPU, *NOT_OF_ONE_GPU))
errors = st.tuples(
    st.builds(lambda gpu, name: f"{gpu}error.{name}", gpu_prefix, all_functions),
    st.sampled_from(CODES),
)
unknowns = st.tuples(
    st.builds(lambda gpu, name: gpu + name, gpu_prefix, st.sampled_from(UNKNOWN)),
    st.just("unknown"),
)
changes = st.one_of(
    st.tuples(st.sampled_from(("gpu.0.lost", "gpu.1.lost")), st.integers(0, 1)),
    st.tuples(st.just("gpus"), st.integers(0, 4)),
    st.tuples(st.just("reloads"), st.integers(0, 3)),
    st.tuples(st.just("gpu.1.mig_mode"), st.integers(0, 1)),
    st.tuples(st.just("heal"), st.just(0)),
)
hangs = st.tuples(st.builds(lambda name: f"hang.{name}", all_functions), st.integers(1, 60))
seconds = st.sampled_from((0.0, 0.1, 1.0, 1.0, 2.0, 5.0, 30.0))
steps = st.tuples(st.one_of(errors, errors, unknowns, changes, hangs), seconds)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example([(("error.nvmlShutdown", 999), 0.0), (("gpu.1.lost", 1), 30.0)])
@example([(("error.nvmlShutdown", 1), 0.0), (("gpu.1.lost", 1), 30.0)])
@example(
    [
        (("error.nvmlDeviceGetMemoryInfo_v2", 3), 0.0),
        (("error.nvmlDeviceGetComputeRunningProcesses_v3", 999), 5.0),
    ]
)
@example([(("gpu.1.error.nvmlDeviceGetHandleByIndex_v2", 4), 0.0), (("reloads", 1), 2.0)])
@given(steps=st.lists(steps, max_size=12))
def test_any_faults_in_any_order(
    standin_nvml: StandinNvml, steps: list[tuple[tuple[str, object], float]]
) -> None:
    driver = Driver(standin_nvml)
    try:
        for (key, value), pause in steps:
            driver.take(key, value)
            driver.sample()
            driver.clock.now += pause
            driver.sample()
        driver.heal()
        driver.check_recovery()
    finally:
        driver.close()
