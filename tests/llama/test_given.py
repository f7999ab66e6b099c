"""What a running server's command line says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gputui.llama.given import may_wake, role_of, value_of


@pytest.mark.parametrize(
    ("argv", "environment", "may"),
    [
        (["llama-server", "--metrics"], None, True),
        (["llama-server"], {"LLAMA_ARG_N_PARALLEL": "2"}, True),
        (["llama-server", "--sleep-idle-seconds", "60"], None, False),
        (["llama-server", "--sleep-idle-seconds=60"], {}, False),
        (["llama-server", "--sleep_idle_seconds", "60"], {}, False),
        (["llama-server"], {"LLAMA_ARG_SLEEP_IDLE_SECONDS": "60"}, False),
    ],
)
def test_a_server_that_sleeps_is_not_woken(
    argv: Sequence[str], environment: Mapping[str, str] | None, may: bool
) -> None:
    assert may_wake(argv, environment) is may


def test_roles_and_values() -> None:
    assert role_of(["llama-server", "--embeddings"]) == "embedding"
    assert role_of(["llama-server", "--reranking"]) == "rerank"
    assert role_of(["llama-server", "-m", "embeddings.gguf"]) == "chat"
    assert value_of(["s", "--port", "1", "--port=2"], "--port") == "2"
    assert value_of(["s", "--port"], "--port") == ""
    assert value_of(["s", "--ports", "1"], "--port") == ""
