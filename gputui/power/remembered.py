"""What a schedule will give back, kept for the program that runs when its window ends."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import msgspec

from gputui.errors import GputuiError
from gputui.files import write_file
from gputui.processes import boot_id


class Kept(msgspec.Struct, frozen=True):
    """The limit that stood before (None: not known) and the one that was set, in watts."""

    before: float | None
    applied: float


class _File(msgspec.Struct):
    boot_id: str
    gpus: dict[str, Kept]


class Remembered:
    """By the GPU's UUID, in a private file; nothing is kept without one.

    Limits do not survive a boot, so what was kept before one says nothing. A file that cannot be read
    or written is as none: the GPU's default is known all the same. Any thread may ask.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()

    def of(self, uuid: str, limit: float | None) -> Kept | None:
        """What was kept for a GPU; None where its limit is another by now: then it was set by hand."""
        kept = self._read().get(uuid)
        if kept is None or limit is None or abs(kept.applied - limit) >= 0.5:
            return None
        return kept

    def uuids(self) -> frozenset[str]:
        """The GPUs on which something is to be given back."""
        return frozenset(self._read())

    def keep(self, uuid: str, before: float | None, applied: float) -> None:
        """Remember for one GPU."""
        kept = Kept(before, applied)
        with self._lock:
            gpus = self._read()
            if gpus.get(uuid) != kept:
                self._write(gpus | {uuid: kept})

    def forget(self, uuid: str) -> None:
        """Nothing is to be given back on that GPU any more."""
        with self._lock:
            gpus = self._read()
            if gpus.pop(uuid, None) is not None:
                self._write(gpus)

    def _read(self) -> dict[str, Kept]:
        if self._path is None:
            return {}
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
            if found.boot_id == boot_id():
                return found.gpus
        return {}

    def _write(self, gpus: dict[str, Kept]) -> None:
        if self._path is not None:
            with contextlib.suppress(GputuiError):
                write_file(self._path, msgspec.json.encode(_File(boot_id(), gpus)))
