"""How ``gputui chat`` says how the sides are asked."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from gputui.cli.root import group
from gputui.errors import ConfigError
from tests.chat.raw_server import reply
from tests.chat.test_chat_command import configured, run, served
from tests.support.hostile import completion

TABLES = """
[chat]
system = "Begin."
temperature = 0.5
top_k = 3
[[presets]]
name = "coder"
temperature = 0.2
seed = 5
order = "one"
"""


def with_tables(tmp_path: Path, url: str) -> str:
    path = Path(configured(tmp_path, one=url))
    path.write_text(path.read_text() + TABLES)
    return str(path)


def test_the_file_a_preset_and_options_go_over_each_other(tmp_path: Path) -> None:
    with served(reply(completion("x"))) as server:
        config = with_tables(tmp_path, server.url)
        for options in ((), ("--preset", "Coder"), ("--preset", "coder", "--temperature", "1")):
            result = run(config, "--a", "one", *options, "--no-cache-prompt", "hi")
            assert result.exit_code == 0, result.output
    bodies = [request.body for request in server.requests]
    assert [body["temperature"] for body in bodies] == [0.5, 0.2, 1]
    assert [body.get("top_k") for body in bodies] == [3, None, None], "a preset replaces"
    assert [body["messages"][0]["role"] for body in bodies] == ["system", "user", "user"]
    assert [body["seed"] for body in bodies[1:]] == [5, 5]
    assert all(body["cache_prompt"] is False for body in bodies)


def test_one_after_the_other(tmp_path: Path) -> None:
    with served(reply(completion("x"))) as server:
        config = configured(tmp_path, one=server.url, two=server.url)
        result = run(config, "--a", "one", "--b", "two", "--order", "one", "hi")
    assert result.exit_code == 0
    assert len(server.requests) == 2


def test_wrong_values_are_wrong_usage_with_the_range(tmp_path: Path) -> None:
    config = configured(tmp_path, one="http://127.0.0.1:9")
    for options, words in (
        (("--top-p", "2"), "It takes 0 to 1"),
        (("--temperature", "nan"), "It takes 0 to 5"),
        (("--seed", "x"), "a whole number"),
        (("--order", "two"), "together"),
    ):
        result = run(config, "--a", "one", *options, "hi")
        assert result.exit_code == 2, result.output
        assert words in result.output.replace("\n", " ")
    unknown = run(config, "--a", "one", "--preset", "none", "hi").exception
    assert isinstance(unknown, ConfigError)
    assert "no preset none" in unknown.message


def test_config_check_shows_how_the_chat_begins(tmp_path: Path) -> None:
    config = with_tables(tmp_path, "http://127.0.0.1:9")
    arguments = ["--config", config, "--source", "simulated", "config", "check"]
    output = CliRunner().invoke(group, arguments).output
    assert "chat: system Begin., temperature 0.5, top_k 3\n" in output
    assert "preset coder: temperature 0.2, seed 5, order one\n" in output
