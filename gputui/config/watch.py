"""The user's file watched: what it holds once it has stopped changing, as a configuration or as words.

Editors write a file in many ways: in place and in parts, as another file put in its place, deleted and
made anew, or behind a link that is pointed elsewhere. So a content counts once two looks in a row have
found it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gputui.config import user_file
from gputui.config.load import parse
from gputui.config.tables import Config
from gputui.errors import ConfigError

LOOK_SECONDS, SETTLING_SECONDS = 1.0, 0.3
"""Between two looks, and between the one that finds a change and the one that confirms it."""

_COARSE_SECONDS = 3.0
"""A file that was changed so lately may change again within the clock of its file system."""

_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the file holds now: a valid configuration, or what is wrong with it.

    ``content`` is None where the file cannot be read.
    """

    content: bytes | None
    config: Config | None
    problem: ConfigError | None = None


class FileWatch:
    """Looks at one file. ``check`` raises ConfigError for what only other rooms know to be wrong.

    ``content`` is what the configuration in force was read from, None where there was no file. ``look``
    blocks for a moment; any thread may call it.
    """

    def __init__(
        self,
        file: Path,
        content: bytes | None,
        check: Callable[[Config], object] = lambda config: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.file = file
        self._check = check
        self._clock = clock
        self._lock = threading.Lock()
        self._told: bytes | ConfigError | None = content
        self._waiting: bytes | ConfigError | None = content
        self._stamp: _Stamp | None = None

    @property
    def unsettled(self) -> bool:
        """Whether the file changed at the last look, and a second one is to say whether that was all."""
        return not self._same(self._waiting, self._told)

    def look(self, *, settled: bool = False) -> Seen | None:
        """What is new since the last time, None where nothing is. ``settled``: no second look is needed."""
        with self._lock:
            stamp = self._stamp_now()
            quiet = stamp is not None and stamp == self._stamp and self._is_old(stamp)
            if quiet and self._same(self._waiting, self._told):
                return None
            self._stamp = stamp
            found = self._read()
            again, self._waiting = self._same(found, self._waiting), found
            if self._same(found, self._told) or not (again or settled):
                return None
            self._told = found
            return self._judge(found)

    def _judge(self, found: bytes | ConfigError | None) -> Seen:
        if found is None:
            gone = ConfigError(
                f"{self.file}: is gone", "The configuration of before stays in force."
            )
            return Seen(None, None, gone)
        if isinstance(found, ConfigError):
            return Seen(None, None, found)
        try:
            config = parse(found, self.file)
            self._check(config)
        except ConfigError as error:
            return Seen(found, None, error)
        return Seen(found, config)

    def _read(self) -> bytes | ConfigError | None:
        try:
            return user_file.read(self.file)
        except ConfigError as error:
            return error

    def _stamp_now(self) -> _Stamp | None:
        """Changes with the file, and with the file that a link leads to."""
        try:
            facts = self.file.stat()
        except OSError:
            return None
        return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)

    def _is_old(self, stamp: _Stamp) -> bool:
        return abs(self._clock() - max(stamp[3:]) / 1e9) > _COARSE_SECONDS

    @staticmethod
    def _same(one: bytes | ConfigError | None, other: bytes | ConfigError | None) -> bool:
        if isinstance(one, ConfigError) and isinstance(other, ConfigError):
            return str(one) == str(other)
        return one == other
