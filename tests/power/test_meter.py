"""Tokens per joule: hand-computed, and against simulated servers of which all is known."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Problem, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.power.efficiency import Efficiency
from gputui.power.energy import Method
from gputui.power.meter import MEAN_AFTER_SECONDS, PowerMeter
from gputui.processes import ProcessIdentity

START = 1.7e9
GPUS = tuple(
    GpuIdentity(index, f"GPU-{index}", f"GPU number {index}", f"00000000:0{index}:00.0")
    for index in range(3)
)


def sample(index: int, draw: float | None, **changes: object) -> GpuSample:
    values = {} if draw is None else {"power_draw": draw}
    missing = {"power_draw": "no permission"} if draw is None else {}
    return replace(GpuSample(GPUS[index], values, missing), **changes)  # type: ignore[arg-type]


def snapshot(at: float, *draws: float | None) -> Snapshot:
    return Snapshot("nvml", START + at, tuple(sample(i, draw) for i, draw in enumerate(draws)))


def server(
    name: str = "deepseek",
    tokens: int | None = 0,
    busy: int | None = 0,
    gpus: tuple[int, ...] = (0,),
    state: State = State.READY,
    pid: int = 7,
    **more: object,
) -> InstanceStatus:
    metrics = InstanceMetrics(requests_processing=busy, tokens_generated=tokens)
    uuids = tuple(GPUS[index].uuid for index in gpus)
    status = InstanceStatus(
        name, state, 1, "", "", True, pid, uuids, bool(uuids), START, metrics=metrics
    )
    return replace(status, **more)  # type: ignore[arg-type]


def of(meter: PowerMeter, name: str = "deepseek") -> Efficiency:
    return meter.report().efficiencies[name]


def test_draws_energy_and_their_reasons() -> None:
    meter = PowerMeter()
    assert meter.report().draw is None
    assert meter.report().energy.joules is None
    meter.sampled(snapshot(0, 100, None))
    meter.sampled(snapshot(1, 300, None))
    report = meter.report()
    assert report.draw == 300
    assert [gpu.reason for gpu in report.gpus] == ["", "no permission"]
    assert [gpu.energy.joules for gpu in report.gpus] == [200, None]
    assert report.energy.method is Method.INTEGRATED


def test_what_is_old_is_no_draw_of_now() -> None:
    meter = PowerMeter()
    meter.sampled(snapshot(0, 100))
    meter.sampled(snapshot(1, 100))
    meter.sampled(replace(snapshot(1, 100), problem=Problem("the driver has not answered for 9 s")))
    report = meter.report()
    assert report.draw is None
    assert report.gpus[0].reason == "the driver has not answered for 9 s"
    assert report.energy.joules == 100
    meter.sampled(Snapshot("nvml", START + 2, (sample(0, None, problem=Problem("GPU is lost")),)))
    assert meter.report().gpus[0].reason == "GPU is lost"


def test_a_gpu_that_is_gone_stays_in_the_sum() -> None:
    meter = PowerMeter()
    for at in range(3):
        meter.sampled(snapshot(at, 100, 50))
    meter.sampled(snapshot(3, 100))
    report = meter.report()
    assert report.energy.joules == 300 + 100
    assert report.gpus[1].reason == "gone"


def test_a_mean_needs_a_session() -> None:
    meter = PowerMeter()
    for at in range(int(MEAN_AFTER_SECONDS)):
        meter.sampled(snapshot(at, 100 + 100 * (at % 2), 40))
    assert meter.report().mean_watts is None
    meter.sampled(snapshot(MEAN_AFTER_SECONDS, 100, 40))
    assert meter.report().mean_watts == pytest.approx(190)


def test_tokens_and_joules_of_the_same_requests() -> None:
    """Idle at 1 s, busy at 2 and 3 s, idle at 4 s: what was used from 1 s to the sample after."""
    meter = PowerMeter()
    meter.observed([server()])
    assert of(meter).reason == "the energy of its GPUs is not known"
    for at, draw, tokens, busy in (
        (0, 20, 1000, 0),
        (1, 20, 1000, 0),
        (2, 500, 1000, 1),
        (3, 500, 1000, 1),
        (4, 20, 1042, 0),
    ):
        meter.sampled(snapshot(at, draw))
        meter.observed([server(tokens=tokens, busy=busy)])
        assert of(meter).tokens_per_joule is None
    assert of(meter).reason == "no request has ended in this session"
    meter.sampled(snapshot(5, 20))
    joules = 260 + 500 + 260 + 20
    assert of(meter) == Efficiency(42 / joules, "", 42, joules)
    for at in range(6, 60):  # an hour of idling is nobody's
        meter.sampled(snapshot(at, 20))
        meter.observed([server(tokens=1042)])
    assert of(meter) == Efficiency(42 / joules, "", 42, joules)


def run(meter: PowerMeter, looks: list[InstanceStatus], draw: float = 100) -> None:
    at = meter.report().energy.seconds
    for look in looks:
        meter.sampled(snapshot(at, draw, draw))
        meter.observed([look])
        at += 1
    meter.sampled(snapshot(at, draw, draw))


def test_a_request_shorter_than_a_look_counts_too() -> None:
    meter = PowerMeter()
    run(meter, [server(tokens=0), server(tokens=0), server(tokens=30)])
    assert of(meter) == Efficiency(30 / 200, "", 30, 200)


def test_a_server_that_is_never_idle_counts_from_one_requests_end_to_another() -> None:
    meter = PowerMeter()
    ends = [5, 5, 25, 25, 25, 65]
    run(meter, [server(tokens=tokens, busy=1) for tokens in ends])
    assert of(meter) == Efficiency(40 / 300, "", 40, 300)


def test_requests_that_are_broken_off_have_no_part() -> None:
    meter = PowerMeter()
    idle = server(tokens=9)
    run(meter, [idle, idle, server(tokens=9, busy=1), server(tokens=9, busy=1), idle, idle])
    assert of(meter).reason == "no request has ended in this session"


def test_a_restart_loses_the_request_it_breaks_off_and_nothing_else() -> None:
    meter = PowerMeter()
    first = [server(tokens=t) for t in (0, 0, 50)] + [server(tokens=50, busy=1)]
    second = [server(tokens=t, pid=8) for t in (0, 0, 20)]
    run(meter, first + second)
    assert of(meter).tokens == 70
    assert of(meter).joules == 400, "two seconds for each of both requests"
    run(meter, [server(state=State.STOPPED, tokens=None, busy=None, gpus=())])
    assert of(meter).tokens == 70, "what was is known when it has stopped"


def test_a_counter_that_goes_back_is_a_restart() -> None:
    meter = PowerMeter()
    run(meter, [server(tokens=t) for t in (500, 500, 3, 3, 13, 13)])
    assert of(meter).tokens == 10


def test_what_is_not_known_is_not_idle() -> None:
    meter = PowerMeter()
    idle, silent = server(tokens=0), server(tokens=None, busy=None)
    run(meter, [idle, idle, silent, silent, server(tokens=0, busy=1), server(tokens=8)])
    assert of(meter) == Efficiency(8 / 500, "", 8, 500)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (server(gpus=()), "it runs on the CPU"),
        (server(gpus=(), pinned=None), "its GPUs are not known"),
        (server(gpus=(), pinned=None, state=State.STOPPED), "it does not run"),
        (server(gpus=(0, 2)), "the energy of its GPUs is not known"),
        (server(tokens=None), "no request has ended in this session"),
    ],
)
def test_why_it_is_not_known(status: InstanceStatus, reason: str) -> None:
    meter = PowerMeter()
    run(meter, [status, status])
    assert of(meter) == Efficiency(None, reason)


def test_a_gpu_that_two_run_on_is_neithers() -> None:
    meter = PowerMeter()
    one, other = server("one", gpus=(0, 1)), server("other", pid=9, gpus=(1,))
    at = 0
    for tokens in (0, 0, 10, 10):
        meter.sampled(snapshot(at, 100, 100))
        meter.observed([replace(one, metrics=server(tokens=tokens).metrics), other])
        at += 1
    assert of(meter, "one").reason == "GPU 1 is shared with other"
    assert of(meter, "other").reason == "GPU 1 is shared with one"
    stopped = replace(other, state=State.STOPPED, pid=None)
    for tokens in (10, 10, 40, 40):
        meter.sampled(snapshot(at, 100, 100))
        meter.observed([replace(one, metrics=server(tokens=tokens).metrics), stopped])
        at += 1
    meter.sampled(snapshot(at, 100, 100))
    assert of(meter, "one").tokens == 30, "from when it was alone on"


def host(pid: int) -> HostProcess:
    return HostProcess(ProcessIdentity(pid, 1, ""), "ann", "python train.py", START, False)


@pytest.mark.parametrize(
    ("process", "shared"),
    [
        (GpuProcess(99, "python", 5, utilization_sm=80.0, host=host(99)), True),
        (GpuProcess(99, "Xorg", 5, utilization_sm=3.0, host=host(99)), False),
        (GpuProcess(99, "", 5, utilization_sm=80.0), False),  # in a container it may be our own
        (GpuProcess(7, "llama-server", 5, utilization_sm=80.0, host=host(7)), False),
    ],
)
def test_another_process_at_work_on_its_gpu(process: GpuProcess, shared: bool) -> None:
    meter = PowerMeter()
    for at, tokens in enumerate((0, 0, 10, 10)):
        gpu = sample(0, 100, processes=(process,))
        meter.sampled(Snapshot("nvml", START + at, (gpu,)))
        meter.observed([server(tokens=tokens)])
    meter.sampled(snapshot(4, 100))
    meter.observed([server(tokens=10)])
    reason = "process 99 (python) works on GPU 0 too" if shared else ""
    assert (of(meter).tokens_per_joule is None) is shared
    meter.sampled(Snapshot("nvml", START + 5, (sample(0, 100, processes=(process,)),)))
    meter.observed([server(tokens=10)])
    assert of(meter).reason == reason


def test_energy_that_is_missing_spoils_the_stretch_it_is_missing_in() -> None:
    meter = PowerMeter()
    for at, draw, tokens in ((0, 100, 0), (1, 100, 0), (2, None, 9), (3, 100, 9), (4, 100, 9)):
        meter.sampled(snapshot(at, draw))
        meter.observed([server(tokens=tokens)])
    assert of(meter).tokens_per_joule is None


@dataclass(frozen=True)
class Request:
    pause: int  # tenths of a second before it
    length: int
    tokens: int


REQUESTS = st.lists(
    st.builds(Request, st.integers(1, 80), st.integers(1, 90), st.integers(1, 400)),
    min_size=1,
    max_size=8,
)
IDLE, BUSY = 30.0, 400.0


@given(REQUESTS, st.integers(0, 9), st.integers(0, 9))
def test_every_token_once_and_no_joule_of_its_work_left_out(
    requests: list[Request], sample_phase: int, look_phase: int
) -> None:
    """A server and its GPU in steps of 0.1 s, sampled and looked at once a second, at any phase."""
    meter = PowerMeter()
    work: list[tuple[bool, int]] = [(False, 0)] * 41  # energy is known from the second sample on
    tokens = 0
    for request in requests:
        work += [(False, tokens)] * request.pause + [(True, tokens)] * request.length
        tokens += request.tokens
    work += [(False, tokens)] * 40
    joules = 1e6
    for step, (busy, counted) in enumerate(work):
        at = step / 10
        if step % 10 == sample_phase:
            gpu = sample(0, BUSY if busy else IDLE)
            gpu = replace(gpu, values=dict(gpu.values) | {"total_energy_consumption": joules})
            meter.sampled(Snapshot("nvml", START + at, (gpu,)))
        if step % 10 == look_phase:
            meter.observed([server(tokens=counted, busy=int(busy))])
        joules += (BUSY if busy else IDLE) / 10
    done = of(meter)
    busy_joules = sum(busy for busy, _ in work) * BUSY / 10
    assert done.tokens == tokens
    assert done.joules >= busy_joules - 1e-3
    # At most two looks and two samples of idling around each request, and the pauses that fall
    # within them.
    assert done.joules <= busy_joules + len(requests) * 4.1 * IDLE + 1e-3


def test_three_threads_at_once() -> None:
    meter = PowerMeter()
    failures: list[BaseException] = []

    def guarded(step: int) -> None:
        try:
            for at in range(300):
                if step == 0:
                    meter.sampled(snapshot(at, 100, 100))
                elif step == 1:
                    meter.observed([server(tokens=at), server("other", gpus=(1,), tokens=at)])
                else:
                    meter.report()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(step,)) for step in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert meter.report().energy.joules == 2 * 299 * 100
