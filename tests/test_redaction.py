"""No secret of a command line or an environment is shown."""

from __future__ import annotations

import string
import time

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


WORDS = st.text(string.ascii_letters + string.digits + "+/_@:.&;=, -", max_size=12).map(
    lambda text: f"zq1{text}zq2"
)
IN_ARGUMENTS = (
    ("docker", "run", "--env=WANDB_API_KEY={}", "image"),
    ("curl", "--header=X-API-Key: {}", "http://h"),
    ("serve", "--key={}"),
    ("serve", "--api-key", "{}"),
    ("python", "s.py", "--config", '{{"api_key": "{}"}}'),
    ("python", "s.py", "--config", '{{"model":"m","apiKey":"{}"}}'),
    ("sh", "-c", 'API_KEY="{}"'),
    ("sh", "-c", "export A=1 API_KEY='{}'; serve"),
    ("sh", "-c", "serve --api-key '{}' --port 80"),
    ("sh", "-c", 'curl -H "Authorization: Basic {}" http://h'),
    ("sh", "-c", "curl -H 'X-Api-Key: {}' http://h"),
    ("sh", "-c", "curl -u 'bob:{}' http://h"),
    ("sh", "-c", 'curl -d \'{{"password": "{}"}}\' http://h'),
    ("curl", "-u", "bob:{}", "http://h"),
    ("curl", "-ubob:{}", "http://h"),
    ("curl", "-sSu", "bob:{}", "http://h"),
    ("/usr/bin/sshpass", "-p", "{}", "ssh", "h"),
    ("redis-cli", "-h", "h", "-a", "{}"),
    ("mysql", "-p{}"),
    ("serve", "Server=h;Password='{}';"),
)


@pytest.mark.parametrize("form", IN_ARGUMENTS, ids=" ".join)
@given(value=WORDS)
def test_a_secret_of_several_words_is_hidden_whole(form: tuple[str, ...], value: str) -> None:
    shown = " ".join(redact_arguments([part.format(value) for part in form]))
    assert "zq1" not in shown
    assert "zq2" not in shown
    assert form[0] in shown


@given(name=st.sampled_from(("token", "sig", "api_key", "X-Amz-Signature")), value=VALUES)
def test_the_query_of_an_url(name: str, value: str) -> None:
    for arguments in (
        ["a", f"https://h/x?y=1&{name}={value}"],
        ["sh", "-c", f"a h/?{name}={value} b"],
    ):
        shown = " ".join(redact_arguments(arguments))
        assert value not in shown
        assert "h/" in shown


@given(st.text(string.ascii_letters + "@:+_.-", max_size=12).map(lambda text: f"zq1{text}zq2"))
def test_the_password_of_an_url_ends_at_the_last_at(password: str) -> None:
    url = f"postgres://alice:{password}@db.example/x"
    assert redact_arguments(["a", url]) == ["a", f"postgres://{HIDDEN}@db.example/x"]
    assert redact_variable("DATABASE_URL", url) == f"postgres://{HIDDEN}@db.example/x"


@pytest.mark.parametrize(
    "name", ["AZURE_STORAGE_CONNECTION_STRING", "SLACK_WEBHOOK_URL", "BLOB_SAS", "SAS_TOKEN"]
)
def test_more_variables(name: str) -> None:
    assert redact_variable(name, "x") == HIDDEN


@given(st.text("\"'\\ =:-ak@/?{}[]\n", max_size=60))
def test_quotes_that_do_not_match_break_nothing(text: str) -> None:
    redact_arguments(["sh", "-c", text])
    assert "zq1" not in redact_arguments(["sh", "-c", f"don't --api-key zq1 {text}"])[2]


@pytest.mark.parametrize("text", ["key", "://", "://a:b", "a=", "'\"", '"key', "key ", "eyJ"])
def test_a_long_command_line_takes_no_time(text: str) -> None:
    before = time.process_time()
    redact_arguments(["sh", "-c", "a " + text * (32_000 // len(text))])
    assert time.process_time() - before < 1, "what grows with the square takes several seconds"


LLAMA_SERVER = (
    "llama-server --model /models/a-key/b.gguf --host 0.0.0.0 --port 8080 --ctx-size 32768 -ngl 99 "
    "--cache-type-k q8_0 --cache-type-v q8_0 --keep 5 --n-predict 128 --tokens 5 --max-tokens 128 "
    "--alias deepseek:r1 --tensor-split 1,1 --override-kv tokenizer.ggml.add_bos_token=bool:false "
    '--chat-template-kwargs {"max_tokens":5} --api-key-file /etc/key --ssl-key-file /etc/ssl'
)


def test_the_command_line_of_a_llama_server_stays_readable() -> None:
    kept = [word for word in LLAMA_SERVER.split() if "add_bos_token" not in word]
    assert redact_arguments(kept) == kept
    assert redact_arguments(["sh", "-c", " ".join(kept)])[2] == " ".join(kept)


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
