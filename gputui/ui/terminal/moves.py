"""The shortest sequence that moves the cursor."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(4096)
def move(row: int | None, column: int | None, to_row: int, to_column: int) -> str:
    """From one cell to another, counted from 0.

    ``row`` is None where it is not known, ``column`` too (so after the last cell of a row was
    written: terminals do not agree whether the cursor stands in that cell or behind it).

    A line feed only goes with a carriage return: the terminal line adds one (ONLCR) or does not.
    """
    if (row, column) == (to_row, to_column):
        return ""
    choices = [_absolute(to_row, to_column)]
    if row is not None:
        vertical = _relative(to_row - row, "A", "B")
        if column is not None:
            choices.append(vertical + _sideways(to_column - column))
        choices.append(vertical + f"\x1b[{to_column + 1}G")
        forward = _relative(to_column, "D", "C")
        choices.append(vertical + "\r" + forward)
        if to_row > row:
            choices.append("\r" + "\n" * (to_row - row) + forward)
    return min(choices, key=len)


def _absolute(row: int, column: int) -> str:
    if column:
        return f"\x1b[{row + 1};{column + 1}H" if row else f"\x1b[;{column + 1}H"
    return f"\x1b[{row + 1}H" if row else "\x1b[H"


def _relative(distance: int, back: str, forward: str) -> str:
    """CUU, CUD, CUF, CUB."""
    if not distance:
        return ""
    count = "" if abs(distance) == 1 else abs(distance)
    return f"\x1b[{count}{forward if distance > 0 else back}"


def _sideways(distance: int) -> str:
    return "\b" * -distance if -4 < distance < 0 else _relative(distance, "D", "C")
