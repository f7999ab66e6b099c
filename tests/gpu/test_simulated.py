from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.sample import GpuSample
from gputui.gpu.simulated import SIMULATED_GPUS, ProcessUse, SimulatedSource, process_use
from tests.support.waiting import wait_for

PRO, GEFORCE = SIMULATED_GPUS
GIB = 2**30


class Rig:
    """Processes with a CPU use of our choosing, and a clock."""

    def __init__(self, pinned: dict[str, list[int]], cores: int = 8) -> None:
        self.now = 0.0
        self.cpu_seconds: dict[int, float] = {}
        self.memory: dict[int, int] = {}
        self.pinned = pinned
        self.cores = cores
        self.source = SimulatedSource(
            lambda: self.pinned, clock=lambda: self.now, use=self.use, cores=cores
        )

    def use(self, pid: int) -> ProcessUse | None:
        if pid not in self.cpu_seconds:
            return None
        return ProcessUse(self.cpu_seconds[pid], self.memory.get(pid, 0), f"server-{pid}")

    def run(self, seconds: int, loads: dict[int, float]) -> tuple[GpuSample, ...]:
        """``loads`` in per cent of all cores, by pid."""
        gpus = self.source.sample().gpus
        for _ in range(seconds):
            self.now += 1.0
            for pid, load in loads.items():
                self.cpu_seconds[pid] = self.cpu_seconds.get(pid, 0.0) + load / 100 * self.cores
            gpus = self.source.sample().gpus
        return gpus


def test_identities_are_the_reference_rigs_and_marked() -> None:
    assert [gpu.identity for gpu in Rig({}).source.sample().gpus] == list(SIMULATED_GPUS)
    assert all(gpu.simulated for gpu in SIMULATED_GPUS)
    assert [gpu.index for gpu in SIMULATED_GPUS] == [0, 1]


def test_the_load_of_a_gpu_is_that_of_its_own_processes() -> None:
    rig = Rig({PRO.uuid: [1], GEFORCE.uuid: [2]})
    rig.cpu_seconds = {1: 5.0, 2: 7.0}
    pro, geforce = rig.run(3, {1: 80.0, 2: 25.0})
    assert pro.get("utilization_gpu") == 80
    assert geforce.get("utilization_gpu") == 25
    pro, geforce = rig.run(2, {1: 0.0, 2: 100.0})
    assert pro.get("utilization_gpu") == 0
    assert geforce.get("utilization_gpu") == 100


def test_everything_else_follows_the_load() -> None:
    rig = Rig({PRO.uuid: [1]})
    rig.cpu_seconds = {1: 0.0}
    idle = rig.run(5, {1: 0.0})[0]
    busy = rig.run(120, {1: 95.0})[0]
    metrics = "power_draw temperature_gpu clocks_sm clocks_mem fan_speed pcie_rx pcie_link_gen"
    for metric in metrics.split():
        before, after = idle.get(metric), busy.get(metric)
        assert before is not None
        assert after is not None
        assert after > before, metric
    assert (idle.get("pstate"), busy.get("pstate")) == (8, 1)
    assert idle.get("throttle_reasons") == 1
    cooled = rig.run(200, {1: 0.0})[0]
    assert cooled.get("temperature_gpu") == idle.get("temperature_gpu")


def test_the_temperature_lags() -> None:
    rig = Rig({PRO.uuid: [1]})
    rig.cpu_seconds = {1: 0.0}
    first = rig.run(2, {1: 100.0})[0].get("temperature_gpu")
    later = rig.run(20, {1: 100.0})[0].get("temperature_gpu")
    at_last = rig.run(200, {1: 100.0})[0].get("temperature_gpu")
    assert first is not None
    assert later is not None
    assert at_last is not None
    assert first < later < at_last <= 78


def test_memory_is_that_of_the_pinned_processes() -> None:
    rig = Rig({PRO.uuid: [1, 3], GEFORCE.uuid: [2, 4]})
    rig.cpu_seconds = dict.fromkeys((1, 2, 3), 0.0)
    rig.memory = {1: 10 * GIB, 2: 500 * GIB, 3: 1 * GIB}
    empty = Rig({}).source.sample().gpus[0].get("memory_used")
    pro, geforce = rig.run(1, {})
    assert empty is not None
    assert pro.get("memory_used") == empty + 11 * GIB
    assert geforce.get("memory_used") == geforce.get("memory_total"), "never more than there is"
    assert [(p.pid, p.name, p.used_gpu_memory) for p in pro.processes] == [
        (1, "server-1", 10 * GIB),
        (3, "server-3", 1 * GIB),
    ]
    assert [p.pid for p in geforce.processes] == [2], "a process that is gone is on no GPU"


def test_a_process_on_both_gpus_is_shared_out() -> None:
    rig = Rig({PRO.uuid: [1], GEFORCE.uuid: [1]})
    rig.cpu_seconds = {1: 0.0}
    rig.memory = {1: 4 * GIB}
    for gpu in rig.run(2, {1: 60.0}):
        assert gpu.get("utilization_gpu") == 30
        assert gpu.processes[0].used_gpu_memory == 2 * GIB


def test_energy_is_power_over_time() -> None:
    rig = Rig({PRO.uuid: [1]})
    rig.cpu_seconds = {1: 0.0}
    first = rig.run(0, {1: 50.0})[0].get("total_energy_consumption")
    expected = 0.0
    for _ in range(20):
        pro = rig.run(1, {1: 50.0})[0]
        expected += pro.values["power_draw"]
    assert first == 0
    assert abs(pro.values["total_energy_consumption"] - expected) < 0.05 * 40, "watts are rounded"


def test_what_one_of_them_lacks_has_a_reason() -> None:
    pro, geforce = Rig({}).source.sample().gpus
    assert pro.unavailable == {}
    missing = ("temperature_memory", "ecc_corrected", "ecc_uncorrected", "mig_mode")
    assert geforce.unavailable == dict.fromkeys(missing, "not supported")
    assert Rig({}).source.sample().cuda_version == "12.8"


@settings(max_examples=50, deadline=None)
@given(loads=st.lists(st.floats(0, 400), min_size=1, max_size=20))
def test_readings_stay_what_a_gpu_can_say(loads: list[float]) -> None:
    rig, twin = Rig({PRO.uuid: [1]}), Rig({PRO.uuid: [1]})
    rig.cpu_seconds, twin.cpu_seconds = {1: 0.0}, {1: 0.0}
    for load in loads:
        gpus = rig.run(1, {1: load})
        for gpu in gpus:
            get = gpu.values.__getitem__
            assert 0 <= get("utilization_gpu") <= 100
            assert 0 < get("power_draw") <= get("power_limit") <= get("power_max_limit")
            assert get("power_min_limit") <= get("power_default_limit") <= get("power_max_limit")
            assert get("temperature_gpu") < get("temperature_gpu_slowdown")
            assert get("temperature_gpu_slowdown") < get("temperature_gpu_shutdown")
            assert 0 < get("memory_used") <= get("memory_total")
            assert 0 < get("clocks_sm") <= get("clocks_sm_max")
            assert 20 <= get("temperature_gpu") <= 90
            assert 0 <= get("fan_speed") <= 100
            assert set(gpu.values) | set(gpu.unavailable) == set(METRICS_BY_NAME)
        assert gpus == twin.run(1, {1: load}), "the same loads give the same readings"


def test_a_real_process_that_works_is_seen_to_work() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        source = SimulatedSource(lambda: {PRO.uuid: [busy.pid]})

        def loaded() -> GpuSample | None:
            gpu = source.sample().gpus[0]
            return gpu if (gpu.get("utilization_gpu") or 0) > 5 else None

        gpu = wait_for(loaded)
        assert gpu is not None
        assert gpu.processes[0].pid == busy.pid
        assert "python" in gpu.processes[0].name
    finally:
        busy.kill()
        busy.wait()
    assert source.sample().gpus[0].processes == ()


def test_this_process_can_be_looked_at() -> None:
    use = process_use(os.getpid())
    assert use is not None
    assert use.memory > 2**20
    assert process_use(2**22 + 5) is None
