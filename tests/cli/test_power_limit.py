"""``gputui power-limit`` as a program, on the stand-in library."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pty_terminal import PtyTerminal
from tests.support.standin_nvml import StandinNvml

SET = "nvmlDeviceSetPowerManagementLimit"


@pytest.fixture
def standin(nvml_library: Path, tmp_path: Path) -> StandinNvml:
    return StandinNvml(nvml_library, tmp_path)


def environment(standin: StandinNvml) -> dict[str, str]:
    return os.environ | standin.environment(count_calls=True)


def power_limit(
    standin: StandinNvml, *arguments: str, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gputui", "power-limit", *arguments]
    return subprocess.run(
        command, env=environment(standin), capture_output=True, text=True, input=typed, check=False
    )


def sets(standin: StandinNvml) -> int:
    return sum(count for (name, _), count in standin.take_calls().items() if name == SET)


def test_the_table_of_all_and_of_one(standin: StandinNvml) -> None:
    done = power_limit(standin)
    assert done.returncode == 0, done.stderr
    heading, first, second = done.stdout.splitlines()
    assert re.split(r"  +", heading) == [
        *("GPU", "name", "limit W", "default W", "lowest W", "highest W")
    ]
    assert first.split()[0] == "0"
    assert second.split()[-4] == "600"
    alone = power_limit(standin, "5090")
    assert alone.stdout.splitlines()[1].split()[0] == "1"
    assert len(alone.stdout.splitlines()) == 2


def test_json_has_every_limit_with_its_unit_or_its_reason(standin: StandinNvml) -> None:
    done = power_limit(standin, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert list(document) == ["source", "problem", "gpus"]
    for gpu in document["gpus"]:
        assert list(gpu) == [
            *("index", "uuid", "name", "pci_bus_id", "power_limit_watts"),
            *("power_default_limit_watts", "power_min_limit_watts", "power_max_limit_watts"),
            "unavailable",
        ]
        unknown = [key for key, value in gpu.items() if value is None]
        assert set(gpu["unavailable"]) == set(unknown)
        assert gpu["power_limit_watts"] == 600


def test_json_of_no_driver_is_exit_1(standin: StandinNvml) -> None:
    standin.set({"error.nvmlInitWithFlags": 9})
    done = power_limit(standin, "--json")
    assert done.returncode == 1
    assert "not loaded" in json.loads(done.stdout)["problem"]["message"]
    plain = power_limit(standin)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert "not loaded" in plain.stderr


@pytest.mark.parametrize("selector", ["1", "5090", "21:00.0", "GPU-a0000001"])
def test_it_is_set_by_any_name_of_the_gpu(standin: StandinNvml, selector: str) -> None:
    done = power_limit(standin, selector, "450", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "GPU 1: power limit 600 → 450 W\n"


def test_watts_with_their_unit_and_the_default(standin: StandinNvml) -> None:
    assert power_limit(standin, "1", "450W", "--yes").returncode == 0
    done = power_limit(standin, "1", "default", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("→ 600 W\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("1", "601"), "150 to 600 W"),
        (("1", "149"), "out of its range"),
        (("1", "lots"), "Give watts"),
        (("1", "-450"), "-4"),
        (("1", "nan"), "Give watts"),
        (("7", "450"), "Known GPUs"),
        (("9", "450"), "Known GPUs"),  # no index, and no part of 5090 either
        (("RTX", "450"), "names 2 GPUs"),
        (("1", "450", "--json"), "does not go with WATTS"),
    ],
)
def test_wrong_usage_is_exit_2_and_sets_nothing(
    standin: StandinNvml, arguments: tuple[str, ...], words: str
) -> None:
    done = power_limit(standin, *arguments, "--yes")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sets(standin) == 0


def test_without_permission_it_prints_the_command_for_root(standin: StandinNvml) -> None:
    standin.set({f"error.{SET}": 4})
    done = power_limit(standin, "1", "450", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1] == "  sudo nvidia-smi -i 00000000:21:00.0 -pl 450"


def test_readonly_refuses_before_anything_is_asked(standin: StandinNvml) -> None:
    done = power_limit(standin, "1", "450", "--yes", "--readonly")
    assert done.returncode == 1
    assert "--readonly" in done.stderr
    assert not standin.take_calls()
    assert power_limit(standin, "--readonly").returncode == 0


def test_nobody_to_ask_is_wrong_usage(standin: StandinNvml) -> None:
    done = power_limit(standin, "1", "450", typed="y\n")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert sets(standin) == 0


@pytest.mark.parametrize(("answer", "code", "times"), [("y", 0, 1), ("n", 1, 0), ("", 1, 0)])
def test_it_asks_first(standin: StandinNvml, answer: str, code: int, times: int) -> None:
    command = [sys.executable, "-m", "gputui", "power-limit", "1", "450"]
    terminal = PtyTerminal(command, (100, 10), environment(standin) | {"TERM": "xterm"})
    try:
        terminal.until(lambda screen: "from 600 to 450 W?" in screen, "the question")
        terminal.type(f"{answer}\r")
        assert terminal.until_ended() == code
        assert sets(standin) == times
        assert ("600 → 450 W" in terminal.screen()) is (code == 0)
    finally:
        terminal.close()
