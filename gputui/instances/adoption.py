"""Finding a server again whose record is damaged.

A record is written whole or not at all, but a disk, an editor or another program can spoil it. The server
then still says who it is: its environment holds a copy of its record and the state directory that it
belongs to. Nothing is searched for while all records can be read.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from gputui import processes
from gputui.errors import GputuiError
from gputui.instances import locks, records
from gputui.instances.records import Paths, Record
from gputui.instances.starting.process import COPY, marker_of

SEARCH_SECONDS = 30.0
"""Seconds after which the server of a record that is still spoilt is searched for again."""


class _Copy(Struct, frozen=True):
    state: str
    record: Record


def copy_of(paths: Paths, draft: Record) -> str:
    """What the server of this record carries in the variable ``process.COPY``."""
    return msgspec.json.encode(_Copy(str(paths.state_dir.absolute()), draft)).decode()


def mend(paths: Paths, held: str = "") -> None:
    """Write the records anew that cannot be read and whose server lives. Blocks for milliseconds.

    ``held`` is the instance whose lock the caller holds; one that another gputui holds is left to it.
    What cannot be written stays as it is.
    """
    records.read_all(paths.state_dir)  # sets aside what cannot be read
    names = records.broken_names(paths)
    if names:
        _write_anew(paths, names, held)


class Adopter:
    """``mend`` for whoever looks again and again: a server that was not found is searched for anew only
    once in a while, or where another record was spoilt."""

    def __init__(self, paths: Paths, again: float = SEARCH_SECONDS) -> None:
        self._paths = paths
        self._again = again
        self._searched: frozenset[tuple[str, int, int]] = frozenset()
        self._searched_at = 0.0

    def records(self) -> dict[str, Record]:
        """All records that can be read, those that were mended too, by instance name. Blocks."""
        known = dict(records.read_all(self._paths.state_dir))
        spoilt = frozenset(_marks(self._paths))
        late = time.monotonic() - self._searched_at >= self._again
        if spoilt and (late or spoilt - self._searched):
            names = frozenset(name for name, _, _ in spoilt)
            known |= _write_anew(self._paths, names, "")
            self._searched, self._searched_at = spoilt, time.monotonic()
        return known


def _marks(paths: Paths) -> Iterator[tuple[str, int, int]]:
    """The records that are set aside, and which file each is."""
    for name in records.broken_names(paths):
        aside = records.broken(paths, name)
        with contextlib.suppress(OSError):
            if aside is not None:
                stat = aside.stat()
                yield name, stat.st_mtime_ns, stat.st_ino


def _write_anew(paths: Paths, names: frozenset[str], held: str) -> dict[str, Record]:
    """Those of the records that could be written."""
    written: dict[str, Record] = {}
    for record in _living(paths, names):
        with contextlib.suppress(GputuiError), contextlib.ExitStack() as stack:
            if record.name != held:
                stack.enter_context(locks.hold(paths.lock(record.name), locks.TIDY))
            if records.read(paths.record(record.name)) is None and processes.matches(
                record.identity
            ):
                records.write(paths, record)
                written[record.name] = record
    return written


def _living(paths: Paths, names: frozenset[str]) -> Iterator[Record]:
    """The records that living servers of these names carry."""
    state = str(paths.state_dir.absolute())
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            pid = int(folder.name)
            if folder.stat().st_uid != os.geteuid() or os.getsid(pid) != pid:
                continue  # what a server starts itself inherits its environment, not its session
            variables = (folder / "environ").read_bytes().split(b"\0")
            text = next((v for v in variables if v.startswith(COPY.encode() + b"=")), None)
            if text is None:
                continue
            copy = msgspec.json.decode(text.partition(b"=")[2], type=_Copy)
            if copy.state == state and copy.record.name in names:
                marker = marker_of(copy.record.name)
                yield copy.record.of(processes.identify(pid, marker))
