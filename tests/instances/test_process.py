"""Who a process is, and that only it is signalled."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from gputui.errors import GputuiError
from gputui.instances import ports
from gputui.instances.starting import process
from gputui.instances.starting.process import MARKER, let_go, marker_of, spawn
from gputui.llama.diagnosis import diagnose
from gputui.processes import (
    Life,
    NotOursError,
    exit_code,
    identify,
    life,
    matches,
    send_signal,
)
from tests.support.ports import new_port
from tests.support.waiting import wait_for

THREADED = """
import socket, sys, threading, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
for _ in range(8):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print("up", flush=True)
time.sleep(600)
"""


@contextmanager
def child(*argv: str, marker: str = "m") -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, MARKER: marker}
    process = subprocess.Popen(
        [sys.executable, "-c", *argv], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_is_alive_until_all_of_it_is_gone(number: signal.Signals) -> None:
    for _ in range(5):
        port = new_port()
        with child(THREADED, str(port)) as process:
            assert process.stdout
            process.stdout.readline()
            identity = identify(process.pid, marker_of("m"))
            assert life(identity) is Life.ALIVE
            send_signal(identity, number)
            wait_for(lambda identity=identity: life(identity) is not Life.ALIVE)
            assert life(identity) is Life.DEAD  # a zombie: nobody has waited for it
            assert ports.is_free("127.0.0.1", port)
            assert exit_code(identity) == -number


def test_nobody_else_is_signalled() -> None:
    with child("import time; print('up', flush=True); time.sleep(600)") as process:
        assert process.stdout
        process.stdout.readline()  # in the middle of exec it has no environment
        true = identify(process.pid, marker_of("m"))
        for other in (
            replace(true, start_ticks=true.start_ticks + 1),
            replace(true, boot_id="another"),
            replace(true, marker="another"),
            replace(true, pid=os.getpid()),
        ):
            assert not matches(other)
            with pytest.raises(NotOursError):
                send_signal(other, signal.SIGKILL)
        assert process.poll() is None
        send_signal(true, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        with pytest.raises(NotOursError):
            send_signal(true, signal.SIGKILL)


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    for program in (str(text), str(tmp_path / "none")):
        with pytest.raises(GputuiError, match="cannot be run"):
            spawn([program], {}, tmp_path / "log", "m")
    with pytest.raises(GputuiError, match="No such file"):
        spawn([sys.executable], {}, tmp_path / "no" / "log", "m")


def test_ports() -> None:
    port = new_port()
    assert ports.is_free("127.0.0.1", port)
    with pytest.raises(GputuiError, match="cannot be resolved"):
        ports.is_free("no such host", port)
    with pytest.raises(GputuiError, match="cannot be used"):
        ports.is_free("192.0.2.1", port)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Where the program of ``spawn_writer`` leaves its environment, arguments and input."""
    return tmp_path / "written"


def spawn_writer(tmp_path: Path, written: Path) -> subprocess.Popen[bytes]:
    program = tmp_path / "writer"
    program.write_text(
        f'#!/bin/sh\ncat >{written}.new\necho "$MINE $*" >>{written}.new\n'
        f"mv {written}.new {written}\n"
    )
    program.chmod(0o755)
    argv = [str(program), "a  b", "$x;'"]
    return spawn(argv, {"PATH": os.defpath, "MINE": "v"}, tmp_path / "log", "m").child


def test_a_server_runs_from_let_go_on_as_the_process_that_was_recorded(
    tmp_path: Path, written: Path
) -> None:
    child = spawn_writer(tmp_path, written)
    identity = identify(child.pid, marker_of("m"))
    assert matches(identity)
    assert not written.exists()
    let_go(child)
    assert child.wait(60) == 0
    assert written.read_text() == "v a  b $x;'\n"  # and nothing on its input
    assert exit_code(identity) is None  # the same process: it has been waited for


def test_a_server_whose_gputui_ends_before_it_is_let_go_never_begins(
    tmp_path: Path, written: Path
) -> None:
    child = spawn_writer(tmp_path, written)
    assert child.stdin
    child.stdin.close()  # what the end of the process does
    assert child.wait(60) == 75
    assert not written.exists()
    assert "cannot begin" in diagnose((tmp_path / "log").read_text(), 75, 1).reason


@pytest.mark.parametrize("error", [ProcessLookupError(7), OSError(errno.EMFILE, "Too many files")])
def test_one_that_cannot_be_told_from_others_never_begins(
    tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    pids: list[int] = []

    def identify(pid: int, _marker: str) -> NoReturn:
        pids.append(pid)
        raise error

    monkeypatch.setattr(process, "identify", identify)
    with pytest.raises(GputuiError, match="cannot be told from others"):
        spawn_writer(tmp_path, written)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert not written.exists()


def test_one_that_is_killed_before_it_is_let_go_is_no_trouble(
    tmp_path: Path, written: Path
) -> None:
    child = spawn_writer(tmp_path, written)
    child.kill()
    child.wait(60)
    let_go(child)
    assert not written.exists()
