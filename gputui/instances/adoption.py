"""Finding a server again whose record is damaged.

A record is written whole or not at all, but a disk, an editor or another program can spoil it. The server
then still says who it is: its environment holds a copy of its record and the state directory that it
belongs to. Nothing is searched for while all records can be read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from gputui import processes
from gputui.errors import GputuiError
from gputui.instances import locks, records
from gputui.instances.records import Paths, Record
from gputui.instances.starting.process import COPY, marker_of


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
    if not names:
        return
    for record in _living(paths, names):
        with contextlib.suppress(GputuiError), contextlib.ExitStack() as stack:
            if record.name != held:
                stack.enter_context(locks.hold(paths.lock(record.name), locks.TIDY))
            if records.read(paths.record(record.name)) is None and processes.matches(
                record.identity
            ):
                records.write(paths, record)


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
