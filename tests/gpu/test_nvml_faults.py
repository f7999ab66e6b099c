"""Any faults, in any order: never an exception, never a number that the driver did not say."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.gpu.nvml import NvmlSource
from gputui.gpu.sample import snapshot_json
from tests.support.nvml_scenarios import MIB, OPTIONAL, Clock, check_complete
from tests.support.standin_nvml import StandinNvml

TRUTH: dict[str, set[float]] = {
    "utilization_gpu": {42},
    "utilization_memory": {17},
    # version 2, version 1 with the reserve, and the sum over the processes (one of 5000 bytes)
    "memory_used": {8192 * MIB, 8704 * MIB, 5000},
    "memory_total": {32607 * MIB},
    "temperature_gpu": {61},
    "power_draw": {545.25},
    "power_limit": {600},
    "clocks_sm": {2617e6},
    "clocks_sm_max": {3090e6},
    "clocks_mem": {14001e6},
    "clocks_mem_max": {14002e6},
    "fan_speed": {40, 44},
    "pcie_link_gen": {4},
    "pcie_link_gen_max": {5},
    "pcie_link_width": {8},
    "pcie_link_width_max": {16},
    "pcie_tx": {1e6},
    "pcie_rx": {2e6},
    "throttle_reasons": {4},
    "pstate": {1},
    "ecc_uncorrected": {0},
}

FUNCTIONS = (
    *OPTIONAL,
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetCount_v2",
    "nvmlSystemGetDriverVersion",
    "nvmlInitWithFlags",
)
READINGS = ("memory_used", "power_draw", "pstate", "clocks_sm", "throttle_reasons", "pcie_tx")
CODES = st.one_of(st.integers(1, 30), st.sampled_from((999, 12345)))
GPU = st.sampled_from(("", "gpu.0.", "gpu.1."))

faults = st.one_of(
    st.tuples(
        st.builds(lambda gpu, name: f"{gpu}error.{name}", GPU, st.sampled_from(FUNCTIONS)), CODES
    ),
    st.tuples(
        st.builds(lambda gpu, name: gpu + name, GPU, st.sampled_from(READINGS)), st.just("unknown")
    ),
    st.tuples(st.sampled_from(("gpu.0.lost", "gpu.1.lost")), st.integers(0, 1)),
    st.tuples(st.just("gpus"), st.integers(0, 4)),
    st.tuples(st.just("reloads"), st.integers(0, 3)),
    st.tuples(st.just("clear"), st.just(0)),
)
seconds = st.sampled_from((0.0, 0.1, 1.0, 2.0, 5.0, 30.0))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.tuples(faults, seconds), max_size=12))
def test_any_faults_in_any_order(
    standin_nvml: StandinNvml, steps: list[tuple[tuple[str, object], float]]
) -> None:
    standin_nvml.clear()
    standin_nvml.set(compute="1:5000")
    clock = Clock()
    source = NvmlSource(clock=clock)
    try:
        for (key, value), pause in steps:
            if key == "clear":
                standin_nvml.clear()
                standin_nvml.set(compute="1:5000")
            else:
                standin_nvml.set({key: value})
            check(source)
            clock.now += pause
            check(source)
        standin_nvml.clear()
        clock.now += 10
        source.sample()  # notices what was hidden by the fault before
        clock.now += 10
        healed = source.sample()
        assert healed.gpus
        assert healed.problem is None
        assert all(gpu.problem is None for gpu in healed.gpus)
    finally:
        source.close()


def check(source: NvmlSource) -> None:
    snapshot = source.sample()
    uuids = [gpu.identity.uuid for gpu in snapshot.gpus]
    assert len(set(uuids)) == len(uuids)
    assert snapshot.gpus or snapshot.problem
    for gpu in snapshot.gpus:
        check_complete(gpu)
        for name, value in gpu.values.items():
            assert value in TRUTH[name], f"{name} = {value} was never said"
    assert snapshot_json(snapshot)
