"""A driver for Textual that sends a terminal only what differs, and no more than its line carries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from types import FrameType

from rich.traceback import Traceback
from textual import constants, events
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from gputui.ui.terminal.input import InputReader
from gputui.ui.terminal.line import Line
from gputui.ui.terminal.picture import Picture

SETTLE_SECONDS = 1.0
"""How long leaving waits for the terminal's last answer; one that was never answered comes too late."""
CLOSE_SECONDS = 1.0
"""How long leaving waits for a line that takes nothing."""
REPAINT_SECONDS = 0.1
"""After a change of size: when all is drawn and sent once more, should the application not have done so."""

MODES_OFF = "".join(
    f"\x1b[?{mode}l" for mode in (1000, 1002, 1003, 1006, 1015, 1016, 2004, 2048, 2026)
)
"""Mouse, bracketed paste, sizes and frames, as Textual ends them."""
LEAVE = "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
"""Kitty's keyboard protocol first: it was chosen on the screen that is left."""


def difference_driver() -> type[Driver] | None:
    """The driver for this terminal; None, for Textual's own, where input or output is none.

    ``TEXTUAL_DRIVER``, Textual's own variable, goes before.
    """
    streams = (sys.__stdin__, sys.__stderr__)
    if constants.DRIVER or not all(stream is not None and stream.isatty() for stream in streams):
        return None
    return DifferenceDriver


class DifferenceDriver(LinuxDriver):
    """Textual's driver for Linux and macOS, with a ``Picture`` and a ``Line`` between it and the terminal."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._line: Line | None = None
        self._reader: InputReader | None = None
        self._drawn_for = (0, 0)
        self._terminal_size = (0, 0)
        self._silent = False  # the terminal answered nothing to the line before
        self._broken = False  # the line sends nothing any more
        self._drawing: asyncio.TimerHandle | None = None

    # ── output ───────────────────────────────────────────────────────────────────────────────

    def write(self, data: str) -> None:
        """Draw into the picture; nothing waits for the terminal."""
        if self._line is not None:
            self._fit(self._line)
            self._line.write(data)

    def flush(self) -> None:
        """A frame is complete."""
        if self._line is not None:
            if self._terminal_size != (size := self._get_terminal_size()):
                self._terminal_size = size
                self._line.forget()
            self._line.flush()

    def forget(self) -> None:
        """Send the whole picture anew: something else may have written to the terminal."""
        if self._line is not None:
            self._line.forget()
            self._line.flush()

    def _fit(self, line: Line) -> None:
        """What is drawn now is drawn for the size that the application knows; tell the picture."""
        size = self._app.size
        if self._drawn_for != size:
            self._drawn_for = (size.width, size.height)
            line.resized(*self._drawn_for)
            self._loop.call_soon_threadsafe(self._draw_later)

    def _draw_later(self) -> None:
        """For a size that was back before the screens were laid out: Textual draws nothing anew then."""
        if self._drawing is not None:
            self._drawing.cancel()
        self._drawing = self._loop.call_later(REPAINT_SECONDS, self._draw_again)

    def _draw_again(self) -> None:
        self._drawing = None
        if self._line is not None:
            self._app.refresh()

    def _size_changed(self) -> None:
        """The terminal has another size, or had one for a moment: what it shows is not known."""
        if self._line is not None:
            self._line.forget()
            self._loop.call_later(REPAINT_SECONDS, self.flush)

    # ── input ────────────────────────────────────────────────────────────────────────────────

    def run_input_thread(self) -> None:
        """Read until told to stop. The end of the terminal is the application's end."""
        assert self._reader is not None  # noqa: S101 - made before the thread
        if not self._reader.run() and self.input_tty:
            self._loop.call_soon_threadsafe(self._app.exit)

    def process_message(self, message: Message) -> None:
        """Runs on the input's thread."""
        if isinstance(message, events.Resize):
            self._loop.call_soon_threadsafe(self._size_changed)
        if isinstance(message, events.CursorPosition) and self._answered(
            message.y + 1, message.x + 1
        ):
            return  # one that came in two parts
        super().process_message(message)

    def _answered(self, row: int, column: int) -> bool:
        line = self._line
        return line is not None and line.answered(row, column)

    # ── begin and end ────────────────────────────────────────────────────────────────────────

    def start_application_mode(self) -> None:
        """Take over the terminal, with a new line: of what it shows nothing is known."""
        self._terminal_size = self._get_terminal_size()
        size = self._app.size
        self._drawn_for = (size.width, size.height)
        assert self._file is not None  # noqa: S101 - ``difference_driver`` has looked
        self._broken = False
        self._line = Line(
            self._file.fileno(),
            Picture(*self._drawn_for),
            self._file.encoding,
            silent=self._silent,
            failed=self._line_failed,
        )
        self._line.start()
        self._reader = InputReader(
            self.fileno, self._answered, self.process_message, debug=self._debug
        )
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._key_thread is None:  # in the background: it will be stopped and continued
            self._drop()
            return
        if self._writer_thread is not None:  # Textual's own, which has nothing to write
            self._writer_thread.stop()
            self._writer_thread = None
        self._also_when_resized()

    def _drop(self) -> None:
        """Let go of a terminal that was not taken: nothing was written, nobody reads."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.discard()
        self.close()

    def _request_terminal_sync_mode_support(self) -> None:
        """The first of Textual's questions, once the input is read: from now on there are answers."""
        if self.input_tty and self._line is not None:
            self._line.ask()
        super()._request_terminal_sync_mode_support()

    def _also_when_resized(self) -> None:
        """Have the loop look at the size, not the signal's handler.

        That may not wait for a lock; and where one handler interrupts another, Textual (8.2) would tell
        the application the older size last.
        """
        textual = signal.getsignal(signal.SIGWINCH)

        def look() -> None:
            self._size_changed()
            if callable(textual):
                textual(signal.SIGWINCH, None)

        def resized(_number: int, _frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(look)

        signal.signal(signal.SIGWINCH, resized)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was, once it has answered all that it was asked."""
        self._disable_bracketed_paste()
        self._enable_line_wrap()
        self._disable_in_band_window_resize()
        self.write(LEAVE)
        self.disable_input()
        if self._broken:
            self._give_back()
        if self.attrs_before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)

    def disable_input(self) -> None:
        """Read no more, once the terminal sends nothing more of itself."""
        reader, thread, self._reader, self._key_thread = self._reader, self._key_thread, None, None
        if reader is None:
            return
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        self._disable_mouse_support()
        if self._line is not None:
            self._line.settle(SETTLE_SECONDS)
        reader.stop()
        if thread is not None:
            thread.join()
        with contextlib.suppress(termios.error):
            termios.tcflush(self.fileno, termios.TCIFLUSH)

    def _line_failed(self, error: Exception) -> None:
        """Runs on the line's thread, which ends: so does the application, and it says why."""
        self._broken = True
        traceback = Traceback.from_exception(type(error), error, error.__traceback__)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._app.panic, traceback)

    def _give_back(self) -> None:
        """Write the modes of before past the line, which sends nothing any more."""
        assert self._file is not None  # noqa: S101 - ``difference_driver`` has looked
        with contextlib.suppress(OSError):
            os.write(self._file.fileno(), (MODES_OFF + "\x1b[m\x1b[?7h" + LEAVE).encode())

    def close(self) -> None:
        """Send what is left, as far as the terminal takes it."""
        line, self._line = self._line, None
        if line is not None:
            line.close(CLOSE_SECONDS)
            self._silent = line.silent

    # ── suspending ───────────────────────────────────────────────────────────────────────────

    def _sigtstp_application(self, *_: object) -> None:
        """Stop, with the terminal given back: by the loop, for a signal's handler may not wait."""
        if self._auto_restart:
            self._loop.call_soon_threadsafe(super()._sigtstp_application)
        else:  # another program has the terminal, and the loop waits for it
            os.kill(os.getpid(), signal.SIGSTOP)

    def _sigcont_application(self, *_: object) -> None:
        if self._auto_restart:
            self._loop.call_soon_threadsafe(self._continue)

    def _continue(self) -> None:
        """Take the terminal again; also where it was never given back, as at a plain SIGSTOP."""
        if self._line is not None:
            if self._line.gone:
                return
            self.suspend_application_mode()
        self.resume_application_mode()
        self._app.refresh(layout=True)
