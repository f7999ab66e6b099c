"""The one exception a user can be told about."""

from __future__ import annotations

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
