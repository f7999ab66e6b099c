"""The NVML source when there is no GPU, one is lost, a call hangs; and what a tick may cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pynvml
import pytest

from gputui.gpu.nvml import NvmlSource
from gputui.gpu.sample import NOT_READ, Snapshot
from gputui.gpu.sampler import Sampler
from tests.support.nvml_scenarios import (
    EVERY_TICK,
    LANE_METRICS,
    Clock,
    check_complete,
    errors,
    with_rates,
)
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for


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
        lane = "nvmlDeviceGetPcieThroughput"
        return {n: c for (n, index), c in calls.items() if index <= 0 and n != lane}

    processes = {
        "nvmlDeviceGetComputeRunningProcesses_v3": 2,  # the size, then the list
        "nvmlDeviceGetGraphicsRunningProcesses_v3": 1,
        "nvmlDeviceGetProcessUtilization": 1,  # the size, and where there is any, the samples
    }
    slow = {
        "nvmlDeviceGetCount_v2": 1,  # of all GPUs together
        "nvmlDeviceGetEncoderUtilization": 1,
        "nvmlDeviceGetDecoderUtilization": 1,
        "nvmlDeviceGetFieldValues": 1,
        "nvmlDeviceGetMarginTemperature": 1,
        "nvmlDeviceGetEnforcedPowerLimit": 1,
        "nvmlDeviceGetFanSpeed_v2": 2,
        "nvmlDeviceGetCurrPcieLinkGeneration": 1,
        "nvmlDeviceGetMaxPcieLinkGeneration": 1,
        "nvmlDeviceGetCurrPcieLinkWidth": 1,
        "nvmlDeviceGetMaxPcieLinkWidth": 1,
        "nvmlDeviceGetPerformanceState": 1,
        "nvmlDeviceGetTotalEccErrors": 2,
        "nvmlDeviceGetPersistenceMode": 1,
        "nvmlDeviceGetMigMode": 1,
    }
    assert calls_after(1) == EVERY_TICK
    assert calls_after(1) == EVERY_TICK | processes
    assert calls_after(1) == EVERY_TICK
    assert calls_after(1) == EVERY_TICK | processes
    assert calls_after(1) == EVERY_TICK | slow


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
    sampler.stop(wait=60)


def test_pcie_throughput_delays_no_sample(
    threaded_source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    standin_nvml.set({"hang.nvmlDeviceGetPcieThroughput": 1})
    gpu = threaded_source.sample().gpus[0]
    assert gpu.get("power_draw") == 545.25
    assert {gpu.unavailable[metric] for metric in LANE_METRICS} == {NOT_READ}
    clock.now += 60
    gpu = threaded_source.sample().gpus[0]
    assert gpu.unavailable == dict.fromkeys(LANE_METRICS, "no answer for 60 s")
    assert gpu.get("power_draw") == 545.25
    standin_nvml.set({"hang.nvmlDeviceGetPcieThroughput": None})
    wait_for(lambda: threaded_source.sample().gpus[1].get("pcie_rx") == 2e6)


def test_a_lost_gpu_comes_back_though_a_call_hung_meanwhile(
    threaded_source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    """NVML is not shut down under a call, and without that a lost GPU stays lost."""
    with_rates(threaded_source)
    hang = "hang.nvmlDeviceGetPcieThroughput"
    standin_nvml.take_calls()
    standin_nvml.set(gpu_1={hang: 1})
    clock.now += 5
    threaded_source.sample()
    wait_for(lambda: "Throughput 1" in standin_nvml.calls_file.read_text())
    standin_nvml.set(gpu_1={"lost": 1})
    for _ in range(60):
        clock.now += 1
        first, second = threaded_source.sample().gpus
        assert first.get("power_draw") == 545.25
        assert second.problem is not None
    calls = standin_nvml.take_calls()
    assert not {"nvmlInitWithFlags", "nvmlShutdown"} & {name for name, _ in calls}
    assert calls["nvmlDeviceGetPcieThroughput", 1] == 1, "no second thread waits in the driver"
    standin_nvml.set(gpu_1={"lost": 0, hang: None})
    wait_for(lambda: threaded_source.sample().gpus[1].problem is None)
    assert clock.now == 1065, "at once: it was due"
    assert with_rates(threaded_source).gpus[1].get("pcie_rx") == 2e6


def test_an_nvml_that_did_not_shut_down_is_shut_down_later(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    source.sample()
    standin_nvml.set(errors(999, "nvmlShutdown"), gpu_1={"lost": 1})
    for _ in range(30):
        clock.now += 1
        assert source.sample().gpus[1].problem is not None
    standin_nvml.set({"error.nvmlShutdown": None}, gpu_1={"lost": 0})
    for _ in range(10):
        clock.now += 1
        healed = source.sample()
    assert [gpu.problem for gpu in healed.gpus] == [None, None]


def test_a_gpu_that_may_not_be_opened_is_tried_again_without_starting_nvml_anew(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    standin_nvml.set({"gpu.1.error.nvmlDeviceGetHandleByIndex_v2": 4})
    first, second = source.sample().gpus
    assert first.problem is None
    assert second.problem is not None
    assert "no permission" in second.problem.message
    standin_nvml.take_calls()
    for _ in range(20):
        clock.now += 1
        source.sample()
    calls = standin_nvml.take_calls()
    assert calls["nvmlInitWithFlags", -1] == 0
    assert calls["nvmlDeviceGetHandleByIndex_v2", 1] == 4
    standin_nvml.clear()
    clock.now += 5
    second = source.sample().gpus[1]
    assert second.problem is None
    assert second.identity.name == "NVIDIA GeForce RTX 5090"
    assert second.get("power_draw") == 545.25


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2), (2, 0)])
def test_gpus_that_come_and_go_are_noticed(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock, before: int, after: int
) -> None:
    standin_nvml.set(gpus=before)
    assert len(source.sample().gpus) == before
    standin_nvml.set(gpus=after)
    for _ in range(6):
        clock.now += 1
        snapshot = source.sample()
    assert snapshot.problem is None
    assert len(snapshot.gpus) == max(before, after), "who was seen stays"
    assert all(gpu.problem is None for gpu in snapshot.gpus[:after])
    for gpu in snapshot.gpus[after:]:
        assert gpu.problem is not None
        assert "no longer lists" in gpu.problem.message
        assert gpu.values == {}


def test_a_gpu_that_the_driver_drops_is_lost_until_it_is_back_whatever_its_number(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    first, second = (gpu.identity for gpu in source.sample().gpus)
    standin_nvml.set(gpu_0={"lost": 1})
    clock.now += 1
    source.sample()
    standin_nvml.clear()
    standin_nvml.set({"gpus": 1}, gpu_0={"uuid": second.uuid, "name": second.name})
    for _ in range(60):
        clock.now += 1
        there, lost = source.sample().gpus
        if there.problem is None:
            assert (there.identity.uuid, there.identity.index) == (second.uuid, 0)
            assert (lost.identity.uuid, lost.identity.index) == (first.uuid, 1)
        assert lost.problem is not None
    assert there.problem is None
    assert "no longer lists" in lost.problem.message
    standin_nvml.clear()
    for _ in range(10):
        clock.now += 1
        healed = source.sample()
    assert [gpu.identity for gpu in healed.gpus] == [first, second]
    assert [gpu.problem for gpu in healed.gpus] == [None, None]
