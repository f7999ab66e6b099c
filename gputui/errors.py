"""The one exception a user can be told about."""

from __future__ import annotations


class GputuiError(Exception):
    """Something the user can be told, and what they can do about it.

    ``message`` says what is wrong and where; ``hint`` says what to do ("" when nothing helps).
    Everything that reaches a user as an error is one of these: no traceback does.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigError(GputuiError):
    """The configuration cannot be used as it stands; exit code 2."""
