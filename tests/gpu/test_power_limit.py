"""Power limits through the stand-in library: what is set, and every way it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from gputui.errors import GputuiError
from gputui.gpu import simulated
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.power_limit import (
    LimitRefusedError,
    PowerRange,
    command,
    limit_setter,
    power_range,
    set_limit,
)
from gputui.gpu.sample import GpuSample
from gputui.gpu.simulated import ProcessUse, SimulatedSource
from gputui.identity import GpuIdentity
from tests.support.standin_nvml import StandinNvml

SET = "nvmlDeviceSetPowerManagementLimit"


@pytest.fixture
def gpu(source: NvmlSource) -> GpuIdentity:
    """The second GPU."""
    return source.sample().identities[1]


def test_a_limit_is_set_on_that_gpu_alone_and_read_back(
    source: NvmlSource, gpu: GpuIdentity, standin_nvml: StandinNvml
) -> None:
    standin_nvml.take_calls()
    change = set_limit(gpu, 450)
    assert (change.before, change.after) == (600, 450)
    assert change.words == "GPU 1: power limit 600 → 450 W"
    calls = standin_nvml.take_calls()
    assert calls[SET, 1] == 1
    assert calls[SET, 0] == 0
    assert set_limit(gpu, 600).words == "GPU 1: power limit 450 → 600 W"


def test_the_source_goes_on_beside_it(
    source: NvmlSource, gpu: GpuIdentity, standin_nvml: StandinNvml
) -> None:
    set_limit(gpu, 450)
    assert source.sample().gpus[1].get("power_draw") == 545.25
    assert standin_nvml.take_calls()["nvmlInitWithFlags", -1] == 2


def test_fractions_of_a_watt_reach_the_driver(gpu: GpuIdentity) -> None:
    assert set_limit(gpu, 450.5).after == 450.5


@pytest.mark.parametrize("watts", [149.9, 600.1, 0, 1e6])
def test_out_of_range_says_the_range_and_asks_nothing(
    gpu: GpuIdentity, standin_nvml: StandinNvml, watts: float
) -> None:
    standin_nvml.take_calls()
    with pytest.raises(LimitRefusedError, match="out of its range") as refused:
        set_limit(gpu, watts)
    assert refused.value.hint == "It takes 150 to 600 W. Its default is 600 W."
    assert standin_nvml.take_calls()[SET, 1] == 0


def test_the_driver_has_the_last_word_on_the_range(
    gpu: GpuIdentity, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set({"error.nvmlDeviceGetPowerManagementLimitConstraints": 3, f"error.{SET}": 2})
    with pytest.raises(LimitRefusedError, match="out of its range") as refused:
        set_limit(gpu, 10_000)
    assert refused.value.hint.startswith("It takes – to – W.")


def test_without_permission_there_is_the_exact_command(
    gpu: GpuIdentity, standin_nvml: StandinNvml
) -> None:
    standin_nvml.set({f"error.{SET}": 4})
    with pytest.raises(LimitRefusedError, match="root") as refused:
        set_limit(gpu, 450)
    assert refused.value.hint == "sudo nvidia-smi -i 00000000:21:00.0 -pl 450"


def test_the_command_names_the_gpu_in_any_case() -> None:
    nameless = GpuIdentity(3, "GPU-a b", "x", "")
    assert command(nameless, 300.5) == "sudo nvidia-smi -i 'GPU-a b' -pl 300.5"


@pytest.mark.parametrize("code", [3, 13])
def test_a_gpu_whose_limit_is_fixed(gpu: GpuIdentity, standin_nvml: StandinNvml, code: int) -> None:
    standin_nvml.set({f"error.{SET}": code})
    with pytest.raises(LimitRefusedError, match="cannot be set"):
        set_limit(gpu, 450)


def test_a_lost_gpu_is_no_refusal_for_good(gpu: GpuIdentity, standin_nvml: StandinNvml) -> None:
    standin_nvml.set(gpu_1={"lost": 1})
    with pytest.raises(GputuiError, match="GPU is lost") as failed:
        set_limit(gpu, 450)
    assert not isinstance(failed.value, LimitRefusedError)
    assert "gpu-reset" in failed.value.hint


def test_a_gpu_that_is_not_here(source: NvmlSource, gpu: GpuIdentity) -> None:
    with pytest.raises(GputuiError, match="GPU is lost"):
        set_limit(replace(gpu, uuid="GPU-none"), 450)


def test_no_driver(standin_nvml: StandinNvml) -> None:
    standin_nvml.set({"error.nvmlInitWithFlags": 9})
    with pytest.raises(GputuiError, match="not loaded"):
        set_limit(GpuIdentity(0, "GPU-a", "x", ""), 450)


@pytest.mark.parametrize("failing", ["GetPowerManagementLimit", "GetPowerManagementDefaultLimit"])
def test_what_is_not_known_of_the_limits_stops_nothing(
    gpu: GpuIdentity, standin_nvml: StandinNvml, failing: str
) -> None:
    standin_nvml.set({f"error.nvmlDevice{failing}": 3})
    change = set_limit(gpu, 450)
    assert change.after == 450
    assert change.words.startswith("GPU 1: power limit ")
    assert "None" not in change.words


def test_a_recording_is_refused() -> None:
    class Recorded:
        name = "recorded"

        def sample(self) -> None: ...
        def close(self) -> None: ...

    set_recorded = limit_setter(Recorded())  # type: ignore[arg-type]
    with pytest.raises(LimitRefusedError, match="recording"):
        set_recorded(GpuIdentity(0, "GPU-a", "x", ""), 450)


def test_the_range_of_a_sample() -> None:
    values = {"power_limit": 450.0, "power_min_limit": 400.0, "power_max_limit": 600.0}
    found = power_range(GpuSample(GpuIdentity(0, "GPU-a", "x", ""), values))
    assert found == PowerRange(450, None, 400, 600)
    assert [found.holds(watts) for watts in (399, 400, 600, 601)] == [False, True, True, False]
    assert PowerRange().holds(1)


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> SimulatedSource:
    """The second GPU at full load from the second sample on."""
    monkeypatch.setattr(simulated, "_limits", {})
    seconds = iter(range(1000))
    busy = iter(range(0, 10_000, 8))

    def pids() -> Mapping[str, Sequence[int]]:
        return {simulated.SIMULATED_GPUS[1].uuid: [7]}

    return SimulatedSource(
        pids,
        clock=lambda: float(next(seconds)),
        use=lambda pid: ProcessUse(float(next(busy)), 0, "server"),
        cores=8,
    )


def test_a_simulated_gpu_keeps_to_its_limit(simulation: SimulatedSource) -> None:
    simulation.sample()
    free = simulation.sample().gpus[1]
    assert free.values["power_draw"] > 550
    change = limit_setter(simulation)(free.identity, 400)
    assert change.words == "GPU 1: power limit 575 → 400 W"
    held = simulation.sample().gpus[1]
    assert held.get("power_limit") == 400
    assert held.get("power_default_limit") == 575
    assert held.values["power_draw"] <= 400
    assert held.values["clocks_sm"] < free.values["clocks_sm"]
    assert held.get("throttle_reasons") == 0x4
    assert simulation.sample().gpus[0].get("power_limit") == 600


def test_a_simulated_gpu_has_a_range(simulation: SimulatedSource) -> None:
    with pytest.raises(LimitRefusedError, match="out of its range"):
        limit_setter(simulation)(simulated.SIMULATED_GPUS[1], 5)
