"""``[[power_limits]]`` that cannot be meant so, and ``gputui config check``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui import config
from gputui.config import PowerLimitConfig
from gputui.config.power_limits import check_power_limits, holds_at, window_words
from gputui.errors import ConfigError

FILE = Path("c.toml")
TABLE = '[[power_limits]]\ngpus = ["{}"]\nwatts = {}\nfrom = "{}"\nto = "{}"\n'
TIMES = st.builds(lambda m: f"{m // 60:02}:{m % 60:02}", st.integers(0, 1439))


def parse(*tables: tuple[str, float, str, str]) -> config.Config:
    return config.parse("".join(TABLE.format(*table) for table in tables).encode(), FILE)


def test_windows_that_overlap_for_one_gpu_are_an_error() -> None:
    with pytest.raises(ConfigError, match="overlap") as refused:
        parse(("5090", 300, "22:00", "07:00"), ("5090", 400, "06:59", "08:00"))
    assert refused.value.message == (
        "c.toml: [[power_limits]] number 1 (22:00 to 07:00) and number 2 (06:59 to 08:00) "
        'overlap for "5090"'
    )


def test_windows_that_meet_and_those_of_different_gpus_are_none() -> None:
    parse(("5090", 300, "22:00", "07:00"), ("5090", 400, "07:00", "22:00"))
    parse(("5090", 300, "22:00", "07:00"), ("PRO 6000", 400, "22:00", "07:00"))


def limits(begin: str, end: str) -> PowerLimitConfig:
    return PowerLimitConfig(gpus=("x",), watts=1, from_=begin, to=end)


@given(TIMES, TIMES, TIMES, TIMES)
def test_windows_overlap_where_a_minute_is_in_both(a: str, b: str, c: str, d: str) -> None:
    one, other = limits(a, b), limits(c, d)
    both = any(
        holds_at(one, m // 60, m % 60) and holds_at(other, m // 60, m % 60) for m in range(1440)
    )
    try:
        check_power_limits((one, other), FILE)
    except ConfigError:
        assert both
    else:
        assert not both


def test_windows_in_words() -> None:
    assert window_words(limits("22:00", "07:00")) == "22:00 to 07:00"
    assert window_words(limits("08:00", "08:00")) == "all day"


def check(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "c.toml"
    file.write_text('source = "simulated"\n' + text)
    command = [sys.executable, "-m", "gputui", "config", "check", "--config", str(file)]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)


def test_config_check_names_the_gpus_and_their_windows(tmp_path: Path) -> None:
    done = check(tmp_path, TABLE.format("5090", 450, "22:00", "07:00"))
    assert done.returncode == 0, done.stderr
    assert "GPU 1 (NVIDIA GeForce RTX 5090): ok, 450 W, 22:00 to 07:00" in done.stdout


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ((("5090", 450, "22:00", "07:00"), ("1", 500, "06:00", "08:00")), "overlap for GPU 1"),
        ((("4090", 450, "22:00", "07:00"),), '"4090" names no GPU'),
        ((("5090", 2, "22:00", "07:00"),), "takes"),
    ],
)
def test_config_check_finds_what_only_the_gpus_show(
    tmp_path: Path, tables: tuple[tuple[str, float, str, str], ...], words: str
) -> None:
    done = check(tmp_path, "".join(TABLE.format(*table) for table in tables))
    assert done.returncode == 2
    assert words in done.stderr
    assert "power_limits" in done.stderr
