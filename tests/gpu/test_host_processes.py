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
from dataclasses import replace
from pathlib import Path

import pytest

from gputui import processes
from gputui.gpu import host_processes, patience
from gputui.gpu.host_processes import (
    HostProcesses,
    LocalProcess,
)
from gputui.processes import ProcessStat
from tests.gpu.conftest import NOBODY, Spawn
from tests.support.hostile import HOSTILE, assert_clean
from tests.support.nvml_scenarios import Clock
from tests.support.waiting import wait_for


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

    def worked() -> dict[int, LocalProcess] | None:
        """On a busy machine it may not have run since the last look."""
        seen = host.look({busy.pid, idle.pid})
        return seen if seen[busy.pid].host.cpu_percent else None

    seen = wait_for(worked)
    assert seen is not None
    busy_percent, idle_percent = (seen[c.pid].host.cpu_percent for c in (busy, idle))
    assert busy_percent is not None
    assert 0 < busy_percent < 150
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

    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(pwd, "getpwuid", slow)
    host, pid = HostProcesses(clock=clock), os.getpid()
    before = time.monotonic()
    assert the(host, pid).host.user == str(os.getuid())
    clock.now += 10
    assert the(host, pid).host.user == str(os.getuid())
    assert time.monotonic() - before < 30
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

    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(host_processes, "command_line", slow)
    host = HostProcesses(clock=clock)
    before = time.monotonic()
    assert host.look([stuck, free])[stuck].host.command == "[sleep]"
    assert time.monotonic() - before < 30

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
