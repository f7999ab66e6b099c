"""The one exception a user can be told about."""

from __future__ import annotations

import time
from collections.abc import Callable

from gputui.text import clean


class GputuiError(Exception):
    """Something the user can be told, and what they can do about it.

    ``message`` says what is wrong and where; ``hint`` says what to do ("" when nothing helps).
    Everything that reaches a user as an error is one of these: no traceback does. Both are cleaned
    here, since errors quote what others wrote (files, servers, drivers).
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = clean(message)
        self.hint = clean(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigError(GputuiError):
    """The configuration cannot be used as it stands; exit code 2."""


class Told:
    """Which problems a user was told lately: one that comes again and again is told once.

    It is told anew once it has not come for ``seconds``. ``clock`` is in seconds from any beginning.
    """

    def __init__(self, seconds: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._came: dict[str, float] = {}

    def is_new(self, problem: GputuiError) -> bool:
        """Whether to tell this one, which has come now."""
        now = self._clock()
        self._came = {words: at for words, at in self._came.items() if now - at < self._seconds}
        new = str(problem) not in self._came
        self._came[str(problem)] = now
        return new
