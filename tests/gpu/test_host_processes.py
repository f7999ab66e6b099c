"""What the host knows of a process: real children, and looks that a test controls."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gputui import processes
from gputui.gpu import host_processes
from gputui.gpu.family import Family, relatives
from gputui.gpu.host_processes import (
    HostProcesses,
    LocalProcess,
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
from gputui.processes import ProcessStat
from tests.support.hostile import HOSTILE, assert_clean
from tests.support.nvml_scenarios import Clock
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for

NOBODY = 2**22 + 5  # above the kernel's largest pid
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts children that end with the test."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(arguments, **options)  # type: ignore[call-overload]
        children.append(child)
        return child  # type: ignore[no-any-return]

    yield start
    for child in children:
        child.kill()
        child.wait()


def the(host: HostProcesses, pid: int) -> LocalProcess:
    return host.look({pid})[pid]


def test_the_facts_of_an_own_process(spawn: Spawn, clock: Clock) -> None:
    before = time.time()
    program = "import time; x = bytearray(40 << 20); print(flush=True); time.sleep(600)"
    child = spawn(sys.executable, "-c", program, "a b", "--token", "s3cret", stdout=-1)
    assert child.stdout is not None
    child.stdout.readline()
    process = the(HostProcesses(clock=clock), child.pid)
    host = process.host
    assert host.own
    assert host.user == pwd.getpwuid(os.getuid()).pw_name
    assert host.identity == processes.identify(child.pid)
    assert process.parent == os.getpid()
    assert process.name.startswith("python")
    assert host.command.startswith(sys.executable + " -c '")
    assert host.command.endswith("'a b' --token ***")
    assert before - 1 < host.started_at < time.time() + 0.1
    assert host.memory is not None
    assert 40 * 2**20 < host.memory < 200 * 2**20
    assert host.cpu_percent is None, "it takes two looks"


def test_cpu_is_that_of_one_core_since_the_last_look(spawn: Spawn) -> None:
    busy = spawn(sys.executable, "-c", "while True: pass")
    idle = spawn("sleep", "600")
    host = HostProcesses()

    def known() -> bool:
        seen = host.look({busy.pid, idle.pid})
        return all(one.host.cpu_percent is not None for one in seen.values())

    wait_for(known)
    seen = host.look({busy.pid, idle.pid})
    busy_percent, idle_percent = (seen[c.pid].host.cpu_percent for c in (busy, idle))
    assert busy_percent is not None
    assert 5 < busy_percent < 150
    assert idle_percent == 0


def _told(command: str) -> str:
    """The command line, "" in the moment of exec in which there is none."""
    return "" if command.startswith("[") else command


def test_a_command_line_that_comes_after_the_first_look_is_shown(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of exec a process has its new name, and no arguments yet."""
    host = HostProcesses(clock=clock)
    monkeypatch.setattr(host_processes, "command_line", lambda _: ())
    first = the(host, os.getpid())
    assert first.host.command == f"[{first.name}]"
    monkeypatch.undo()
    clock.now += 5
    assert not the(host, os.getpid()).host.command.startswith("[")


def test_a_hostile_command_line_is_cleaned(spawn: Spawn) -> None:
    texts = [text[:2000].replace("\0", "") for name, text in HOSTILE if name != "surrogates"]
    child = spawn(sys.executable, "-c", "import time; time.sleep(600)", *texts)
    command = wait_for(lambda: _told(the(HostProcesses(), child.pid).host.command))
    assert_clean(command)
    assert "\n" not in command
    assert "red" in command
    assert len(command) <= 4096


def test_a_title_is_not_quoted_and_no_arguments_are_the_name_in_brackets(spawn: Spawn) -> None:
    titled = spawn("a title: of a server", "600", executable=shutil.which("sleep"))
    assert the(HostProcesses(), titled.pid).host.command == "'a title: of a server' 600"
    threads = [pid for pid in (2,) if (stat := processes.look(pid)) and stat.name == "kthreadd"]
    for pid in threads:
        assert the(HostProcesses(), pid).host.command == "[kthreadd]"


def test_a_directory_service_that_hangs_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    answers = threading.Event()
    real = pwd.getpwuid

    def slow(uid: int) -> pwd.struct_passwd:
        answers.wait(60)
        return real(uid)

    monkeypatch.setattr(pwd, "getpwuid", slow)
    host, pid = HostProcesses(clock=clock), os.getpid()
    before = time.monotonic()
    assert the(host, pid).host.user == str(os.getuid())
    clock.now += 10
    assert the(host, pid).host.user == str(os.getuid())
    assert time.monotonic() - before < 5
    answers.set()
    wait_for(lambda: _later(host, pid, clock).host.user == real(os.getuid()).pw_name)


def _later(host: HostProcesses, pid: int, clock: Clock) -> LocalProcess:
    clock.now += 10
    return the(host, pid)


def test_a_command_line_that_cannot_be_read_yet_comes_later(
    monkeypatch: pytest.MonkeyPatch, spawn: Spawn, clock: Clock
) -> None:
    answers = threading.Event()
    real = host_processes.command_line
    stuck, free = spawn("sleep", "600").pid, spawn("sleep", "601").pid
    wait_for(lambda: {HostProcesses().look({pid})[pid].name for pid in (stuck, free)} == {"sleep"})

    def slow(pid: int) -> tuple[str, ...]:
        if pid == stuck:
            answers.wait(60)
        return real(pid)

    monkeypatch.setattr(host_processes, "command_line", slow)
    host = HostProcesses(clock=clock)
    before = time.monotonic()
    assert host.look([stuck, free])[stuck].host.command == "[sleep]"
    assert time.monotonic() - before < 5

    def command(pid: int) -> str:
        clock.now += 10
        return host.look([stuck, free])[pid].host.command

    wait_for(lambda: command(free) == "sleep 601")
    assert command(stuck) == "[sleep]"
    answers.set()
    wait_for(lambda: command(stuck) == "sleep 600")


def test_another_users_process_shows_what_is_visible(spawn: Spawn) -> None:
    if os.getuid() == 0:
        pid = spawn("sleep", "600", user=65534).pid
        wait_for(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())
    else:
        pid = 1
    process = the(HostProcesses(), pid)
    assert not process.host.own
    assert process.host.user != pwd.getpwuid(os.getuid()).pw_name
    assert process.host.command
    assert process.host.memory is not None


def test_a_zombie_says_so(spawn: Spawn, clock: Clock) -> None:
    child = spawn("sleep", "600")
    host = HostProcesses(clock=clock)
    assert the(host, child.pid).host.command == "sleep 600"
    child.kill()
    clock.now += 10
    wait_for(lambda: (stat := processes.look(child.pid)) is not None and stat.ended)
    assert the(host, child.pid).host.command == "sleep 600 (ended)"
    clock.now += 10
    assert the(host, child.pid).host.command == "sleep 600 (ended)", "once"
    assert the(HostProcesses(), child.pid).host.command == "[sleep] (ended)"


def test_a_process_that_execs_is_what_it_became(spawn: Spawn, clock: Clock) -> None:
    child = spawn("bash", "-c", "read; exec sleep 600", stdin=subprocess.PIPE)
    host = HostProcesses(clock=clock)
    wait_for(lambda: HostProcesses().look({child.pid})[child.pid].name == "bash")
    assert the(host, child.pid).name == "bash"
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()

    def became_another() -> bool:
        clock.now += 10
        return the(host, child.pid).host.command == "sleep 600"

    wait_for(became_another)  # in the middle of exec it has a name already, and no arguments yet


def test_no_such_process_is_not_here() -> None:
    assert HostProcesses().look({NOBODY}) == {}
    assert HostProcesses().look(set()) == {}


class Looks:
    """Looks at pids that are all this process, changed as the test says."""

    def __init__(self) -> None:
        self.count: Counter[int] = Counter()
        self.changes: dict[int, list[dict[str, object] | None]] = {}

    def __call__(self, pid: int) -> ProcessStat | None:
        self.count[pid] += 1
        stat = processes.look(os.getpid())
        assert stat is not None
        changes = self.changes.get(pid, [])
        change: dict[str, object] | None = changes.pop(0) if changes else {}
        return None if change is None else replace(stat, **change)  # type: ignore[arg-type]


def test_a_process_that_ends_between_two_reads_is_not_here(clock: Clock) -> None:
    looks, me = Looks(), os.getpid()
    looks.changes[me] = [{}, None]
    host = HostProcesses(clock=clock, look=looks)
    assert host.look({me}) == {}
    looks.changes[me] = [{"start_ticks": 1}, {"start_ticks": 2}]
    clock.now += 60
    assert host.look({me}) == {}, "the pid was another's by the end"


def test_a_pid_that_is_reused_is_another_process(clock: Clock) -> None:
    looks, me = Looks(), os.getpid()
    host = HostProcesses(clock=clock, look=looks)
    first = the(host, me).host
    clock.now += 10
    assert the(host, me).host.cpu_percent is not None
    looks.changes[me] = [{"start_ticks": 7, "cpu_seconds": 0.0}] * 2
    clock.now += 10
    second = the(host, me).host
    assert second.identity != first.identity
    assert second.cpu_percent is None


def test_hundreds_cost_one_look_each_in_two_seconds(clock: Clock) -> None:
    looks = Looks()
    pids = {os.getpid()}
    host = HostProcesses(clock=clock, look=looks)
    many = set(range(1000, 1400)) | pids
    host.look(many)
    clock.now += 1
    host.look(many)  # the first CPU % of what is here
    looks.count.clear()
    for _ in range(10):
        clock.now += 1
        host.look(many)
    assert max(looks.count.values()) <= 5
    looks.count.clear()
    host.look(pids)
    clock.now += 0.5
    assert len(host.look(pids)) == 1
    assert set(looks.count) <= pids, "who is on no GPU any more is forgotten"


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
