"""Alerts in gputui config check and init, and how the program composes its watch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gputui.alerts.rules import BUILT_IN, rules_of
from gputui.cli.compose import Options, make_alerts
from gputui.cli.dashboard import make_services
from gputui.cli.init import render
from gputui.cli.root import group
from gputui.config import Config, parse
from gputui.errors import ConfigError
from gputui.gpu.simulated import SIMULATED_GPUS


def check(tmp_path: Path, text: str) -> Result:
    file = tmp_path / "config.toml"
    file.write_text(f'{text}\nsource = "simulated"\n' if "[" not in text else text)
    return CliRunner().invoke(
        group, ["--source", "simulated", "--config", str(file), "config", "check"]
    )


def said(result: Result) -> str:
    return result.output + (f"{result.exception}" if result.exception else "")


def test_config_check_counts_the_rules_and_lists_those_that_the_file_changes(
    tmp_path: Path,
) -> None:
    result = check(
        tmp_path,
        '[[alerts]]\nname = "memory"\nenabled = false\n'
        '[[alerts]]\nname = "temperature"\nthreshold = 80\ngpus = ["5090"]\n',
    )
    assert result.exit_code == 0, said(result)
    assert f"alerts: {len(BUILT_IN) - 1} rules in force\n" in result.output
    assert "  temperature: temperature_gpu > 80 °C for 30 s, warning, GPU 1\n" in result.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[alerts]]\nname = "x"\nmetric = "fan"\ncomparison = ">"\nthreshold = 1', '"fan"'),
        ('[[alerts]]\nname = "memory"\ngpus = ["4090"]', '"4090" names no GPU'),
        ('[[alerts]]\nname = "queue"\ninstances = ["x"]', 'no instance is named "x"'),
        ('[[alerts]]\nname = "queue"\nseverity = "high"', "severity"),
        ('[[alerts]]\nname = "queue"\nfor = "10 min"', "for"),
        ('on_alert = ["x", "{massage}"]', '"{massage}"'),
    ],
)
def test_config_check_finds_what_is_wrong_with_the_alerts(
    text: str, words: str, tmp_path: Path
) -> None:
    result = check(tmp_path, text)
    assert words in said(result)
    assert "config.toml" in said(result)
    assert result.exit_code == 2 or isinstance(result.exception, ConfigError)


def test_what_init_says_of_alerts_limits_and_targets_is_valid(tmp_path: Path) -> None:
    text = render(SIMULATED_GPUS[:1], [tmp_path / "m.gguf"])
    text = re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.M)
    config = parse(text.encode(), tmp_path / "config.toml")
    rules = {rule.name: rule for rule in rules_of(config)}
    assert (rules["temperature"].threshold, rules["loud"].for_seconds) == (80, 300)
    assert config.instances[0].targets.ttft_seconds == 2
    assert "{message}" in config.on_alert
    assert [limit.watts for limit in config.power_limits] == [400]


def test_a_trace_raises_alerts_that_are_kept_nowhere(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    assert make_alerts(Options(source=str(trace)), Config()).keeps is False
    assert make_alerts(Options(source="simulated"), Config()).keeps is True
    assert make_alerts(Options(), Config(source=str(trace))).keeps is False


def test_wrong_rules_leave_the_built_in_ones_in_force_and_are_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[alerts]]\nname = "memroy"\n')
    services = make_services(Options(config_file=file, source="simulated"))
    services.conversation.sides["A"].stop()
    assert services.alerts is not None
    assert services.alerts in services.watchers
    assert services.config_error is not None
    assert 'Did you mean "memory"?' in services.config_error.hint
