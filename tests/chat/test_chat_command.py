"""``gputui chat`` as a user runs it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gputui.chat.keeping.store import Store
from gputui.cli.root import group
from gputui.config import state_dir
from gputui.errors import GputuiError
from tests.chat.raw_server import RawServer, Responder, break_off, reply, serve
from tests.support.hostile import assert_clean, completion


@contextmanager
def served(*responders: Responder) -> Iterator[RawServer]:
    """A server on a thread of its own: the command has an event loop of its own."""
    ready: list[RawServer] = []
    up, down = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(*responders) as server:
            ready.append(server)
            up.set()
            await down.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert up.wait(60)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join(60)
        loop.close()


def configured(tmp_path: Path, **urls: str) -> str:
    """A configuration of endpoints; its path."""
    tables = [f'[[endpoints]]\nname = "{name}"\nurl = "{url}/v1"\n' for name, url in urls.items()]
    path = tmp_path / "config.toml"
    path.write_text("".join(tables))
    return str(path)


def run(config: str, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, ["--config", config, "chat", *arguments], input=stdin)


def test_one_side_writes_its_text_alone_to_stdout(tmp_path: Path) -> None:
    with served(reply(completion("Hello ", "\x1b[31mthere\x1b[0m"))) as server:
        result = run(configured(tmp_path, one=server.url), "--a", "one", "hi")
    assert result.exit_code == 0
    assert result.stdout == "Hello there\n"
    assert "TTFT" in result.stderr
    assert "(client)" in result.stderr


def test_two_sides_are_blocks_and_a_failed_one_is_exit_code_1(tmp_path: Path) -> None:
    with served(reply(completion("fine"))) as good, served(break_off) as bad:
        config = configured(tmp_path, good=good.url, bad=bad.url)
        result = run(config, "--a", "good", "--b", "bad", "hi")
    assert result.exit_code == 1
    assert "── A  good" in result.stdout
    assert "fine" in result.stdout
    assert "half an" in result.stdout
    assert "bad: the server closed the connection" in result.stderr
    assert_clean(result.stdout)


def test_json_has_the_documented_shape(tmp_path: Path) -> None:
    with served(reply(completion("x"))) as a, served(break_off) as b:
        config = configured(tmp_path, a1=a.url, b1=b.url)
        result = run(config, "--a", "a1", "--b", "b1", "--json", "hi")
    assert result.exit_code == 1
    shape = json.loads(result.stdout)
    assert list(shape) == ["prompt", "answers"]
    assert [answer["side"] for answer in shape["answers"]] == ["A", "B"]
    assert list(shape["answers"][0]) == [
        *("side", "name", "model", "text", "reasoning", "finish_reason"),
        *("prompt_tokens", "completion_tokens", "reasoning_tokens"),
        *("ttft_seconds", "ttfo_seconds", "elapsed_seconds"),
        *("prompt_tokens_per_second", "generation_tokens_per_second", "measured_by"),
        *("error", "hint", "settings", "left_out", "dropped"),
    ]
    assert shape["answers"][0]["text"] == "x"
    assert shape["answers"][0]["error"] is None
    assert "closed" in shape["answers"][1]["error"]


def test_sampling_system_and_standard_input_reach_the_server(tmp_path: Path) -> None:
    options = ("--temperature", "0", "--seed", "7", "--max-tokens", "5", "--system", "be brief")
    with served(reply(completion("x"))) as server:
        config = configured(tmp_path, one=server.url)
        for arguments in ((), ("-",)):
            assert run(config, "--a", "one", *options, *arguments, stdin="hi\n").exit_code == 0
    for request in server.requests:
        assert request.body["temperature"] == 0
        assert request.body["seed"] == 7
        assert request.body["max_tokens"] == 5
        assert request.body["messages"] == [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ]


def test_turns_are_kept(tmp_path: Path) -> None:
    with served(reply(completion("kept"))) as server:
        assert run(configured(tmp_path, one=server.url), "--a", "one", "hi").exit_code == 0
    store = Store(state_dir() / "gputui.db")
    (turn,) = store.turns(store.conversations()[0])
    store.close()
    assert turn.answers["A"].text == "kept"


def test_a_database_that_cannot_be_written_is_only_a_warning(tmp_path: Path) -> None:
    state_dir().mkdir(parents=True)
    (state_dir() / "gputui.db").write_bytes(b"no database " * 100)
    with served(reply(completion("said"))) as server:
        result = run(configured(tmp_path, one=server.url), "--a", "one", "hi")
    assert result.exit_code == 0
    assert result.stdout == "said\n"
    assert "not a database" in result.stderr


@pytest.mark.parametrize("arguments", [("--a", "one", " "), ("hi",), ("--a", "one", "--seed", "x")])
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(configured(tmp_path, one="http://127.0.0.1:9"), *arguments).exit_code == 2


def test_a_typing_error_in_the_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    result = run(configured(tmp_path, coder="http://127.0.0.1:9"), "--a", "codr", "hi")
    assert isinstance(result.exception, GputuiError)
    assert "coder" in result.exception.hint
