"""What is on disk of each started instance: the truth that all gputui sessions share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gputui.errors import GputuiError
from gputui.files import write_file
from gputui.instances.starting.process import marker_of
from gputui.processes import ProcessIdentity, boot_id, matches


class Record(Struct, frozen=True, kw_only=True):
    """One started instance. Unknown fields of a newer gputui are ignored.

    ``started_at`` and ``ready_at`` are Unix time; ``ready_at`` is None until it was seen ready.
    ``stop_deadline`` is set once a stop was asked for: when SIGKILL follows, on the system's
    monotonic clock, which all processes of one boot share. ``failure`` and ``hint`` say why it died
    unasked; ``exit_code`` is negative for a signal and None where not known. ``settings`` are the keys of
    the configuration that it was started with, as TOML has them. ``failures`` are the Unix times of the
    crashes since the user started it last, ``restart_at`` is when it is started again (None: it is not).
    ``streak`` and ``failed_loads`` count crashes in a row, as Backoff has them. ``evidence`` are the lines
    of its log that say why it died. ``ended_at`` is when its end was written down; ``unloaded_after`` the
    seconds without a request after which it was stopped. ``oom_kills`` is how many processes the kernel
    had killed for want of memory before it began, see kernel.py.
    ``cpus`` and ``numa_node`` are what it was bound to; ``scope`` is its systemd scope, "" for none.
    """

    name: str
    pid: int
    start_ticks: int
    boot_id: str
    executable: str
    argv: tuple[str, ...]
    host: str
    port: int
    model: str
    log: str
    started_at: float
    gpus: tuple[str, ...] = ()
    ready_at: float | None = None
    stop_deadline: float | None = None
    exit_code: int | None = None
    failure: str | None = None
    hint: str = ""
    settings: dict[str, Any] = {}
    failures: tuple[float, ...] = ()
    restart_at: float | None = None
    streak: int = 0
    failed_loads: int = 0
    evidence: tuple[str, ...] = ()
    ended_at: float | None = None
    unloaded_after: float | None = None
    oom_kills: int | None = None
    cpus: tuple[int, ...] = ()
    numa_node: int | None = None
    scope: str = ""

    @property
    def identity(self) -> ProcessIdentity:
        """Who the recorded process is."""
        return ProcessIdentity(self.pid, self.start_ticks, self.boot_id, marker_of(self.name))

    @property
    def ended(self) -> bool:
        """Whether its end is written down already."""
        return self.failure is not None or self.ended_at is not None

    @property
    def this_boot(self) -> bool:
        """Whether it was started since the machine was booted last."""
        return self.boot_id == boot_id()

    def of(self, identity: ProcessIdentity) -> Record:
        """The same for this process."""
        pid, ticks, boot = identity.pid, identity.start_ticks, identity.boot_id
        return replace(self, pid=pid, start_ticks=ticks, boot_id=boot)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the files of the instances lie in a state directory."""

    state_dir: Path

    def record(self, name: str) -> Path:
        """The record of an instance."""
        return self.state_dir / "instances" / f"{name}.json"

    def lock(self, name: str) -> Path:
        """The lock of an instance."""
        return self.state_dir / "instances" / f"{name}.lock"

    def cut_lock(self, name: str) -> Path:
        """Held while the log of an instance is copied to be cut: longer than others could wait."""
        return self.state_dir / "instances" / f"{name}.cut"

    def log(self, name: str) -> Path:
        """The log of an instance; the one before it has ``.1`` added."""
        return self.state_dir / "logs" / f"{name}.log"

    def group_lock(self, group: str) -> Path:
        """Held while a member of a group takes the place of another."""
        return self.state_dir / "groups" / f"{group}.lock"

    @property
    def layout_lock(self) -> Path:
        """Held while one layout takes the place of another."""
        return self.state_dir / "layout.lock"

    @property
    def spawn_lock(self) -> Path:
        """Held while a port is checked and a server is started on it."""
        return self.state_dir / "spawn.lock"

    @property
    def loads(self) -> Path:
        """How long the last load of each model took."""
        return self.state_dir / "loads.json"


def as_written(settings: object) -> dict[str, Any]:
    """The keys of a configuration as a record's file has them: lists for tuples."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return plain


def read(path: Path) -> Record | None:
    """The record at ``path``, None where there is none.

    A file that cannot be understood is set aside as ``NAME.json.broken``, once, and counts as none:
    a process that it may have named is then seen on its port, and never signalled.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GputuiError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".json.broken"))
        return None
    return record if record.name == path.stem else None


def broken(paths: Paths, name: str) -> Path | None:
    """The set-aside record of an instance, None where there is none."""
    aside = paths.record(name).with_suffix(".json.broken")
    with contextlib.suppress(OSError):  # where nothing can be seen, read() has said so
        return aside if aside.exists() else None
    return None


def broken_names(paths: Paths) -> frozenset[str]:
    """The names whose record is set aside, and that have no other."""
    suffix = ".json.broken"
    with contextlib.suppress(OSError):
        found = [
            path.name.removesuffix(suffix) for path in paths.record("x").parent.glob(f"*{suffix}")
        ]
        return frozenset(name for name in found if not paths.record(name).exists())
    return frozenset()


def read_all(state_dir: Path) -> Mapping[str, Record]:
    """All records that can be read, by instance name."""
    records: dict[str, Record] = {}
    with contextlib.suppress(OSError):
        for path in sorted((state_dir / "instances").glob("*.json")):
            with contextlib.suppress(GputuiError):
                if record := read(path):
                    records[record.name] = record
    return records


def write(paths: Paths, record: Record) -> None:
    """Write a record: whole or not at all. Raises GputuiError."""
    write_file(paths.record(record.name), msgspec.json.format(msgspec.json.encode(record)))
    with contextlib.suppress(OSError):
        paths.record(record.name).with_suffix(".json.broken").unlink()
    with contextlib.suppress(OSError):  # what a writer left behind that was killed
        for left in paths.record(record.name).parent.glob(f".{record.name}.json.*"):
            left.unlink()


def remove(paths: Paths, name: str) -> None:
    """Forget an instance: it is stopped. Raises GputuiError."""
    path = paths.record(name)
    with contextlib.suppress(OSError):
        path.with_suffix(".json.broken").unlink()
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise GputuiError(
            f"{path}: cannot be removed: {error.strerror}",
            f"{name} is stopped. gputui's state directory must be writable.",
        ) from error


def running(state_dir: Path) -> tuple[Record, ...]:
    """The records whose process lives."""
    return tuple(record for record in read_all(state_dir).values() if matches(record.identity))


def running_pids(state_dir: Path) -> Mapping[str, Sequence[int]]:
    """The pids of running instances by the UUID of each GPU they are pinned to."""
    pids: dict[str, list[int]] = {}
    for record in running(state_dir):
        for uuid in record.gpus:
            pids.setdefault(uuid, []).append(record.pid)
    return pids


def names_by_pid(state_dir: Path) -> Mapping[int, str]:
    """The names of running instances by pid."""
    return {record.pid: record.name for record in running(state_dir)}
