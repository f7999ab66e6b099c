"""How far a load is: an estimate, as a server prints no progress.

Two witnesses: how much of the model file is resident in the process, and how long the last load of
the same file took. Neither is exact (a copy on a GPU leaves host memory again, the page cache
makes a second load faster), so with both the mean counts, and only a ready server is at 1.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gputui.errors import GputuiError
from gputui.files import write_file
from gputui.models.files import model_bytes

_ALMOST = 0.99
_KEPT = 200


def estimate(
    resident: int | None, size: int | None, elapsed: float, last_seconds: float | None
) -> float | None:
    """The part of a load that is done, 0 to 0.99; None where nothing is known.

    ``resident`` and ``size`` in bytes, ``elapsed`` and ``last_seconds`` in seconds.
    """
    witnesses: list[float] = []
    if resident is not None and size:
        witnesses.append(min(resident / size, 1.0))
    if last_seconds:
        witnesses.append(min(max(elapsed, 0.0) / last_seconds, 1.0))
    if not witnesses:
        return None
    return min(sum(witnesses) / len(witnesses), _ALMOST)


class Durations:
    """How long the last load of each model took, in seconds, kept in one file.

    For any thread; all methods block on files.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, float] | None = None
        self._lock = threading.Lock()

    def get(self, model: Path) -> float | None:
        """The last load of this very file (path, size), None where there was none."""
        key = _key(model)
        with self._lock:
            return self._read().get(key)

    def put(self, model: Path, seconds: float) -> None:
        """Remember a load; a file that cannot be written costs an estimate, no more."""
        newest = _key(model)
        with self._lock, contextlib.suppress(GputuiError):
            known = {key: value for key, value in self._read().items() if key != newest}
            known[newest] = round(seconds, 2)
            self._known = dict(list(known.items())[-_KEPT:])
            write_file(self._file, msgspec.json.encode(self._known))

    def _read(self) -> Mapping[str, float]:
        if self._known is None:
            try:
                self._known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, float])
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                self._known = {}
        return self._known


def _key(model: Path) -> str:
    return f"{model} {model_bytes(model)}"
