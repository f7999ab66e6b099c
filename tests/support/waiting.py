"""Waiting for conditions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

PATIENCE = 60.0
"""Seconds after which what a test waits for will not come, on the busiest machine."""


def wait_for(condition: Callable[[], Result], what: str = "", seconds: float = PATIENCE) -> Result:
    """The first true answer of ``condition``; AssertionError where it does not come in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what or condition}"
        time.sleep(0.01)
