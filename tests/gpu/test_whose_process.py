"""Whose pid is it, and who started whom: on the host, in a container, simulated, recorded."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from gputui.gpu.family import Family, relatives
from gputui.gpu.host_processes import (
    HostProcesses,
    in_pid_namespace,
    is_local,
    nvml_pid_is_local,
    opens_gpu,
)
from gputui.gpu.hosted import HostedSource
from gputui.gpu.nvml import NvmlSource
from gputui.gpu.sample import GpuProcess, GpuSample, Snapshot, snapshot_json
from gputui.gpu.simulated import SIMULATED_GPUS
from gputui.gpu.sources import open_source
from tests.gpu.conftest import NOBODY, Spawn
from tests.support.nvml_scenarios import Clock
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for

# ── whose pid is it ──────────────────────────────────────────────────────────────────────────────


def test_a_pid_is_local_on_the_host_and_needs_an_open_gpu_in_a_container() -> None:
    def must_not_be_asked() -> bool:
        raise AssertionError

    assert is_local(False, must_not_be_asked)
    assert is_local(True, lambda: True)
    assert not is_local(True, lambda: False)


def test_an_open_device_is_seen(tmp_path: Path, spawn: Spawn) -> None:
    device = tmp_path / "nvidia0"
    device.touch()
    with device.open() as file:
        child = spawn("sleep", "600", stdin=file)
    assert opens_gpu(child.pid, (str(tmp_path / "nvidia"),))
    assert not opens_gpu(child.pid, (str(tmp_path / "other"),))
    assert not opens_gpu(child.pid), "no true GPU"
    assert not opens_gpu(NOBODY)


def test_in_a_pid_namespace_of_its_own_a_pid_alone_is_nobodys() -> None:
    program = (
        "import os\n"
        "from gputui.gpu.host_processes import in_pid_namespace, nvml_pid_is_local\n"
        "print(in_pid_namespace(), nvml_pid_is_local(os.getpid()))"
    )
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    try:
        done = subprocess.run([*command, sys.executable, "-c", program], capture_output=True)
    except OSError:
        pytest.skip("no unshare here")
    if done.returncode != 0:
        pytest.skip(f"no namespaces here: {done.stderr.decode(errors='replace')}")
    assert done.stdout.split() == [b"True", b"False"]
    assert nvml_pid_is_local(os.getpid()) is not in_pid_namespace()


def test_a_pid_that_is_somebody_else_here_is_foreign(
    source: NvmlSource, standin_nvml: StandinNvml, clock: Clock
) -> None:
    """The pid of this very process, as a host's NVML would tell it inside of a container."""
    me, asked = os.getpid(), []

    def holds_gpu(pid: int) -> bool:
        asked.append(pid)
        return len(asked) > 1

    standin_nvml.set(compute=f"{me}:5000,{NOBODY}:7", gpu_1={"compute": f"{me}:1"})
    hosted = HostedSource(source, HostProcesses(holds_gpu, clock=clock))
    first, second = hosted.sample().gpus
    assert [(one.pid, one.name, one.host) for one in first.processes] == [
        (me, "", None),
        (NOBODY, "", None),
    ]
    assert second.processes[0].host is None
    clock.now += 5
    hosted.sample()
    assert asked == [me], "not asked at every sample, and once for both GPUs"
    clock.now += 10
    one = hosted.sample().gpus[0].processes[0]
    assert one.host is not None, "it opened a GPU since"
    assert one.name
    for _ in range(20):
        clock.now += 5
        hosted.sample()
    assert asked == [me, me], "who it is does not change"


def test_the_whole_row_through_the_driver(
    source: NvmlSource, standin_nvml: StandinNvml, spawn: Spawn, clock: Clock
) -> None:
    child = spawn("sleep", "600")
    standin_nvml.set(
        gpu_0={"compute": f"{child.pid}:5000", "graphics": f"{child.pid}:5000,{NOBODY}:unknown"}
    )
    hosted = HostedSource(source, HostProcesses(clock=clock))
    hosted.sample()
    standin_nvml.set(gpu_0={"utilization": f"{child.pid}:1000:1:1"})
    clock.now += 2
    hosted.sample()
    standin_nvml.set(gpu_0={"utilization": f"{child.pid}:2000:37:1"})
    clock.now += 2
    snapshot = hosted.sample()
    local, foreign = snapshot.gpus[0].processes
    assert local.host is not None
    user = pwd.getpwuid(os.getuid()).pw_name
    document = snapshot_json(snapshot, {child.pid: "deepseek", NOBODY: "deepseek"})
    assert document["gpus"][0]["processes"] == [  # type: ignore[index]
        {
            "pid": child.pid,
            "name": "sleep",
            "used_gpu_memory_bytes": 5000,
            "instance": "deepseek",
            "type": "C+G",
            "foreign": False,
            "user": user,
            "command": "sleep 600",
            "started_at": local.host.started_at,
            "utilization_sm_percent": 37.0,
            "cpu_percent": 0.0,
            "host_memory_bytes": local.host.memory,
        },
        {
            "pid": NOBODY,
            "name": "",
            "used_gpu_memory_bytes": None,
            "instance": None,
            "type": "G",
            "foreign": True,
            "user": None,
            "command": None,
            "started_at": None,
            "utilization_sm_percent": 0.0,
            "cpu_percent": None,
            "host_memory_bytes": None,
        },
    ]
    assert foreign.host is None


def test_a_simulated_process_is_local_for_certain(spawn: Spawn) -> None:
    child = spawn("sleep", "600")
    gpu = SIMULATED_GPUS[0].uuid
    source = open_source("simulated", lambda: {gpu: [child.pid]})
    (process,) = source.sample().gpus[0].processes
    assert process.host is not None
    assert process.host.command == "sleep 600"
    assert process.host.own
    source.close()


def test_a_recorded_process_is_neither_ours_nor_foreign() -> None:
    gpu = GpuSample(SIMULATED_GPUS[0], {}, processes=(GpuProcess(os.getpid(), "a", 1),))
    document = snapshot_json(Snapshot("recorded", 1.0, (gpu,)), {os.getpid(): "deepseek"})
    (process,) = document["gpus"][0]["processes"]  # type: ignore[index]
    assert (process["instance"], process["foreign"], process["name"]) == (None, None, "a")


# ── who started whom ─────────────────────────────────────────────────────────────────────────────


def test_the_family_of_a_process(spawn: Spawn) -> None:
    shell = spawn("bash", "-c", "sleep 600 & sleep 601 & wait")
    other = spawn("sleep", "602")
    family = Family()

    def children() -> set[str]:
        seen = family.look({shell.pid})
        return {one.host.command for one in seen.values() if one.parent == shell.pid}

    wait_for(lambda: children() == {"sleep 600", "sleep 601"})
    seen = family.look({shell.pid})
    assert seen[os.getpid()].parent == os.getppid()
    assert other.pid not in seen
    for pid, one in seen.items():
        if one.parent == shell.pid:
            os.kill(pid, 9)


def test_relatives() -> None:
    parents = {2: 1, 3: 2, 4: 2, 5: 4, 6: 1, 1: 0, 8: 9, 9: 8}
    assert relatives({4}, parents) == {1, 2, 4, 5}
    assert relatives({4, 2}, parents) == {1, 2, 3, 4, 5}
    assert relatives({7}, parents) == {7}
    assert relatives({8}, parents) == {8, 9}, "a ring ends"
    assert relatives((), parents) == set()
