"""Reading a terminal's input: keys for Textual's parser, and apart from them the cursor's positions."""

from __future__ import annotations

import contextlib
import os
import re
import select
from codecs import getincrementaldecoder
from collections.abc import Callable

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.message import Message

CURSOR_POSITION = re.compile(r"\x1b\[(\d+);(\d+)R")
AT_ONCE = 4096
ESCAPE_SECONDS = 0.1
"""How often the parser looks whether an escape was a key, while it may become more."""


class InputReader:
    """Reads ``fileno`` until ``stop`` or the terminal's end, on the thread that calls ``run``.

    ``answered`` is asked about each cursor position, row and column from 1: what it takes is no input.
    It is taken out before Textual's parser (8.2) sees it, which would lose it, and a part of the text,
    within a paste. Unlike Textual's own loop, it does not wake ten times a second for nothing.
    """

    def __init__(
        self,
        fileno: int,
        answered: Callable[[int, int], bool],
        deliver: Callable[[Message], None],
        *,
        debug: bool = False,
    ) -> None:
        self._fileno = fileno
        self._answered = answered
        self._deliver = deliver
        self._parser = XTermParser(debug)
        self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
        self._stopped, self._stop = os.pipe()

    def stop(self) -> None:
        """End ``run``, once what has come is read. Once only."""
        os.close(self._stop)

    def discard(self) -> None:
        """End what was never run."""
        os.close(self._stop)
        os.close(self._stopped)

    def run(self) -> bool:
        """Read; False where the terminal, or the file in its place, ended by itself."""
        try:
            while True:
                pending = self._parser._timeout_time is not None
                wait = ESCAPE_SECONDS if pending else None
                ready = select.select((self._fileno, self._stopped), (), (), wait)[0]
                if self._fileno in ready and not self._read():
                    return False
                if self._stopped in ready and self._fileno not in ready:
                    return True
                for message in self._parser.tick():
                    self._deliver(message)
        finally:
            os.close(self._stopped)
            with contextlib.suppress(EOFError, ParseError):
                for _ in self._parser.feed(""):
                    pass

    def _read(self) -> bool:
        """Take in what is there; False at the end."""
        try:
            data = os.read(self._fileno, AT_ONCE)
        except OSError:
            return False
        text = CURSOR_POSITION.sub(self._unless_taken, self._decode(data))
        if text:
            for message in self._parser.feed(text):
                self._deliver(message)
        return bool(data)

    def _unless_taken(self, match: re.Match[str]) -> str:
        return "" if self._answered(int(match[1]), int(match[2])) else match[0]
