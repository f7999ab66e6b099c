"""A server on another GPU than it is pinned to is an alert; what cannot be known never is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gputui.alerts.pins import misplaced
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Problem
from gputui.instances.status import State
from gputui.processes import ProcessIdentity
from tests.alerts.making import gpu, identity, status

GIB = 2**30
PID = 77


def shown(index: int, *processes: GpuProcess, **more: object) -> GpuSample:
    used = float(more.pop("used", 4 * GIB))  # type: ignore[arg-type]
    return replace(gpu(index, memory_used=used), processes=processes, **more)  # type: ignore[arg-type]


def process(pid: int = PID, used: int | None = 2 * GIB, foreign: bool = False) -> GpuProcess:
    host = None if foreign else HostProcess(ProcessIdentity(pid, 1, "b"), "me", "x", 0.0, True)
    return GpuProcess(pid, "x", used, host=host)


WRONG = "is pinned to GPU 0 and holds 2.0 GiB on GPU 1"
NOWHERE = "is pinned to GPU 0 and holds no memory there"


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ((shown(0, process()), shown(1)), ""),
        ((shown(0), shown(1, process())), WRONG),
        ((shown(0, process()), shown(1, process())), WRONG),
        ((shown(0), shown(1, process(used=None))), "is pinned to GPU 0 and holds memory on GPU 1"),
        ((shown(0), shown(1, process(5))), NOWHERE),
        ((shown(0, used=0), shown(1)), NOWHERE),
        # Nobody of this host is in any list, and the GPU is not empty: it may not be shown here.
        ((shown(0), shown(1)), None),
        # A container's driver tells of the host's pids: this may be ours.
        ((shown(0, process(foreign=True)), shown(1, process(5))), None),
        ((shown(0), shown(1, process(foreign=True))), None),
        ((shown(0, processes_problem="no permission"), shown(1, process())), None),
        ((gpu(0, Problem("lost")), shown(1, process(5))), None),
        ((shown(1, process(5)),), None),
        ((shown(1, process()),), "is pinned to a GPU that is gone and holds 2.0 GiB on GPU 1"),
        ((), None),
    ],
)
def test_where_it_is(gpus: tuple[GpuSample, ...], expected: str | None) -> None:
    assert misplaced(status(), gpus) == expected


@pytest.mark.parametrize(
    "more",
    [{"owned": False}, {"pid": None}, {"gpus": ()}, {"state": State.LOADING}, {"offloads": False}],
)
def test_whose_place_is_not_judged(more: dict[str, object]) -> None:
    assert misplaced(status(**more), (shown(0, used=0), shown(1))) is None  # type: ignore[arg-type]


def test_one_on_two_gpus_may_be_on_either() -> None:
    both = status(gpus=(identity(0).uuid, identity(1).uuid))
    assert misplaced(both, (shown(0, process()), shown(1), shown(2))) == ""
    found = misplaced(both, (shown(0), shown(1), shown(2, process())))
    assert found == "is pinned to GPU 0, GPU 1 and holds 2.0 GiB on GPU 2"


def test_simulated_gpus_hold_nothing() -> None:
    simulated = [
        replace(one, identity=replace(one.identity, simulated=True))
        for one in (shown(0), shown(1, process()))
    ]
    assert misplaced(status(), simulated) is None
