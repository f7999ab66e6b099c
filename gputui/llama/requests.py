"""How many requests a server got, and how many it failed: from its log, which alone says so.

llama-server counts no requests. At its default verbosity and above, its log has a line where a request
gets a slot, one where a task fails, and one where a request fails before it becomes a task (build 10068):

    0.07.716 I slot launch_slot_: id  3 | task 1 | processing task, is_child = 0
    0.08.064 E srv    send_error: task id = 7, error: request (6031 tokens) exceeds the available …
    0.08.025 W srv    operator(): got exception: {"error":{"code":500,"message":"…

Of a prompt that takes longer than some seconds, it says how far it is read, every few tokens:

    0.04.384 I slot print_timing: id  0 | task 1 | prompt processing, n_tokens =    192, progress = 0.08, …

The log does not say of a task which status its failure got; all are 500 but those listed here. A request
that the log does not mention is not counted: 503 while the model loads, 501 for what is not switched on,
404, and the questions about the server's own state.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gputui.llama.growing import GrowingLog

READ_AT_ONCE = 4 * 2**20
"""Bytes of a log that one look reads at most."""
_MOST_LIVE = 1024

_LINES = re.compile(
    rb"^(?:[\d.]+ [A-Z] )?(?:"
    rb"slot +\S+ id +\d+ \| task (?P<task>\d{1,18}) \| "
    rb"(?:(?P<begun>processing task)(?:, is_child = (?P<child>\d))?|stop processing"
    rb"|prompt processing, n_tokens = +\d+, progress = (?P<progress>\d\.\d{1,6}))"
    rb"|srv +\S+ task id = (?P<refused>\d{1,18}), error: (?P<why>[^\n]*)"
    rb"|srv +\S+ (?P<exception>got (?:another )?exception: [^\n]*)"
    rb"|[^\n]{0,60}(?P<greeting>listening on http))",
    re.M,
)
_STATUS = re.compile(rb'"code": ?(\d{3})\b')
_CALLERS_FAULT = re.compile(
    rb"available context size|[Ff]ailed to (?:initialize samplers|parse grammar)|[Ii]nvalid slot"
    rb"|multiple aLoRAs|Unable to (?:save|restore)"
)
"""Failures of a task that are answered with 400."""


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests since the server started. ``failed``: answered with a status of 500 or more.

    ``prompts``: the share, 0 to 1, of the prompt that is read, of the live tasks that it is told of.
    """

    total: int
    failed: int
    prompts: Mapping[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class RequestLog:
    """The log of one process, read as it grows, and on where it is cut. One thread at a time."""

    path: Path
    _total: int = 0
    _failed: int = 0
    _log: GrowingLog = field(init=False)
    _rest: bytes = b""
    _telling: bool = False
    _live: dict[int, None] = field(default_factory=dict)
    _prompts: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._log = GrowingLog(self.path)

    def read(self) -> RequestCounts | None:
        """The counts as of now.

        None where the log cannot be read, is not read to its end yet (a long one takes several looks),
        or leaves requests out (``--verbosity`` below 3).
        """
        try:
            block = self._log.read(READ_AT_ONCE)
        except OSError:
            return None
        text = self._rest + block
        whole = text.rfind(b"\n") + 1 or (len(text) if len(text) >= READ_AT_ONCE else 0)
        for match in _LINES.finditer(text[:whole]):
            self._take(match)
        self._rest = text[whole:]
        to_the_end = len(block) < READ_AT_ONCE
        if not self._telling or not to_the_end:
            return None
        return RequestCounts(self._total, self._failed, dict(self._prompts))

    def _take(self, line: re.Match[bytes]) -> None:
        if line["task"]:
            self._telling = True
            self._follow(int(line["task"]), line)
        elif line["refused"]:
            if int(line["refused"]) not in self._live:
                self._total += 1
            self._failed += not _CALLERS_FAULT.search(line["why"])
        elif line["exception"]:
            status = _STATUS.search(line["exception"])
            self._total += 1
            self._failed += status is None or int(status[1]) >= 500
        else:
            self._telling = True

    def _follow(self, task: int, line: re.Match[bytes]) -> None:
        """A task from its slot to its end, so that its failure is not a second request."""
        if line["progress"]:
            if task in self._live:
                self._prompts[task] = min(float(line["progress"]), 1.0)
            return
        self._prompts.pop(task, None)
        if not line["begun"]:
            self._live.pop(task, None)
            return
        self._total += line["child"] != b"1"  # further answers to one request
        self._live[task] = None
        if len(self._live) > _MOST_LIVE:
            oldest = next(iter(self._live))
            self._live.pop(oldest)
            self._prompts.pop(oldest, None)


class Logged(Protocol):
    """A running server that writes a log: an instance's record is one."""

    @property
    def name(self) -> str:
        """Whose it is."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def start_ticks(self) -> int:
        """When that began, see ProcessIdentity."""

    @property
    def log(self) -> str:
        """The path of its log."""


class RequestLogs:
    """The logs of all running servers; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[tuple[int, int], RequestLog] = {}

    def read(self, servers: Iterable[Logged]) -> Mapping[str, RequestCounts]:
        """What is known, by instance; forgets processes that are not in ``servers``. Blocks shortly."""
        with self._lock:
            read = [(server, self._read(server)) for server in servers]
            current = {_key(server) for server, _ in read}
            self._logs = {key: log for key, log in self._logs.items() if key in current}
            return {server.name: counts for server, counts in read if counts is not None}

    def read_one(self, server: Logged) -> RequestCounts | None:
        """What is known of one of them. Blocks shortly."""
        with self._lock:
            return self._read(server)

    def _read(self, server: Logged) -> RequestCounts | None:
        log = self._logs.setdefault(_key(server), RequestLog(Path(server.log)))
        with contextlib.suppress(ValueError):  # a path that no system takes
            return log.read()
        return None


def _key(server: Logged) -> tuple[int, int]:
    return server.pid, server.start_ticks
