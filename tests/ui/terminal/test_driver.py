"""The driver in true pseudo-terminals: slow, silent, late, resized, suspended, gone."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputui.ui.terminal.window import DOUBTFUL, LEAST
from tests.support.pty_terminal import ENTER_ALTERNATE, LEAVE_ALTERNATE, SHOW_CURSOR
from tests.support.slow_terminal import SlowTerminal

SIZE = (60, 20)
SLOW = 2000.0
FAST = 1e6
ROOT = Path(__file__).parents[3]


class Running:
    """A program of ``programs.py`` in a terminal, and what it tells."""

    def __init__(self, folder: Path, name: str, rate: float, size: tuple[int, int] = SIZE) -> None:
        self._told = folder / "told"
        self._told.touch()
        environment = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, "-m", "tests.ui.terminal.programs", name, str(self._told)]
        self.terminal = SlowTerminal(command, size, environment, rate)

    def told(self) -> list[str]:
        return self._told.read_text().splitlines()

    def until_told(self, line: str) -> str:
        """Wait, while the terminal goes on, for the first line that begins so; the rest of it."""
        found: list[str] = []

        def tells(_screen: str) -> bool:
            found[:] = [one.removeprefix(line) for one in self.told() if one.startswith(line)]
            return bool(found)

        self.terminal.until(tells, f"to be told {line!r}")
        return found[0].strip()

    def until_shown(self, text: str) -> None:
        self.terminal.until(lambda screen: text in screen, text)

    def until_noise(self) -> None:
        """Until the whole screen is drawn, and is another one all the time."""
        self.terminal.until(
            lambda screen: "pressed" in screen and len(screen.split()) > SIZE[1], "noise"
        )

    def leave(self) -> bytes:
        """Quit; all that was drawn from then on. Nothing is left in the terminal's input."""
        terminal = self.terminal
        kept = os.open(f"/proc/{terminal.pid}/fd/0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            at = terminal.drawn
            terminal.type("q")
            terminal.until(lambda _: terminal.is_cooked(), "the shell's own modes")
            self.until_told("left")
            attributes = termios.tcgetattr(kept)
            attributes[3] &= ~termios.ICANON
            termios.tcsetattr(kept, termios.TCSANOW, attributes)
            unread = fcntl.ioctl(kept, termios.FIONREAD, b"\0" * 4)
            assert struct.unpack("i", unread) == (0,)
        finally:
            os.close(kept)
        assert terminal.until_ended() == 0
        left = terminal.written[at:]
        assert b"^[" not in left  # an answer that the terminal's echo shows
        assert left.rindex(LEAVE_ALTERNATE) < left.rindex(b"\x1b[6n")
        return left


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    name, rate = getattr(request, "param", ("busy", FAST))
    made = Running(tmp_path, name, rate)
    try:
        yield made
    finally:
        made.terminal.close()


@pytest.mark.parametrize("running", [("busy", SLOW)], indirect=True)
def test_on_a_slow_line_frames_are_dropped_and_keys_are_answered(running: Running) -> None:
    """200 ms at 2 KB/s are 400 bytes: so many are drawn at most between a key and its answer."""
    terminal = running.terminal
    running.until_noise()
    terminal.until(lambda _: terminal.waiting <= LEAST + 64, "a short queue")
    came, text = len(terminal.came), ""
    for key in "abcd":
        terminal.paused = True
        text += key
        terminal.type(key)
        running.until_told(f"pressed {key}")
        before, at = terminal.came.count(b"\x1b7"), terminal.drawn
        terminal.paused = False
        running.until_shown(f"pressed {text}")
        doubtful = terminal.came.count(b"\x1b7") - before  # where the machine was too busy
        assert terminal.drawn - at <= 400 + DOUBTFUL * doubtful
    terminal.type("!")
    frames = int(running.until_told("frames"))
    rows = [f"row {y} of {frames} frames" for y in range(SIZE[1] - 1)] + ["pressed abcd"]
    terminal.until(lambda screen: screen.splitlines() == rows, "the last frame, whole")
    # Each frame is 1 KB: far fewer were sent than drawn.
    assert len(terminal.came) - came < frames * SIZE[0] * SIZE[1] / 5
    running.leave()


def test_a_terminal_that_never_answers_is_asked_no_more(running: Running) -> None:
    terminal = running.terminal
    terminal.mute = True
    running.until_noise()
    terminal.type("a")
    running.until_shown("pressed a")
    terminal.type("!")
    frames = running.until_told("frames")
    running.until_shown(f"row 0 of {frames} frames")
    terminal.type("q")
    assert terminal.until_ended() == 0
    assert terminal.came.endswith(LEAVE_ALTERNATE, 0, terminal.came.rindex(LEAVE_ALTERNATE) + 8)
    assert SHOW_CURSOR in terminal.came[terminal.came.rindex(LEAVE_ALTERNATE) :]
    assert 1 <= terminal.came.count(b"\x1b[6n") <= 3


def test_what_is_on_the_screen_after_a_resize_and_what_something_else_wrote(
    running: Running,
) -> None:
    terminal = running.terminal
    running.until_noise()
    terminal.resize((40, 10))
    terminal.type("!")
    frames = running.until_told("frames")
    rows = [f"row {y} of {frames} frames" for y in range(9)] + ["pressed"]
    terminal.until(lambda screen: screen.splitlines() == rows, "all rows")
    for size in (
        (70, 12),
        (40, 10),
    ):  # there and back: what is shown is not known, at the same size
        terminal.resize(size)
        terminal._draw(b"\x1b[2J")
    terminal.until(lambda screen: screen.splitlines() == rows, "all rows again")
    running.leave()


def test_a_program_in_between_has_the_terminal_as_it_was(running: Running) -> None:
    terminal = running.terminal
    running.until_noise()
    terminal.type("e")
    terminal.until(lambda _: terminal.is_cooked(), "the modes of before")
    at = terminal.drawn
    terminal._draw(b"\x1b[2Ja long text of the editor")
    terminal.type("line\n")
    assert running.until_told("cooked") == "line"  # no answer of the terminal in it
    terminal.type("!")
    frames = running.until_told("frames")
    running.until_shown(f"row 0 of {frames} frames")
    assert ENTER_ALTERNATE in terminal.written[at:]
    running.leave()


def test_stopped_by_a_signal_and_continued(running: Running) -> None:
    terminal = running.terminal
    running.until_noise()
    os.kill(terminal.pid, signal.SIGTSTP)
    terminal.until(lambda _: _is_stopped(terminal.pid), "the stop")
    assert terminal.is_cooked()
    assert terminal.came.rindex(LEAVE_ALTERNATE) > terminal.came.rindex(ENTER_ALTERNATE)
    os.kill(terminal.pid, signal.SIGCONT)
    running.until_noise()
    # Continued once more, and stopped without having been told: it takes the terminal anew.
    os.kill(terminal.pid, signal.SIGSTOP)
    terminal.until(lambda _: _is_stopped(terminal.pid), "the other stop")
    terminal._draw(b"\x1b[2J")
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.type("!")
    frames = running.until_told("frames")
    running.until_shown(f"row 0 of {frames} frames")
    running.leave()


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_the_positions_of_the_cursor_are_not_lost_within_a_paste(running: Running) -> None:
    terminal = running.terminal
    running.until_noise()
    terminal.type("\x1b[200~one ")
    running.terminal.read_for(0.0)
    for _ in range(20):  # meanwhile it asks, and is answered, in the middle of the text
        at = terminal.came.count(b"\x1b[6n")
        terminal.until(lambda _, at=at: terminal.came.count(b"\x1b[6n") > at, "a question")  # type: ignore[misc]
        terminal.type("two ")
    terminal.type("three\x1b[201~")
    assert running.until_told("pasted") == "one " + "two " * 20 + "three"
    running.leave()


@pytest.mark.parametrize("paused", [False, True], ids=["drawing", "hung"])
def test_a_terminal_that_is_gone_ends_the_program(running: Running, paused: bool) -> None:
    terminal = running.terminal
    running.until_noise()
    terminal.paused = paused
    terminal.until(lambda _: not paused or terminal.waiting > 0, "a queue")
    terminal.hang_up()
    assert terminal.ended_within(60) is not None


@pytest.mark.parametrize("running", [("failing", FAST)], indirect=True)
def test_a_failure_of_the_picture_ends_the_program_and_gives_the_terminal_back(
    running: Running,
) -> None:
    terminal = running.terminal
    running.until_noise()
    terminal.type("a")
    running.until_told("left")
    terminal.until_ended()
    left = terminal.written[terminal.written.rindex(LEAVE_ALTERNATE) :]
    assert SHOW_CURSOR in left
    assert b"the picture failed" in left


def test_on_a_slow_line_the_history_loses_no_sample_and_a_key_repaints_all(tmp_path: Path) -> None:
    (tmp_path / "told.toml").write_text('source = "simulated"\ninterval = 0.1\n')
    running = Running(tmp_path, "history", 8000.0, (80, 24))
    terminal = running.terminal
    try:
        running.until_shown("Instances")
        terminal.type("?")
        running.until_shown("Any key can be changed")
        terminal._draw(b"\x1b[2J")  # by another program
        terminal.type("\x0c")  # ctrl+l, in a dialog too
        running.until_shown("Any key can be changed")
        running.until_shown("Instances")
        terminal.type("\x1b")
        terminal.until(lambda screen: "Any key can be" not in screen, "the dashboard again")
        terminal.type("q")
        assert int(running.until_told("kept")) > 5
        assert terminal.until_ended() == 0
        assert re.search(r"\x1b\[6n", terminal.came.decode())
    finally:
        terminal.close()
