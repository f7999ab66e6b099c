"""The thread that sends to a terminal: the newest picture, and never more than the line carries.

Nothing is queued. What is drawn while the line is busy is drawn into the picture, and when the line has
room again, only what then differs is sent: frames are dropped, keys are answered.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

from gputui.ui.terminal.picture import BEGIN_FRAME, END_FRAME
from gputui.ui.terminal.window import MOST, Window

SYNC_FROM = 512
"""Bytes from which a piece is shown at once by synchronised output; less goes out in one write anyway."""
STUCK_SECONDS = 0.1
"""How often a line that takes nothing is looked at."""


class Wanted(Protocol):
    """What the terminal shall show; see ``Picture``."""

    framed: bool

    @property
    def changed(self) -> bool: ...

    def write(self, data: str) -> None: ...

    def resized(self, columns: int, rows: int) -> None: ...

    def forget(self) -> None: ...

    def take(self, most: int | None = None) -> str:
        """The next piece to send, of about ``most`` bytes."""
        ...


class Line:
    """Owns what is sent to the terminal at ``fileno``. No method but ``settle`` and ``close`` waits."""

    def __init__(
        self,
        fileno: int,
        picture: Wanted,
        encoding: str = "utf-8",
        clock: Callable[[], float] = time.monotonic,
        *,
        silent: bool = False,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """``silent``: the terminal is known to answer nothing. ``failed`` is called on the line's thread."""
        self._picture = picture
        self._failed = failed
        self._encoding = encoding
        self._clock = clock
        self._window = Window(silent=silent)
        self._changed = threading.Condition()
        self._descriptor = _own(fileno)
        self._asks = self._asks_last = False
        self._within_frame = self._sending = self._ends = False
        self._ends_at = math.inf
        self.gone = False
        """Whether the terminal is: what is written goes nowhere."""
        self._thread = threading.Thread(target=self._run, name="terminal-line", daemon=True)

    def start(self) -> None:
        """Send from now on."""
        self._thread.start()

    def ask(self) -> None:
        """From now on somebody reads what the terminal answers: it may be asked."""
        with self._changed:
            self._asks = True
            self._changed.notify_all()

    def write(self, data: str) -> None:
        """The application's output, any piece of it."""
        with self._changed:
            if self.gone:
                return
            self._picture.write(data)
            begun, ended = data.rfind(BEGIN_FRAME), data.rfind(END_FRAME)
            if begun != ended:
                self._within_frame = begun > ended
            if not self._within_frame:
                self._changed.notify_all()

    def flush(self) -> None:
        """A frame is complete."""
        with self._changed:
            self._within_frame = False
            self._changed.notify_all()

    def resized(self, columns: int, rows: int) -> None:
        """What is written from now on is drawn for this size."""
        with self._changed:
            self._picture.resized(columns, rows)

    def forget(self) -> None:
        """What the terminal shows is not known: all is sent anew, from the next ``flush`` on."""
        with self._changed:
            self._picture.forget()

    def answered(self, row: int, column: int) -> bool:
        """The terminal said where its cursor is, from 1; whether that was an answer to this line."""
        with self._changed:
            ours = self._window.answered(self._clock(), row, column)
            self._changed.notify_all()
            return ours

    @property
    def silent(self) -> bool:
        """Whether the terminal has answered nothing, and is asked no more."""
        return self._window.silent

    @property
    def waits(self) -> bool:
        """Whether an answer is awaited."""
        return self._window.waits

    def settle(self, seconds: float) -> bool:
        """Send all, and wait at most so long until the terminal has said that it has read it.

        Whatever it had to answer before, it has answered then. False where it did not say so. It is
        asked nothing more.
        """
        deadline = self._clock() + seconds
        with self._changed:
            self._asks_last = self._asks and not self._window.silent
            self._changed.notify_all()
            told = self._asks_last
            self._until(lambda: self.gone or not self._unsettled, deadline)
            done = not self._unsettled
            self._asks = self._asks_last = False
            return told and done and not self.gone

    def close(self, seconds: float) -> None:
        """Send what is left, at most so long, and end."""
        with self._changed:
            self._asks, self._ends = False, True
            self._ends_at = self._clock() + seconds
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(seconds + 2 * STUCK_SECONDS)

    @property
    def _busy(self) -> bool:
        """Whether something is to be sent."""
        return not self.gone and (self._sending or self._picture.changed)

    @property
    def _unsettled(self) -> bool:
        """Whether something is to be sent, asked or answered."""
        return self._busy or self._asks_last or self.waits

    def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Wait for a condition, at most until then."""
        self._changed.wait_for(condition, max(0.0, deadline - self._clock()))

    def _run(self) -> None:
        try:
            while piece := self._next():
                self._send(piece)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody else can end the program
            self._fail(error)
        finally:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)

    def _fail(self, error: Exception) -> None:
        """Nothing can be sent any more: wake whoever waits, and tell it."""
        with self._changed:
            self.gone = True
            self._changed.notify_all()
        if self._failed is None:
            raise error
        self._failed(error)

    def _next(self) -> bytes:
        """Wait for something to send; nothing at the end."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            while True:
                now = self._clock()
                gives_up_at = self._window.gives_up_at()
                if gives_up_at is not None and now >= gives_up_at:
                    self._window.give_up()
                    continue
                if piece := self._piece(now):
                    self._sending = True
                    return piece
                if self._ends:
                    return b""
                self._changed.wait(None if gives_up_at is None else gives_up_at - now)

    def _piece(self, now: float) -> bytes:
        """What is to be sent next: a part of the picture, and perhaps a question behind it."""
        if self.gone or now > self._ends_at:
            return b""
        piece = b""
        room = self._window.room() if self._asks else MOST
        if room and self._picture.changed:
            piece = self._picture.take(room).encode(self._encoding, "replace")
            self._window.sent(len(piece))
            if self._picture.framed and len(piece) >= SYNC_FROM:
                piece = BEGIN_FRAME.encode() + piece + END_FRAME.encode()
        last = self._asks_last and not self._picture.changed
        if self._asks and (last or self._window.question_is_due()):
            piece += self._window.question(now).encode()
            self._asks_last = self._asks_last and not last
        return piece

    def _send(self, piece: bytes) -> None:
        """Send it whole, for it counts as shown; broken off only at the end, or with the terminal."""
        rest = memoryview(piece)
        while rest and self._clock() < self._ends_at:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select((), (self._descriptor,), (), STUCK_SECONDS)
            except OSError:
                self.gone = True
                return


def _own(fileno: int) -> int:
    """Another opening of the terminal, which does not wait; where there is none, the same one again.

    What is set on the opening that the shell handed down holds for the shell, too.
    """
    try:
        flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK
        return os.open(os.ttyname(fileno), flags)
    except OSError:
        return os.dup(fileno)
