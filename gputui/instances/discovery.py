"""llama-servers on this host that gputui did not start: found among the processes, asked, never signalled.

A server whose record was lost, or that another user or a script started, is seen all the same: by its
process's name, and the port that this process listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gputui import processes
from gputui.config import url_of
from gputui.config.tables import Role
from gputui.instances.facts import metrics_of
from gputui.instances.status import InstanceStatus, State
from gputui.llama.given import may_wake, role_of, value_of
from gputui.llama.probe import Client, Health, Probe, Reading
from gputui.models.files import short_name
from gputui.text import clean_line

PROGRAM = "llama-server"
"""The name of its process (proc_pid_comm(5))."""
SCAN_SECONDS = 3.0
"""Seconds between two looks at all processes; the servers that are known are asked at every look."""

_THOROUGH = 10
_PROC = Path("/proc")
_LISTEN = "0A"  # TCP_LISTEN, net/tcp_states.h
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A llama-server's process. ``certain``: its port was read from its sockets, not guessed from flags.

    ``may_wake``: asking for its numbers disturbs no sleep of the model.
    """

    pid: int
    start_ticks: int
    host: str
    port: int
    user: str
    certain: bool
    may_wake: bool
    role: Role = "chat"

    @property
    def url(self) -> str:
        """Where a client on this host reaches it."""
        return url_of(self.host, self.port)

    @property
    def name(self) -> str:
        """What it is called where its alias does not tell."""
        return f"llama:{self.port}"  # as long as a column of the table has room


class Discovery:
    """Finds and asks them. Used by one event loop."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._scanner = Scanner(proc)
        self._found: tuple[Found, ...] = ()
        self._scanned_at = -SCAN_SECONDS
        self._probes: dict[tuple[int, int, str], Probe] = {}
        self._client = Client()
        self._pids: Mapping[str, int] | None = None

    async def look(
        self,
        own_pids: Collection[int],
        ports: Collection[int],
        names: Collection[str],
        patience: float,
    ) -> tuple[InstanceStatus, ...]:
        """Those that run now, by port: without ``own_pids`` and what listens on ``ports``.

        None gets one of ``names``, in whatever case: they are somebody else's.
        """
        if time.monotonic() - self._scanned_at >= SCAN_SECONDS:
            await self._scan()
        found = [f for f in self._found if f.pid not in own_pids and f.port not in ports]
        self._forget(found)
        readings = await asyncio.gather(*(self._ask(one, patience) for one in found))
        statuses: tuple[InstanceStatus, ...] = ()
        if found:
            statuses = await asyncio.to_thread(self._describe, found, readings, names)
        self._pids = {status.name: status.pid or 0 for status in statuses}
        return statuses

    async def pid_of(self, name: str) -> int | None:
        """The pid of the one of that name; None where there was none at the last look."""
        if self._pids is not None:
            return self._pids.get(name)
        await self._scan()
        return next((one.pid for one in self._found if one.name == name), None)

    async def close(self) -> None:
        """Let go of connections."""
        self._forget(())
        await self._client.close()

    async def _scan(self) -> None:
        self._found = await asyncio.to_thread(self._scanner.scan)
        self._scanned_at = time.monotonic()

    async def _ask(self, found: Found, patience: float) -> Reading:
        client = await self._client.get()
        key = _key(found)
        probe = self._probes.get(key) or Probe(found.url, found.may_wake)
        self._probes[key] = probe
        return await probe.look(client, patience)

    def _forget(self, current: Sequence[Found]) -> None:
        keys = {_key(found) for found in current}
        for key in [key for key in self._probes if key not in keys]:
            self._probes.pop(key).cancel()

    def _describe(
        self, found: Sequence[Found], readings: Sequence[Reading], names: Collection[str]
    ) -> tuple[InstanceStatus, ...]:
        """The statuses; a port that was guessed counts only where a llama-server answers there."""
        known = [
            (one, reading)
            for one, reading in zip(found, readings, strict=True)
            if _runs(one, self._proc) and (one.certain or _is_one(reading))
        ]
        taken = {name.lower() for name in names}
        aliases = Counter(_alias(reading).lower() for _, reading in known)
        statuses = []
        for one, reading in known:
            alias = _alias(reading)
            unique = aliases[alias.lower()] == 1 and alias.lower() not in taken
            statuses.append(_status(alias if alias and unique else one.name, one, reading))
        return tuple(sorted(statuses, key=lambda status: status.port))


class Scanner:
    """Looks for llama-servers among all processes.

    Reading a name costs some 20 to 90 µs, and processes are many and old: one that twice was another
    program is looked at again only at every tenth scan, as an exec may have made it a server since.
    """

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._known: dict[tuple[int, int], Found] = {}
        self._others: dict[str, int] = {}
        self._scans = 0

    def scan(self) -> tuple[Found, ...]:
        """All processes that are llama-servers and listen, those known before as they were then. Blocks."""
        found: dict[tuple[int, int], Found] = {}
        for pid in self._servers():
            seen = processes.look(pid, self._proc)
            if seen is not None and not seen.ended:
                key = pid, seen.start_ticks
                one = self._known.get(key) or _look(self._proc, *key)
                if one is not None:
                    found[key] = one
        self._known = found
        return tuple(found.values())

    def _servers(self) -> Iterator[int]:
        """The pids of processes of that name."""
        thorough = self._scans % _THOROUGH == 0
        self._scans += 1
        others: dict[str, int] = {}
        for pid in _pids(self._proc):
            seen = self._others.get(pid, 0)
            if seen < 2 or thorough:
                if _comm(self._proc, pid) == PROGRAM:
                    yield int(pid)
                    continue
                seen += 1
            others[pid] = seen
        self._others = others


def _pids(proc: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from filter(str.isdecimal, os.listdir(proc))  # noqa: PTH208 - strings are enough


def _comm(proc: Path, pid: str) -> str:
    with contextlib.suppress(OSError), open(f"{proc}/{pid}/comm", "rb") as comm:  # noqa: PTH123
        return comm.read(64).decode(errors="replace").rstrip("\n")
    return ""


def _look(proc: Path, pid: int, start_ticks: int) -> Found | None:
    """One process; None where it listens nowhere yet."""
    folder = proc / str(pid)
    words = _words(folder / "cmdline")
    listening = _listening(folder)
    if (listening is not None and not listening) or _elsewhere(folder):
        return None
    asked = _port_of(words)
    if listening:
        host, port = next((pair for pair in listening if pair[1] == asked), listening[0])
    else:
        host, port = value_of(words, "--host") or "127.0.0.1", asked
    if not 0 < port < 65536:
        return None
    variables = dict(word.partition("=")[::2] for word in _words(folder / "environ"))
    return Found(
        pid,
        start_ticks,
        host,
        port,
        user=_user(folder),
        certain=bool(listening),
        may_wake=may_wake(words, variables),
        role=role_of(words),
    )


def _elsewhere(folder: Path) -> bool:
    """Whether its network is another one than ours, as a container's: its ports are not to be had here
    (network_namespaces(7)). Where that may not be looked at, an answer says so."""
    try:
        own, theirs = Path("/proc/self/ns/net").stat(), (folder / "ns/net").stat()
    except OSError:
        return False
    return (own.st_dev, own.st_ino) != (theirs.st_dev, theirs.st_ino)


def _listening(folder: Path) -> list[tuple[str, int]] | None:
    """Where a process listens, by its own sockets; None where they may not be looked at."""
    inodes: set[str] = set()
    try:
        for entry in os.listdir(folder / "fd"):  # noqa: PTH208 - strings are enough
            with contextlib.suppress(FileNotFoundError):
                link = os.readlink(folder / "fd" / entry)  # noqa: PTH115
                inodes.update({link[8:-1]} if link.startswith("socket:[") else ())
    except PermissionError:
        return None
    except OSError:
        return []
    return [pair for name in ("tcp", "tcp6") for pair in _sockets(folder / "net" / name, inodes)]


def _sockets(table: Path, inodes: Collection[str]) -> Iterator[tuple[str, int]]:
    """The listening sockets among ``inodes`` (proc_pid_net(5)): local address, state, inode."""
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN and fields[9] in inodes:
                address, _, port = fields[1].rpartition(":")
                with contextlib.suppress(ValueError):
                    yield _address(address), int(port, 16)


def _address(text: str) -> str:
    """An address of /proc/net/tcp: 32-bit words in the machine's order."""
    import ipaddress
    import sys

    words = [bytes.fromhex(text[start : start + 8]) for start in range(0, len(text), 8)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return str(ipaddress.ip_address(b"".join(words)))


def _words(file: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return file.read_bytes().decode(errors="replace").split("\0")
    return []


def _port_of(words: Sequence[str]) -> int:
    value = value_of(words, "--port")
    return int(value) if value.isascii() and value.isdecimal() else 8080


def _user(folder: Path) -> str:
    try:
        return pwd.getpwuid(folder.stat().st_uid).pw_name
    except (OSError, KeyError):
        return "unknown"


def _key(found: Found) -> tuple[int, int, str]:
    return found.pid, found.start_ticks, found.url


def _runs(found: Found, proc: Path) -> bool:
    seen = processes.look(found.pid, proc)
    return seen is not None and not seen.ended and seen.start_ticks == found.start_ticks


def _is_one(reading: Reading) -> bool:
    props = reading.props
    return reading.health is Health.LOADING or (props is not None and props.is_llama_server)


def _alias(reading: Reading) -> str:
    """Its alias where that is a name, "" where it is none: without one a server says its file's path."""
    alias = reading.props.model_alias if reading.props else None
    return alias if isinstance(alias, str) and _ALIAS.match(alias) else ""


def _status(name: str, found: Found, reading: Reading) -> InstanceStatus:
    states = {Health.READY: State.READY, Health.LOADING: State.LOADING}
    state = states.get(reading.health or Health.REFUSED, State.STARTING)
    props = reading.props
    path = props.model_path if props and isinstance(props.model_path, str) else ""
    status = InstanceStatus(
        name=name,
        state=state,
        port=found.port,
        url=found.url,
        model=clean_line(short_name(path), 120),
        pid=found.pid,
        started_at=processes.started_at(found.start_ticks),
        metrics=metrics_of(reading, processes.resident_bytes(found.pid)),
        note=f"not started by gputui: pid {found.pid} of {clean_line(found.user, 40)}",
        role=found.role,
        sees=props.sees if props else None,
        slot_context=props.context if props else None,
        external=True,
    )
    if state is State.STARTING and reading.answered_at is not None:
        return replace(status, state=State.READY)  # a hung server is not a starting one
    return status
