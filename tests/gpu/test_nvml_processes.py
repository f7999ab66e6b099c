"""What the NVML source tells of processes: types, memory, SM %, and what each costs in the driver."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.alerts.pins import misplaced
from gputui.gpu.host_processes import HostProcesses
from gputui.gpu.hosted import HostedSource
from gputui.gpu.nvml import PROCESS_SECONDS, NvmlSource
from gputui.gpu.nvml_library import Unavailable
from gputui.gpu.nvml_processes import ProcessReader, SmUtilization, ask
from gputui.gpu.sample import GpuProcess
from gputui.instances.status import InstanceStatus, State
from tests.support.nvml_scenarios import Clock, errors
from tests.support.standin_nvml import StandinNvml

UTILIZATION = "nvmlDeviceGetProcessUtilization"


class Rounds:
    """Samples one round of process readings after the other."""

    def __init__(self, source: NvmlSource, standin: StandinNvml, clock: Clock) -> None:
        self._source, self._standin, self._clock = source, standin, clock

    def next(self, utilization: str | None = None, **more: object) -> dict[int, GpuProcess]:
        """GPU 0's processes by pid, with these samples held by the driver."""
        self._standin.set({"utilization": utilization, **more})
        self._clock.now += PROCESS_SECONDS
        return {p.pid: p for p in self._source.sample().gpus[0].processes}

    def busy(self, utilization: str | None = None, **more: object) -> dict[int, float | None]:
        """The same, SM % alone."""
        return {p: one.utilization_sm for p, one in self.next(utilization, **more).items()}


@pytest.fixture
def rounds(source: NvmlSource, standin_nvml: StandinNvml, clock: Clock) -> Rounds:
    standin_nvml.set(compute="7:100,8:200")
    return Rounds(source, standin_nvml, clock)


def test_the_type_is_that_of_the_lists_a_process_stands_in(rounds: Rounds) -> None:
    processes = rounds.next(compute="7:5000,8:unknown", graphics="8:37,9:1")
    assert {pid: str(one.type) for pid, one in processes.items()} == {7: "C", 8: "C+G", 9: "G"}
    assert {pid: one.used_gpu_memory for pid, one in processes.items()} == {7: 5000, 8: 37, 9: 1}


def test_one_list_that_fails_leaves_the_other(rounds: Rounds) -> None:
    failing = errors(999, "nvmlDeviceGetComputeRunningProcesses_v3")
    processes = rounds.next(graphics="9:1", **failing)
    assert [(one.pid, str(one.type)) for one in processes.values()] == [(9, "G")]


@pytest.mark.parametrize(
    ("failing", "graphics", "problem"),
    [
        ({"Compute": 4, "Graphics": 4}, "9:1", "no permission"),
        ({"Compute": 4}, "", "no permission"),
        ({"Compute": 4}, "9:1", None),
        ({"Graphics": 3}, "", None),
    ],
    ids=["both", "the other is empty", "the other is not", "not supported"],
)
def test_a_list_that_cannot_be_read_is_not_an_empty_one(
    standin_nvml: StandinNvml,
    source: NvmlSource,
    failing: dict[str, int],
    graphics: str,
    problem: str | None,
) -> None:
    codes: dict[str, object] = {}
    for kind, code in failing.items():
        names = [f"nvmlDeviceGet{kind}RunningProcesses{end}" for end in ("", "_v2", "_v3")]
        codes |= errors(code, *names)
    standin_nvml.set({"compute": "", "graphics": graphics} | codes)
    assert source.sample().gpus[0].processes_problem == problem


def test_a_lost_gpu_has_a_list_that_is_not_known(
    standin_nvml: StandinNvml, source: NvmlSource, clock: Clock
) -> None:
    assert source.sample().gpus[0].processes_problem is None
    standin_nvml.set({"gpu.0.lost": 1})
    clock.now += PROCESS_SECONDS
    lost = source.sample().gpus[0]
    assert lost.problem is not None
    assert lost.processes_problem


def test_the_newest_sample_since_the_last_look_counts(rounds: Rounds) -> None:
    assert rounds.busy("7:1000:99:1") == {7: None, 8: None}, "at first it is a mean over minutes"
    assert rounds.busy("7:1000:99:1,7:3000:40:1,7:2000:80:1,8:2500:5:1") == {7: 40, 8: 5}
    assert rounds.busy("7:4000:60:1") == {7: 60, 8: 0}, "no sample: it did nothing"
    assert rounds.busy("7:4000:60:1") == {7: 0, 8: 0}, "a stale one is none"
    assert rounds.busy() == {7: 0, 8: 0}, "NOT_FOUND means idle"


def test_nonsense_is_not_known_and_does_not_hide_what_comes(rounds: Rounds) -> None:
    rounds.busy("7:1000:10:1")
    assert rounds.busy("7:9999999:250:1,8:2000:30:1") == {7: None, 8: 30}
    assert rounds.busy("7:9999999:250:1,7:3000:20:1,8:3000:40:1") == {7: 20, 8: 40}


def test_samples_of_others_and_of_no_time_are_dropped(rounds: Rounds) -> None:
    rounds.busy("7:1000:10:1")
    assert rounds.busy("0:0:0:0,12345:99999:50:1,8:2000:30:1") == {7: 0, 8: 30}
    assert rounds.busy("8:3000:31:1") == {7: 0, 8: 31}, "another's time stamp moved no mark"


def test_a_clock_that_is_set_back_is_noticed(rounds: Rounds) -> None:
    rounds.busy("7:1000000:10:1")
    assert rounds.busy("7:2000000:50:1")[7] == 50
    seen = []
    for tick in range(20):
        seen.append(rounds.busy(f"7:{1000 + tick}:90:1")[7])
    assert seen[-1] == 90
    assert None in seen


@pytest.mark.parametrize("code", [3, 4, 999])
def test_what_the_driver_does_not_tell_is_not_known(rounds: Rounds, code: int) -> None:
    assert rounds.busy("7:1000:10:1", **errors(code, UTILIZATION)) == {7: None, 8: None}
    rounds.busy("7:1000:10:1", **{f"error.{UTILIZATION}": None})
    assert rounds.busy("7:2000:12:1")[7] == 12, "it comes back with the driver's answer"


def test_a_driver_without_the_call_is_asked_seldom(
    rounds: Rounds, standin_nvml: StandinNvml
) -> None:
    standin_nvml.take_calls()
    for _ in range(8):
        assert rounds.busy(**errors(13, UTILIZATION)) == {7: None, 8: None}
    assert standin_nvml.take_calls()[UTILIZATION, 0] == 4
    for _ in range(4):
        busy = rounds.busy(**{f"error.{UTILIZATION}": None})
    assert busy == {7: 0, 8: 0}, "another driver may have it"


def test_calls_of_a_round(rounds: Rounds, standin_nvml: StandinNvml, clock: Clock) -> None:
    def calls() -> Counter[str]:
        taken = standin_nvml.take_calls()
        return Counter({name: n for (name, index), n in taken.items() if index == 0})

    rounds.busy("7:1000:10:1")
    calls()
    rounds.busy("7:2000:10:1")
    assert calls()[UTILIZATION] == 2, "the size, then the samples"
    rounds.busy("7:2000:10:1")
    assert calls()[UTILIZATION] == 1
    rounds.busy(compute="none")
    assert calls()[UTILIZATION] == 0, "nobody there, nothing to ask"


def test_between_two_rounds_nothing_is_asked(
    rounds: Rounds, source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    rounds.busy("7:1000:10:1")
    standin_nvml.take_calls()
    clock.now += PROCESS_SECONDS / 2
    source.sample()
    names = {name for name, _ in standin_nvml.take_calls()}
    assert not {name for name in names if "Process" in name}


class _Handle:
    """A handle that gives one answer after the other."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0

    def query(self, *calls: object) -> object:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_list_that_grows_while_it_is_read_is_read_again() -> None:
    short = Unavailable("short", 7)
    handle = _Handle(short, [1, 2])
    assert ask(handle, ("f",)) == [1, 2]  # type: ignore[arg-type]
    forever = _Handle(short)
    assert ask(forever, ("f",)) is short  # type: ignore[arg-type]
    assert forever.asked == 3
    assert ProcessReader().read(forever) is short  # type: ignore[arg-type]


SAMPLE = st.tuples(st.integers(5, 9), st.integers(0, 40), st.integers(0, 130))


@settings(max_examples=60)
@given(rounds=st.lists(st.lists(SAMPLE, max_size=4), max_size=8))
def test_no_number_that_the_driver_did_not_say(rounds: list[list[tuple[int, int, int]]]) -> None:
    """Whatever samples come: per cent, 0 for what did nothing, or not known."""
    reader = SmUtilization()
    for samples in rounds:
        answer = [_Sample(*sample) for sample in samples]
        handle = _Handle(answer or Unavailable("not found", 6))
        known = reader.read(handle, {7, 8})  # type: ignore[arg-type]
        assert set(known) == {7, 8}
        for pid, percent in known.items():
            said = {s.smUtil for s in answer if s.pid == pid and s.smUtil <= 100}
            assert percent is None or percent == 0 or percent in said


class _Sample:
    def __init__(self, pid: int, at: int, sm: int) -> None:
        self.pid, self.timeStamp, self.smUtil = pid, at, sm


def test_a_server_on_another_gpu_than_its_pin_is_told_with_both(
    standin_nvml: StandinNvml, source: NvmlSource, clock: Clock
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server:
        try:
            standin_nvml.set({"gpu.0.compute": "", "gpu.1.compute": f"{server.pid}:{3 * 2**30}"})
            clock.now += PROCESS_SECONDS
            rig = HostedSource(source, HostProcesses()).sample().gpus
            pinned = InstanceStatus(
                name="coder", state=State.READY, port=1, url="", model="m", owned=True,
                pid=server.pid, gpus=(rig[0].identity.uuid,),
            )  # fmt: skip
            found = misplaced(pinned, rig)
            assert found == "is pinned to GPU 0 and holds 3.0 GiB on GPU 1"
            right = replace(pinned, gpus=(rig[1].identity.uuid,))
            assert misplaced(right, rig) == ""
            nobody = replace(pinned, pid=server.pid + 1, state=State.LOADING)
            assert misplaced(nobody, rig) is None
        finally:
            server.kill()
