"""No secret of a command line or an environment is shown."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.redaction import HIDDEN, is_secret, redact_arguments, redact_variable

VALUES = st.text(string.ascii_letters + string.digits + "+/_", min_size=9, max_size=40).map(
    lambda text: f"zq{text}"
)
FLAGS = (
    *("--api-key", "--token", "--hf-token", "-hft", "--secret", "--password", "--aws_secret_key"),
    *("--access.token", "--db-pass", "--credentials", "-key", "--Authorization"),
)
VARIABLES = (
    *("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MYSQL_PWD"),
    *("GOOGLE_CREDENTIALS", "SESSION_COOKIE", "PGPASSWORD", "GITHUB_PAT", "SENTRY_DSN", "my_token"),
)


@given(flag=st.sampled_from(FLAGS), value=VALUES)
def test_the_value_of_a_flag_that_takes_a_secret(flag: str, value: str) -> None:
    for arguments in (
        ["serve", flag, value, "--port", "80"],
        ["serve", f"{flag}={value}", "--port", "80"],
        ["sh", "-c", f"exec serve {flag} {value} --port 80"],
        ["sh", "-c", f"exec serve {flag}={value} --port 80"],
    ):
        shown = " ".join(redact_arguments(arguments))
        assert value not in shown
        assert HIDDEN in shown
        assert flag in shown
        assert "serve" in shown
        assert "--port 80" in shown, "the rest stays"


@given(variable=st.sampled_from(VARIABLES), value=VALUES)
def test_assignments_and_variables(variable: str, value: str) -> None:
    assert is_secret(variable)
    assert redact_variable(variable, value) == HIDDEN
    for arguments in (
        ["env", f"{variable.upper()}={value}", "serve"],
        ["docker", "run", "-e", f"{variable.upper()}={value}", "image"],
        ["sh", "-c", f"{variable.upper()}={value} serve"],
    ):
        assert value not in " ".join(redact_arguments(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["curl", "-H", "Authorization: Bearer zq12345678"],
        ["curl", "-H", "X-Api-Key: zq12345678"],
        ["curl", "--header", "authorization: Basic zq12345678"],
        ["curl", "Authorization: zq12345678"],
        ["git", "clone", "https://alice:zq12345678@example.org/a.git"],
        ["psql", "postgresql://alice:zq12345678@db/x"],
        ["serve", "sk-zq1234567890abc"],
        ["serve", "--key-value", "hf_zq1234567890abc"],
        ["sh", "-c", "curl -H 'Authorization: Bearer zq12345678' http://h"],
    ],
)
def test_secrets_by_their_form(arguments: list[str]) -> None:
    shown = " ".join(redact_arguments(arguments))
    assert "zq1" not in shown
    assert HIDDEN in shown


HARMLESS = (
    ["llama-server", "-m", "/models/a.gguf", "--port", "8080", "--api-key-file", "/etc/key"],
    ["python", "-m", "vllm", "--max-tokens", "512", "--tokenizer", "meta/llama", "--seed=3"],
    ["serve", "--cache-type-k", "q8_0", "--ctx-size", "32768", "-ngl", "99"],
    ["sh", "-c", "while true; do nvidia-smi; sleep 1; done"],
    ["Xorg", ":0", "-auth-nothing", "vt1"],
    ["python", "a b", "", "x=y", "--", "-"],
    ["ssh", "alice@host", "http://host:80/path?q=1"],
)


@pytest.mark.parametrize("arguments", HARMLESS, ids=lambda a: a[0])
def test_what_is_no_secret_stays(arguments: list[str]) -> None:
    assert redact_arguments(arguments) == arguments


@pytest.mark.parametrize("name", ["PATH", "HOME", "PWD", "OLDPWD", "CUDA_VISIBLE_DEVICES", "LANG"])
def test_variables_that_are_no_secret_stay(name: str) -> None:
    assert redact_variable(name, "value") == "value"


def test_a_flag_after_a_flag_is_no_secret() -> None:
    assert redact_arguments(["a", "--token", "--port", "80"]) == ["a", "--token", "--port", "80"]


def test_an_url_with_a_password_in_a_variable() -> None:
    assert redact_variable("URL", "http://u:pw@h/x") == f"http://{HIDDEN}@h/x"
    assert redact_variable("EMPTY_TOKEN", "") == ""


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_arguments(arguments: list[str]) -> None:
    assert len(redact_arguments(arguments)) == len(arguments)
