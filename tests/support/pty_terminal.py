"""A program in a raw pseudo-terminal: every byte that it writes, and the screen that they make."""

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

import pyte

ANSWERS = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronised output: known, as most terminals say
    b"\x1b[c": b"\x1b[?62;22c",
}
INCOMPLETE = re.compile(rb"\x1b(\[[0-?]*[ -/]*)?\Z")
ENTER_ALTERNATE, LEAVE_ALTERNATE = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


class PtyTerminal:
    """One program, in a terminal of ``size`` columns and rows that keeps all it is sent."""

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        self.written = b""
        self.exit_code: int | None = None
        self.mute = False
        self._held = b""
        self._screen = pyte.Screen(*size)
        self._screen.write_process_input = self._answer  # where its cursor is
        self._stream = pyte.ByteStream(self._screen)
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            _become(command, environment)
        self.resize(size)

    def resize(self, size: tuple[int, int]) -> None:
        """Give the terminal another size; the program is told, as by any terminal."""
        columns, rows = size
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def screen(self) -> str:
        """What a person sees now."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def until(self, condition: Callable[[str], bool], what: str, seconds: float = 60.0) -> None:
        """Take in what the program writes until the screen fulfils a condition."""
        deadline = time.monotonic() + seconds
        while not condition(self.screen()):
            assert time.monotonic() < deadline, f"in vain for {what}; screen:\n{self.screen()}"
            assert self._read(0.1), f"ended before {what}; the screen:\n{self.screen()}"

    def until_ended(self, seconds: float = 60.0) -> int:
        """Take in the rest; the program's exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen()}"
        self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.exit_code

    def close(self) -> None:
        """End the program if it still runs, and close the terminal."""
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)

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
        """Draw it, and answer what it asks."""
        self.written += data
        data = self._held + data
        whole = INCOMPLETE.search(data)
        data, self._held = (data[: whole.start()], data[whole.start() :]) if whole else (data, b"")
        # pyte takes no private parameters in these; they paint nothing.
        self._stream.feed(data.replace(b"\x1b[>", b"\x1b[").replace(b"\x1b[<", b"\x1b["))
        for question, answer in ANSWERS.items():
            for _ in range(data.count(question)):
                self._answer(answer.decode())

    def _answer(self, data: str) -> None:
        if not self.mute:  # as far as the program still is
            with contextlib.suppress(OSError):
                os.write(self._master, data.encode())


def _become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """The child: wait for the terminal's size, then run."""
    while termios.tcgetwinsize(0) == (0, 0):
        time.sleep(0.0005)
    try:
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606
    finally:
        os._exit(127)
