"""A terminal behind a slow line: what is sent waits in a queue, as in ssh and TCP, and is drawn by a clock."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Mapping, Sequence

from tests.support.pty_terminal import PtyTerminal

STEP_SECONDS = 0.005
CURSOR = b"\x1b[6n"
INCOMPLETE = re.compile(rb"\x1b(\[[0-?]*[ -/]*)?\Z")


class SlowTerminal(PtyTerminal):
    """Draws ``rate`` bytes a second of all that came; ``reads`` and ``written`` are what it drew.

    ``paused``: it draws nothing. ``mute``: it says nothing about its cursor.
    """

    def __init__(
        self,
        command: Sequence[str],
        size: tuple[int, int],
        environment: Mapping[str, str],
        rate: float,
    ) -> None:
        self.rate = rate
        self.paused = self.mute = False
        self.came = b""
        """All that came."""
        self.drawn = 0
        self._open = True
        self._clock = time.monotonic()
        self._drawable = 0.0
        super().__init__(command, size, environment)

    @property
    def waiting(self) -> int:
        """Bytes that came and are not drawn."""
        return len(self.came) - self.drawn

    def hang_up(self) -> None:
        """Close the terminal, as a dropped connection does."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDWR)
        self._open = False

    def _read(self, seconds: float) -> bool:
        if self._open and select.select([self._master], [], [], min(seconds, STEP_SECONDS))[0]:
            self._open = self._receive()
        elif not self._open:
            time.sleep(STEP_SECONDS)
        self._draw_some()
        return self._open or self.waiting > 0

    def _receive(self) -> bool:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self.came += data
        return bool(data)

    def _draw_some(self) -> None:
        now = time.monotonic()
        passed, self._clock = now - self._clock, now
        if self.paused:
            return
        self._drawable = min(self._drawable + passed * self.rate, float(self.waiting))
        data = self.came[self.drawn : self.drawn + int(self._drawable)]
        if self._open and (cut := INCOMPLETE.search(data)):
            data = data[: cut.start()]  # the emulator takes no part of a sequence
        if data:
            self._drawable -= len(data)
            self.drawn += len(data)
            self._draw(data)

    def _answer(self, question: re.Match[bytes]) -> None:
        if not (self.mute and question[0].endswith(CURSOR)):
            super()._answer(question)
