"""Names into endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from gputui.chat.endpoints import endpoint_of
from gputui.config import Config, parse
from gputui.errors import ConfigError, GputuiError

KEY = "sk-very-secret-4711"


def config(text: str = "") -> Config:
    base = """
[[instances]]
name = "coder"
model = "/models/Qwen2.5-Coder-32B.Q5_K_M.gguf"
port = 8081
[[endpoints]]
name = "lab"
url = "http://lab.invalid:8000/v1/"
model = "m"
api_key_env = "LAB_KEY"
"""
    return parse((base + text).encode(), Path("config.toml"))


def test_an_instance_is_its_own_endpoint() -> None:
    endpoint = endpoint_of(config(), "coder")
    assert endpoint.url == "http://127.0.0.1:8081/v1"
    assert endpoint.served_model == "Qwen2.5-Coder-32B.Q5_K_M"
    assert endpoint.model is None
    assert endpoint.api_key is None


def test_an_external_endpoint_has_its_key_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAB_KEY", f"{KEY}\n")
    endpoint = endpoint_of(config(), "lab")
    assert endpoint.url == "http://lab.invalid:8000/v1"
    assert endpoint.api_key is not None
    assert endpoint.api_key.reveal() == KEY
    assert KEY not in f"{endpoint} {endpoint!r}"


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_KEY", raising=False)
    with pytest.raises(ConfigError, match="LAB_KEY is not set"):
        endpoint_of(config(), "lab")


@pytest.mark.parametrize("value", [f"{KEY}\nX-Evil: 1", f"{KEY} x", f"{KEY}é", f"{KEY}\x1b"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("LAB_KEY", value)
    with pytest.raises(ConfigError, match="LAB_KEY") as caught:
        endpoint_of(config(), "lab")
    assert KEY not in str(caught.value)


def test_a_typing_error_gets_the_nearest_name() -> None:
    with pytest.raises(GputuiError) as caught:
        endpoint_of(config(), "codr")
    assert 'Did you mean "coder"?' in caught.value.hint


def test_an_unknown_name_is_shown_clean() -> None:
    with pytest.raises(GputuiError) as caught:
        endpoint_of(config(), "\x1b[31mzzz")
    assert "\x1b" not in str(caught.value)
    assert "coder, lab" in caught.value.hint


def test_nothing_configured() -> None:
    with pytest.raises(GputuiError, match="no instance") as caught:
        endpoint_of(Config(), "x")
    assert "gputui init" in caught.value.hint


def test_a_password_in_the_url_is_refused_unseen() -> None:
    text = '[[endpoints]]\nname = "pw"\nurl = "http://user:hunter2@h.invalid/v1"\n'
    with pytest.raises(ConfigError, match="pw") as caught:
        endpoint_of(config(text), "pw")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("form", ['"--api-key-file", "{}"', '"--api-key-file={}"'])
def test_an_instance_with_a_key_file_is_asked_with_its_key(tmp_path: Path, form: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\nother\n")
    text = f'[[instances]]\nname = "locked"\nmodel = "m"\nport = 1\nargs = [{form.format(file)}]\n'
    endpoint = endpoint_of(config(text), "locked")
    assert endpoint.api_key is not None
    assert endpoint.api_key.reveal() == KEY
    file.unlink()
    with pytest.raises(ConfigError, match="api-key-file"):
        endpoint_of(config(text), "locked")
