"""A program in a raw pseudo-terminal: every byte that it writes, when, and the screen that they make."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyte

ANSWERS = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronised output: known, as most terminals say
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[>q": b"\x1bP>|xterm(390)\x1b\\",
}
WHERE = rb"(?:\x1b\[(?P<row>\d+);(?P<column>\d+)H)?\x1b\[6n"
"""Where the cursor is, asked to know that all before is read; told as where it was moved just before."""
QUESTION = re.compile(b"|".join([WHERE, *map(re.escape, ANSWERS)]))
LONGEST = 16
"""Bytes of a question that may have come before the rest of it."""
DEVICE_CONTROL = re.compile(rb"\x1bP.*?\x1b\\", re.DOTALL)
ENTER_ALTERNATE, LEAVE_ALTERNATE = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


class Written(NamedTuple):
    """What one read gave: ``when`` on the machine's monotonic clock."""

    when: float
    data: bytes


class Emulator:
    """A terminal's screen, by pyte."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)

    def feed(self, data: bytes) -> None:
        """Take in what a program wrote."""
        # pyte takes no private parameters in these, and no device control; they paint nothing.
        plain = DEVICE_CONTROL.sub(b"", data).replace(b"\x1b[>", b"\x1b[")
        self._stream.feed(plain.replace(b"\x1b[<", b"\x1b["))

    def lines(self) -> list[str]:
        """The rows, top first, without the blanks at their ends."""
        return [line.rstrip() for line in self.screen.display]


class PtyTerminal:
    """One program, in a terminal of ``size`` columns and rows that keeps all it is sent.

    The emulator is fed when the screen is asked for, so that reading costs next to nothing.
    """

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        self.reads: list[Written] = []
        self._unanswered = b""
        self.exit_code: int | None = None
        self.size = size
        self._emulator, self._fed = Emulator(size), 0
        self.began = time.monotonic()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            _become(command, environment)
        self._process = os.pidfd_open(self.pid)
        self.resize(size)

    @property
    def written(self) -> bytes:
        """All that came."""
        return b"".join(data for _, data in self.reads)

    def resize(self, size: tuple[int, int]) -> None:
        """Give the terminal another size; the program is told, as by any terminal."""
        self._feed()
        self.size = columns, rows = size
        self._emulator.screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> float:
        """Press keys; when that was."""
        when = time.monotonic()
        os.write(self._master, text.encode())
        return when

    def screen(self) -> str:
        """What a person sees now."""
        self._feed()
        return "\n".join(self._emulator.lines())

    def forget(self) -> None:
        """Let go of what came so far; the screen stays."""
        self._feed()
        self.reads.clear()
        self._fed = 0

    def is_cooked(self) -> bool:
        """Whether the terminal echoes and takes whole lines, as a shell left it."""
        flags = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def until(self, condition: Callable[[str], bool], what: str, seconds: float = 60.0) -> None:
        """Take in what the program writes until the screen fulfils a condition."""
        deadline = time.monotonic() + seconds
        while not condition(self.screen()):
            assert time.monotonic() < deadline, f"in vain for {what}; screen:\n{self.screen()}"
            assert self._read(0.1), f"ended before {what}; the screen:\n{self.screen()}"

    def until_written(self, seconds: float) -> bool:
        """Take in what comes until something does; False where the program closed the terminal before, or
        wrote nothing for so long."""
        deadline = time.monotonic() + seconds
        while not self.reads and time.monotonic() < deadline:
            if not self._read(0.1):
                return False
        return bool(self.reads)

    def read_for(self, seconds: float) -> bool:
        """Take in what comes for so long; False where the program closed the terminal before."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._read(left):
                return False
        return True

    def until_ended(self, seconds: float = 60.0) -> int:
        """Take in the rest; the program's exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen()}"
        self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.exit_code

    def ended_within(self, seconds: float) -> float | None:
        """Take in the rest; when the process was gone, None where it still runs after so long."""
        deadline, open_ = time.monotonic() + seconds, True
        while (left := deadline - time.monotonic()) > 0:
            watched = [self._process, *([self._master] if open_ else [])]
            if self._process in select.select(watched, [], [], left)[0]:
                when = time.monotonic()
                self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                return when
            open_ = open_ and self._read(0)
        return None

    def close(self) -> None:
        """End the program if it still runs, and close the terminal."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for descriptor in (self._process, self._master):
            os.close(descriptor)

    def _feed(self) -> None:
        for _, data in self.reads[self._fed :]:
            self._emulator.feed(data)
        self._fed = len(self.reads)

    def _read(self, seconds: float) -> bool:
        """Take in what comes within that time; False once the program closed the terminal."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self._draw(data)
        return bool(data)

    def _draw(self, data: bytes) -> None:
        """Keep it, and answer what it asks."""
        self.reads.append(Written(time.monotonic(), data))
        data = self._unanswered + data
        end = 0
        for question in QUESTION.finditer(data):
            self._answer(question)
            end = question.end()
        self._unanswered = data[end:][-LONGEST:]

    def _answer(self, question: re.Match[bytes]) -> None:
        place = b"\x1b[%b;%bR" % (question["row"] or b"1", question["column"] or b"1")
        with contextlib.suppress(OSError):  # the program has ended
            os.write(self._master, ANSWERS.get(question[0], place))


def _become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """The child: wait for the terminal's size, then run."""
    while termios.tcgetwinsize(0) == (0, 0):
        time.sleep(0.0005)
    try:
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\r\n".encode())
    finally:
        os._exit(127)
