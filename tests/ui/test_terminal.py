"""The program in real terminals: with the real servers in tmux, and byte by byte in a raw pty."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gputui.demo.parts import Parts
from gputui.instances import records
from gputui.processes import NotOursError, send_signal
from tests.support.ports import new_port
from tests.support.pty_terminal import (
    ENTER_ALTERNATE,
    HIDE_CURSOR,
    LEAVE_ALTERNATE,
    SHOW_CURSOR,
    PtyTerminal,
)
from tests.support.standin_nvml import StandinNvml
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

SIZES = ((160, 45), (80, 24))
PROMPT = "Write one sentence about the sea."


class Rig:
    """Two real models in a configuration of their own, and terminals to see them in."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.state = Path(os.environ["GPUTUI_STATE"])
        self.config = folder / "config.toml"
        self.config.write_text(_config(parts))
        self.gputui = (sys.executable, "-m", "gputui", "--config", str(self.config))
        self.terminals: list[Tmux] = []
        self.processes: list[psutil.Process] = []

    def open(self, size: tuple[int, int] = SIZES[0]) -> Tmux:
        """A new gputui in a new terminal, once it shows both instances."""
        terminal = Tmux(self.gputui, size, {})
        self.terminals.append(terminal)
        self.processes.append(psutil.Process(terminal.pid))
        terminal.until_shown("gemma3", "■1")
        return terminal

    def pid(self, name: str) -> int:
        """The pid of a running instance, by its record."""
        record = next(record for record in records.running(self.state) if record.name == name)
        return record.pid

    def close(self) -> None:
        """End every terminal and every server; no gputui outlives its terminal."""
        for terminal in self.terminals:
            terminal.close()
        wait_for(lambda: not any(lives(gputui) for gputui in self.processes))
        subprocess.run(
            [*self.gputui, "stop", "--all"], capture_output=True, timeout=60, check=False
        )
        for record in records.running(self.state):
            with contextlib.suppress(NotOursError):
                send_signal(record.identity, signal.SIGKILL)


def _config(parts: Parts) -> str:
    text = f'source = "simulated"\nllama_server = {json.dumps(str(parts.llama_server))}\n'
    models = (("1", "smollm2", parts.smollm2, "PRO 6000"), ("2", "gemma3", parts.gemma3, "5090"))
    for key, name, model, gpu in models:
        text += (
            f'[[instances]]\nname = "{name}"\nkey = "{key}"\nmodel = {json.dumps(str(model))}\n'
            f'gpus = ["{gpu}"]\nport = {new_port()}\nctx_size = 512\nthreads = 1\nn_gpu_layers = 0\n'
            f'args = ["--predict", "24"]\n'
        )
    return text


@pytest.fixture
def rig(demo_parts: Parts, tmp_path: Path) -> Iterator[Rig]:
    if shutil.which("tmux") is None:
        pytest.skip("no tmux here for a real terminal")
    made = Rig(demo_parts, tmp_path)
    try:
        yield made
    finally:
        made.close()


def until_answered(terminal: Tmux, sides: int) -> None:
    """Wait until that many sides show final numbers: then the line of the live ones is the model."""

    def answered(screen: str) -> bool:
        at_rest = len(re.findall(r"q4_\w+ +ctx", screen, re.IGNORECASE))
        return [screen.count("server: tg"), screen.count("client: TTFT"), at_rest] == [sides] * 3

    terminal.until(answered, f"{sides} finished answers")


@pytest.mark.real
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_an_evening(rig: Rig, size: tuple[int, int]) -> None:
    """Start two, ask both, stop one, leave: the other one goes on."""
    terminal = rig.open(size)
    terminal.press("1")
    terminal.press("2")
    terminal.until_shown("smollm2", " ready")
    terminal.until_shown("gemma3", " ready")
    terminal.press("c")
    terminal.type(PROMPT)
    terminal.until_shown("› ", PROMPT)
    terminal.press("Enter")
    terminal.until_shown("one prompt, two answers")
    terminal.press("Tab")  # not escape: that stops what streams first
    terminal.until_shown("1-9 Start/stop")
    until_answered(terminal, 2 if size[0] >= 100 else 1)
    if size[0] < 100:  # one side at a time
        terminal.press("Right")
        terminal.until_shown("B  gemma3")
        until_answered(terminal, 1)
    terminal.press("1")
    terminal.until_shown("Stop smollm2?")
    terminal.press("y")
    terminal.until_shown("smollm2", "stopped")
    wait_for(lambda: "smollm2" not in records.read_all(rig.state))
    terminal.until_shown("gemma3", " ready")
    pid = rig.pid("gemma3")
    terminal.press("q")
    left = terminal.until_ended()
    assert "Still running: gemma3." in left
    assert "Traceback" not in left
    assert rig.pid("gemma3") == pid


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that ended and was not yet waited for does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(terminal: Tmux) -> None:
    os.kill(terminal.pid, signal.SIGKILL)


def hang_up(terminal: Tmux) -> None:
    os.kill(terminal.pid, signal.SIGHUP)


def close_tmux(terminal: Tmux) -> None:
    terminal.kill_server()


@pytest.mark.real
@pytest.mark.parametrize("end", [kill, hang_up, close_tmux])
def test_however_gputui_ends_its_server_lives_and_is_adopted(
    rig: Rig, end: Callable[[Tmux], None]
) -> None:
    terminal = rig.open()
    terminal.press("2")
    terminal.until_shown("gemma3", " ready")
    gputui, server = psutil.Process(terminal.pid), psutil.Process(rig.pid("gemma3"))
    end(terminal)
    wait_for(lambda: not lives(gputui))
    assert lives(server)
    again = rig.open()
    again.until_shown("gemma3", " ready")
    assert rig.pid("gemma3") == server.pid
    assert lives(server)
    again.press("2")  # it is the new one's own: it may stop it
    again.until_shown("Stop gemma3?")
    again.press("y")
    again.until_shown("gemma3 is stopped")  # the other one is stopped on that line all the time
    assert not lives(server)


CLIPBOARD = "\x1b]52;c;cm0gLXJm\x07"
HOSTILE_NAME = f"NVIDIA RTX\x1b[2J{CLIPBOARD}\x9b31m HOSTILE [@click=app.quit]x[/]"


def borders(screen: str) -> int:
    """How many GPU panels with a frame stand side by side in the first picture."""
    return sum(line.count("╭─ 0 ") + line.count("╭─ 1 ") for line in screen.splitlines())


def test_every_byte_from_the_first_picture_to_the_shell(nvml_library: Path, tmp_path: Path) -> None:
    """Both GPUs at once, any size, a hostile driver's name, and a terminal left as it was."""
    standin = StandinNvml(nvml_library, tmp_path)
    standin.set(gpus=2, gpu_1={"name": HOSTILE_NAME})
    environment = os.environ | standin.environment() | {"TERM": "xterm-256color"}
    environment |= {"LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "gputui", "--source", "nvml"]
    terminal = PtyTerminal(command, (160, 45), environment)
    try:
        terminal.until(lambda screen: borders(screen) == 2, "both GPUs")
        picture = terminal.screen()
        assert "HOSTILE" in picture
        assert "[@click=app.quit]x[/]" in picture  # shown as text, not as a link
        terminal.resize((60, 20))
        terminal.until(_one_line_a_gpu, "one line a GPU")
        assert max(len(line) for line in terminal.screen().splitlines()) <= 60
        terminal.resize((160, 45))
        terminal.until(lambda screen: borders(screen) == 2, "both GPUs again")
        terminal.type("q")
        assert terminal.until_ended() == 0
    finally:
        terminal.close()
    written = terminal.written
    assert written.count(ENTER_ALTERNATE) == 1
    assert written.rindex(LEAVE_ALTERNATE) > written.rindex(ENTER_ALTERNATE)
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)
    written = written.replace(b"\x1b]8;;\x1b\\", b"")  # the end of a link, if there was one before
    assert set(re.findall(rb"\x1b\](\d+)", written)) <= {
        b"22"
    }  # Textual's own: the pointer's shape
    assert b"cm0gLXJm" not in written
    assert not re.search(r"[\x80-\x9f]", written.decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """The terminal is given back as it was: no mouse mode, no alternate screen, a cursor."""
    environment = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "gputui", "--source", "simulated"]
    terminal = PtyTerminal(command, (100, 30), environment)
    try:
        terminal.until(lambda screen: "Instances" in screen, "the dashboard")
        os.kill(terminal.pid, number)
        assert terminal.until_ended() == 0
    finally:
        terminal.close()
    written = terminal.written
    assert written.rindex(LEAVE_ALTERNATE) > written.rindex(ENTER_ALTERNATE)
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)
    assert written.rindex(b"\x1b[?1003l") > written.rindex(b"\x1b[?1003h")


def _one_line_a_gpu(screen: str) -> bool:
    starts = [line[:3] for line in screen.splitlines()]
    return borders(screen) == 0 and " 0 " in starts and " 1 " in starts
