"""CPUs and NUMA nodes: on made-up machines what is refused, on this one what holds."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.config import InstanceConfig, parse
from gputui.config.cpus import format_cpus, parse_cpus, warnings
from gputui.errors import ConfigError, GputuiError
from gputui.instances.starting.placement import Machine, Placement, in_place
from gputui.instances.status import State
from tests.instances.conftest import Rig, started, status_of


@given(st.frozensets(st.integers(0, 9999), max_size=200))
def test_a_list_of_cpus_is_read_as_it_is_written(cpus: frozenset[int]) -> None:
    assert parse_cpus(format_cpus(cpus)) == cpus


def test_cpus_are_written_as_the_kernel_does() -> None:
    assert format_cpus((3, 0, 1, 2, 8, 10, 11)) == "0-3,8,10-11"
    assert format_cpus(()) == ""


@pytest.mark.parametrize("text", ["3-1", "a", "1-", "-1", "1,,2", "0-10000"])
def test_what_is_no_list_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cpus(text)


@pytest.fixture
def two_nodes(tmp_path: Path) -> Machine:
    """16 CPUs on two nodes, and a node of memory alone."""
    sysfs = tmp_path / "sysfs"
    for file, text in (
        ("cpu/online", "0-15\n"),
        ("node/node0/cpulist", "0-7\n"),
        ("node/node1/cpulist", "8-15\n"),
        ("node/node2/cpulist", "\n"),
    ):
        (sysfs / file).parent.mkdir(parents=True)
        (sysfs / file).write_text(text)
    return Machine(sysfs)


def instance(cpus: str | None = None, numa_node: int | None = None) -> InstanceConfig:
    return InstanceConfig(name="x", model="m", port=8080, cpus=cpus, numa_node=numa_node)


@pytest.mark.parametrize(
    ("cpus", "node", "expected"),
    [
        (None, None, Placement()),
        ("0-3,9", None, Placement((0, 1, 2, 3, 9))),
        (None, 1, Placement(tuple(range(8, 16)), 1)),
        ("4-9", 1, Placement((8, 9), 1)),
        ("0-1", 2, Placement((0, 1), 2)),  # a node of memory alone: the CPUs are another's
    ],
)
def test_where_an_instance_goes(
    two_nodes: Machine, cpus: str | None, node: int | None, expected: Placement
) -> None:
    assert two_nodes.place(instance(cpus, node)) == expected


@pytest.mark.parametrize(
    ("cpus", "node", "words"),
    [
        ("0-31", None, "cpus 0-31: gputui may use 0-15 here"),
        (None, 7, "numa_node = 7: this machine has nodes 0-2"),
        (None, 2, "NUMA node 2 has memory alone, no CPU"),
        ("0-3", 1, "NUMA node 1 has CPUs 8-15, none of cpus 0-3"),
    ],
)
def test_what_is_not_there_is_refused(
    two_nodes: Machine, cpus: str | None, node: int | None, words: str
) -> None:
    with pytest.raises(GputuiError) as refused:
        two_nodes.place(instance(cpus, node))
    assert words in refused.value.message
    assert refused.value.hint


def test_a_machine_without_numa(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/online").write_text("0-3")
    with pytest.raises(GputuiError, match="this machine has no NUMA"):
        Machine(tmp_path).place(instance(numa_node=0))


def test_the_thread_that_makes_is_placed_and_no_other() -> None:
    before = os.sched_getaffinity(0)
    inside, _ = in_place(Placement((min(before),)), lambda: os.sched_getaffinity(0))
    assert inside == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_cpus_that_the_kernel_refuses() -> None:
    with pytest.raises(GputuiError, match="the kernel refuses CPUs 9000"):
        in_place(Placement((9000,)), os.getpid)


async def test_a_server_runs_on_its_cpus_from_the_start(rig: Rig, tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    rig.add("a", {"dump": str(tmp_path / "dump")}, cpus=str(cpu))
    rig.add("b")
    session = rig.session()
    status = await started(session, "a")
    assert status.pid is not None
    assert status.cpus == (cpu,)
    tasks = [int(task) for task in os.listdir(f"/proc/{status.pid}/task")]  # noqa: PTH208
    assert all(os.sched_getaffinity(task) == {cpu} for task in tasks)
    record = rig.record("a")
    assert record is not None
    assert record.cpus == (cpu,)
    assert (await started(session, "b")).cpus == ()


async def test_a_server_that_was_moved_is_told(rig: Rig) -> None:
    both = sorted(os.sched_getaffinity(0))
    if len(both) < 2:
        pytest.skip("one CPU alone")
    rig.add("a", cpus=str(both[0]))
    session = rig.session()
    status = await started(session, "a")
    assert status.pid is not None
    os.sched_setaffinity(status.pid, {both[1]})
    moved = await status_of(session, "a")
    assert moved.cpus == (both[1],)
    assert f"runs on CPUs {both[1]}, not on {both[0]}" in moved.note


async def test_memory_comes_from_the_node(rig: Rig) -> None:
    if 0 not in Machine().nodes():
        pytest.skip("no NUMA here")
    rig.add("a", numa_node=0)
    session = rig.session()
    status = await started(session, "a")
    record = rig.record("a")
    assert record is not None
    if record.numa_node is None:
        assert "no memory policy" in status.note
        return
    assert status.numa_node == 0
    assert all("prefer:0" in line for line in numa_maps(record.pid))


def numa_maps(pid: int) -> list[str]:
    """The kernel's lines on the memory of a process; none where it does not tell."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/numa_maps").read_text().splitlines()
    return []


async def test_cpus_that_are_not_here_start_nothing(rig: Rig) -> None:
    rig.add("a", cpus="9998-9999")
    session = rig.session()
    with pytest.raises(GputuiError, match=r"cpus 9998-9999: gputui may use \d"):
        await session.start("a")
    assert (await status_of(session, "a")).state is State.STOPPED
    assert rig.record("a") is None


TABLE = '[[instances]]\nname = "{name}"\nmodel = "m"\nport = {port}\n{more}\n'


def config(*more: str) -> bytes:
    tables = (
        TABLE.format(name=f"i{number}", port=8080 + number, more=text)
        for number, text in enumerate(more)
    )
    return "".join(tables).encode()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('cpus = "4-2"', "4-2 runs backwards"),
        ('cpus = "0-3"\nargs = ["--cpu-mask", "f"]', 'args has "--cpu-mask"'),
        ('numa_node = 0\nargs = ["--numa=distribute"]', "says otherwise than numa_node"),
        ('cpus = "0-3;1"', "cpus"),
    ],
)
def test_what_a_configuration_cannot_mean(more: str, words: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        parse(config(more), Path("c.toml"))
    assert words in wrong.value.message
    assert wrong.value.hint


def test_numactl_goes_with_cpus() -> None:
    parse(config('cpus = "0-3"\nargs = ["--numa", "numactl"]'), Path("c.toml"))


def test_what_works_and_is_hardly_meant() -> None:
    shares = 'cpus = "2-5"\ngroup = "g"'
    found = parse(config('cpus = "0-3"\nthreads = 8', shares, shares), Path("c.toml"))
    assert warnings(found) == (
        "i0: 8 threads on 4 CPUs: they wait for each other",
        "i0 and i1 share CPUs 2-3",
        "i0 and i2 share CPUs 2-3",
    )
