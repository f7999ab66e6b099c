"""The last boundary: whatever goes wrong, a user reads words, and the details are in a private file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from gputui import __version__

FAILING = """
import gputui.cli.dashboard as dashboard
def broken(options):
    raise RuntimeError("boom \\x1b[31m")
dashboard.run_dashboard = broken
from gputui.cli import main
main()
"""


def gputui(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gputui", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_fault_of_our_own_is_told_in_words_and_its_traceback_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, text=True, check=False
    )
    crash = Path(os.environ["GPUTUI_STATE"]) / "crash.txt"
    assert done.returncode == 1
    assert "gputui itself failed: RuntimeError: boom" in done.stderr
    assert str(crash) in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" in crash.read_text()
    assert stat.S_IMODE(crash.stat().st_mode) == 0o600


def test_where_the_details_cannot_be_kept_it_says_so() -> None:
    state = Path(os.environ["GPUTUI_STATE"])
    state.parent.mkdir(parents=True)
    state.write_text("a file in the place of the directory")
    done = subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: boom" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_is_exit_code_2_and_the_nearest_is_offered() -> None:
    for arguments in (
        ("nope",),
        ("gpus", "--jsn"),
        ("start",),
        ("--config", "/none.toml", "status"),
    ):
        done = gputui(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_options_hold_before_and_after_the_command() -> None:
    for arguments in (("--source", "simulated", "gpus"), ("gpus", "--source", "simulated")):
        assert "SIMULATED" in gputui(*arguments).stdout


def test_help_names_every_command_and_loads_none_of_them() -> None:
    done = gputui("--help")
    for command in (
        "demo",
        "init",
        "gpus",
        "record",
        "power-limit",
        "status",
        "start",
        "stop",
        "restart",
        "logs",
        "chat",
        "config",
    ):
        assert f"  {command} " in done.stdout
    assert __version__ in gputui("--version").stdout
