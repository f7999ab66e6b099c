"""When Python collects cycles: not while an answer streams, and what is there from the start never again.

CPython looks for cycles as objects are made, and each look at all of them stops everything for a tenth of
a second in a program of this size, twice a second while two answers stream. What reference counts free,
which is nearly all, does not need it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

YOUNG = 5_000
"""So many new objects are looked through at a time: a millisecond or two."""
QUIET = (YOUNG, 10, 20)
"""While nothing streams."""
STREAMING = (YOUNG, 10, 4_000)
"""While an answer does: all objects are looked at only where 200 million were made and not freed by then,
which bounds the memory that cycles can take."""
IDLE_SECONDS = 1.0
"""So long nothing was pressed, and nothing streamed: then it disturbs nobody."""


def keep_still() -> None:
    """The program starts: nothing that it makes until ``Collecting.started`` is garbage, and to look
    through it time and again is a tenth of the time to the first picture."""
    gc.disable()


class Collecting:
    """Sets the collector of this process until ``close``.

    ``streams``: whether an answer is being written. ``due``: whether there is something to collect once
    the program is ``idle``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before = gc.get_threshold()
        self._kept_still = not gc.isenabled()
        self._pressed_at = clock()
        self.streams = False
        self.due = False

    def started(self) -> None:
        """The first picture is there: what was made for it stays, and is looked at no more.

        Only where `keep_still` was called: a program that goes on without the screen needs it no longer.
        """
        if self._kept_still:
            gc.freeze()
            gc.enable()
        self._set()

    def streaming(self, streams: bool) -> None:
        """Whether an answer is being written from now on."""
        self.due = self.due or streams
        self.streams = streams
        self._set()

    def pressed(self) -> None:
        """The user did something."""
        self._pressed_at = self._clock()

    def idle(self) -> bool:
        """Collect, if it is due and nobody would feel it; whether nothing is due any more."""
        if not self.due:
            return True
        if self.streams or self._clock() - self._pressed_at < IDLE_SECONDS:
            return False
        self.due = False
        gc.collect()
        return True

    def close(self) -> None:
        """The program ends: the collector is as it was before `keep_still`.

        But what `started` froze stays frozen: Python looks through all else as it exits, and with that
        it would take a tenth of a second longer.
        """
        gc.set_threshold(*self._before)
        if self._kept_still:
            gc.enable()

    def _set(self) -> None:
        gc.set_threshold(*(STREAMING if self.streams else QUIET))
