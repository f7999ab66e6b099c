"""The user's own program, run when an alert begins or ends: arguments, never a shell."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from gputui.alerts.engine import Event
from gputui.config import Config, default_path
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean_line, nearest

LIMIT_SECONDS = 10.0
MOST_WAITING = 512
"""Every built-in rule of 16 GPUs at once, and as much again."""
_CLOSE_SECONDS = 1.0
_FIELD = re.compile(r"\{([A-Za-z_]+)\}")
FIELDS = ("name", "state", "severity", "subject", "message", "value")
"""What stands for a word in braces in ``on_alert``; everything else is taken as it is."""


def fields_of(event: Event) -> Mapping[str, str]:
    """The words of an event, cleaned; ``value`` in the metric's base unit."""
    return {
        "name": event.rule.name,
        "state": str(event.change),
        "severity": str(event.severity),
        "subject": clean_line(event.subject.name),
        "message": clean_line(event.message),
        "value": "" if event.value is None else f"{event.value:g}",
    }


def arguments(template: Sequence[str], event: Event) -> list[str]:
    """The program and its arguments for an event; what is filled in is not looked at again."""
    fields = fields_of(event)
    return [_FIELD.sub(lambda m: fields.get(m[1], m[0]), part) for part in template]


def check_command(config: Config, file: Path | None = None) -> None:
    """Raise ConfigError where ``on_alert`` has a word in braces that means nothing."""
    for part in config.on_alert:
        for word in _FIELD.findall(part):
            if word not in FIELDS:
                near = nearest(word, FIELDS)
                known = ", ".join(f"{{{name}}}" for name in FIELDS)
                raise ConfigError(
                    f"{file or default_path()}: top level: on_alert: "
                    f'"{{{clean_line(word, 40)}}}" stands for nothing',
                    f'Did you mean "{{{near}}}"? Known: {known}.' if near else f"Known: {known}.",
                )


class Command:
    """Runs the program, one event after the other, on a thread of its own.

    It gets no input, its output is discarded, and after ``limit`` seconds it and what it started are
    killed. Events that come while MOST_WAITING wait are left out, which is a problem. ``problem`` says
    what went wrong the last time, None where nothing did.
    """

    def __init__(self, template: Sequence[str], limit: float = LIMIT_SECONDS) -> None:
        self.problem: GputuiError | None = None
        self._template = tuple(template)
        self._limit = limit
        self._waiting: queue.Queue[Event | None] = queue.Queue(MOST_WAITING)
        self._left_out: GputuiError | None = None
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def set_template(self, template: Sequence[str]) -> None:
        """The program and its arguments from now on, () for none."""
        self._template = tuple(template)

    def run_soon(self, event: Event) -> None:
        """Run it for an event. Never blocks; from one thread at a time."""
        if not self._template:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="alert-command", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._left_out = GputuiError(
                "on_alert: more alerts came than it could be run for; some were left out",
                "Let it end sooner, and start what takes longer in the background.",
            )

    def close(self, wait: float = _CLOSE_SECONDS) -> None:
        """Run no more; what runs has ``wait`` seconds left. Blocks so long at most."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(wait)
        if (child := self._child) is not None:
            _kill(child)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            template = self._template
            if template:
                self.problem = self._run_one(arguments(template, event)) or self._left_out

    def _run_one(self, argv: list[str]) -> GputuiError | None:
        """What went wrong, in words."""
        what = f"on_alert: {clean_line(argv[0], 120)}"
        try:
            self._child = child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            return GputuiError(f"{what} cannot be run: {why}", "Look at on_alert.")
        try:
            code = child.wait(self._limit)
        except subprocess.TimeoutExpired:
            _kill(child)
            return GputuiError(
                f"{what} did not end within {self._limit:g} s and was killed",
                "Let it start what takes longer in the background.",
            )
        finally:
            self._child = None
        if code != 0:
            return GputuiError(f"{what} failed with exit code {code}", "Try it by hand.")
        return None


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The program and all of its session that did not leave it."""
    if child.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_CLOSE_SECONDS)
