"""Signals and environments: they reach one's own processes, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from gputui.errors import GputuiError
from gputui.gpu import own_processes
from gputui.gpu.host_processes import HostProcesses
from gputui.gpu.own_processes import SIGNALS, environment, lineage, refusal, send
from gputui.gpu.sample import HostProcess
from gputui.instances.starting.process import COPY
from tests.gpu.conftest import Spawn
from tests.support.hostile import assert_clean
from tests.support.waiting import wait_for

# Writes the number of what it gets, and goes on; only SIGKILL ends it.
TELLS = """
import signal, sys, time
def tell(number, frame):
    print(number, flush=True)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, tell)
print("ready", flush=True)
while True:
    time.sleep(600)
"""


def seen(pid: int) -> HostProcess:
    return HostProcesses().look({pid})[pid].host


def test_each_signal_arrives(spawn: Spawn) -> None:
    child = spawn(sys.executable, "-c", TELLS, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    host = seen(child.pid)
    assert refusal(host) is None
    for number in SIGNALS[:2]:
        send(host, number)
        assert int(child.stdout.readline()) == number
    send(host, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL


def test_a_process_that_is_not_the_one_it_was_gets_nothing(spawn: Spawn) -> None:
    child = spawn("sleep", "600")
    host = seen(child.pid)
    identity = host.identity
    for other in (
        replace(identity, start_ticks=identity.start_ticks - 1),
        replace(identity, boot_id="another boot"),
    ):
        with pytest.raises(GputuiError, match="another process by now") as raised:
            send(replace(host, identity=other), signal.SIGKILL)
        assert raised.value.hint == "Nothing was sent."
    assert child.poll() is None


def test_a_process_that_ended_gets_nothing(spawn: Spawn) -> None:
    child = spawn("sleep", "600")
    host = seen(child.pid)
    child.kill()
    wait_for(lambda: seen(child.pid).command.endswith("(ended)"))
    with pytest.raises(GputuiError, match=f"process {child.pid} has ended"):
        send(host, signal.SIGTERM)
    child.wait()
    with pytest.raises(GputuiError, match=f"process {child.pid} has ended"):
        send(host, signal.SIGTERM)


def test_gputui_and_what_runs_it_get_nothing() -> None:
    pids = lineage()
    assert {os.getpid(), os.getppid(), 1} <= pids
    for pid in (os.getpid(), os.getppid()):
        host = replace(seen(pid), own=True)
        refused = refusal(host)
        assert refused is not None
        assert "gputui itself" in refused.message
        with pytest.raises(GputuiError, match="gputui itself"):
            send(host, signal.SIGINT)


def test_another_users_process_gets_nothing(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root too: its own are root's alone."""
    child = spawn("sleep", "600")
    monkeypatch.setattr(own_processes, "own_uid", lambda: os.getuid() + 1)
    with pytest.raises(GputuiError, match="another user now"):
        send(seen(child.pid), signal.SIGKILL)
    monkeypatch.undo()
    theirs = replace(seen(child.pid), own=False, user="bob")
    for touch in (lambda: send(theirs, signal.SIGKILL), lambda: environment(theirs)):
        with pytest.raises(GputuiError, match="belongs to bob"):
            touch()
    assert child.poll() is None
    if os.getuid() == 0:
        other = spawn("sleep", "600", user=65534)
        wait_for(lambda: seen(other.pid).command == "sleep 600")
        host = seen(other.pid)
        assert not host.own
        with pytest.raises(GputuiError, match="belongs to"):
            send(host, signal.SIGKILL)
        assert other.poll() is None


def test_a_refusal_of_the_system_is_told(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    child = spawn("sleep", "600")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(own_processes.processes, "send_signal", refuse)
    with pytest.raises(GputuiError, match=r"SIGTERM .* Operation not permitted"):
        send(seen(child.pid), signal.SIGTERM)


def test_the_environment_hides_secrets_and_is_cleaned(spawn: Spawn) -> None:
    child = spawn(
        "sleep",
        "600",
        env={
            "PATH": os.environ["PATH"],
            "HF_TOKEN": "zqzqzqzq",
            "DB_PASSWORD": "",
            "URL": "http://u:zqzqzqzq@h/",
            COPY: '{"record": {"argv": ["x", "--api-key", "zqzqzqzq"]}}',
            "RED": "\x1b[31mred\x1b[0m\nand [bold]more[/]",
        },
    )
    wait_for(lambda: seen(child.pid).command == "sleep 600")
    pairs = environment(seen(child.pid))
    assert dict(pairs) == {
        "PATH": os.environ["PATH"],
        "HF_TOKEN": "***",
        "DB_PASSWORD": "",
        "URL": "http://***@h/",
        COPY: "***",
        "RED": "red and [bold]more[/]",
    }
    assert list(pairs) == sorted(pairs)
    for name, value in pairs:
        assert_clean(name + value)


def test_the_environment_of_a_process_that_is_gone(spawn: Spawn) -> None:
    child = spawn("sleep", "600")
    host = seen(child.pid)
    with pytest.raises(GputuiError, match="another process by now"):
        environment(replace(host, identity=replace(host.identity, start_ticks=1)))
    child.kill()
    child.wait()
    with pytest.raises(GputuiError, match="has ended"):
        environment(host)
