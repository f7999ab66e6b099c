"""A program in a real terminal: a tmux server of its own, keys in, the screen out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_for

SETTINGS = """\
set -g remain-on-exit on
set -g status off
set -g escape-time 20
set -g default-terminal screen-256color
"""


class Tmux:
    """One program in one tmux; ``size`` in columns and rows. Stays on after the program ended."""

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        # A socket's path may hold 107 bytes only: no place for it below a test's own folder.
        self._folder = Path(tempfile.mkdtemp(prefix="gputui-tmux-"))
        settings = self._folder / "tmux.conf"
        settings.write_text(SETTINGS)
        self._base = ("tmux", "-u", "-S", str(self._folder / "socket"), "-f", str(settings))
        inherited = {key: value for key, value in os.environ.items() if key != "TMUX"}
        self._environment = inherited | {"LC_ALL": "C.UTF-8"} | dict(environment)
        columns, rows = (str(number) for number in size)
        self._tmux("new-session", "-d", "-x", columns, "-y", rows, *command)

    @property
    def pid(self) -> int:
        """The program's pid."""
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    @property
    def ended(self) -> bool:
        """Whether the program ended."""
        return self._tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    def screen(self) -> str:
        """What a person sees now."""
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: ``Enter``, ``Escape``, ``Right``, ``q``."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._tmux("send-keys", "-l", text)

    def until(self, condition: Callable[[str], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until the screen fulfils a condition; the AssertionError shows the screen."""
        try:
            wait_for(lambda: condition(self.screen()), what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.screen()}") from None

    def until_shown(self, *words: str) -> None:
        """Wait until one line holds all of these words."""
        self.until(
            lambda screen: any(all(word in line for word in words) for line in screen.splitlines()),
            f"{words} in one line",
        )

    def until_ended(self) -> str:
        """Wait for the program's end; everything that stands in the terminal after it, unwrapped."""
        wait_for(lambda: self.ended, "the program's end")
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def kill_server(self) -> None:
        """End tmux and with it the terminal, as a dropped connection or a closed tmux does."""
        subprocess.run([*self._base, "kill-server"], capture_output=True, check=False)

    def close(self) -> None:
        """End everything and leave no file."""
        self.kill_server()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._base, *arguments],
            env=self._environment,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"tmux {arguments[0]}: {done.stderr}"
        return done.stdout
