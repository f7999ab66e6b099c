"""``gputui chat`` to more than two: whom it asks, how many at a time, what it prints."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from gputui.chat.model import Answer, Figure, Measurement
from gputui.cli.chat_many import summary
from gputui.errors import GputuiError
from tests.chat.raw_server import RawServer, Request, break_off, reply
from tests.chat.test_chat_command import configured, run, served
from tests.support.hostile import completion

NAMES = ("one", "two", "three", "four")


def several(stack: ExitStack, tmp_path: Path) -> tuple[str, dict[str, RawServer]]:
    """A configuration of four models, each of which says its name; the last one fails."""
    servers = {name: stack.enter_context(served(reply(completion(name)))) for name in NAMES[:-1]}
    servers["four"] = stack.enter_context(served(break_off))
    return configured(tmp_path, **{name: one.url for name, one in servers.items()}), servers


def test_to_asks_each_once_and_the_shape_stays(tmp_path: Path) -> None:
    with ExitStack() as stack:
        config, servers = several(stack, tmp_path)
        result = run(
            config, "--to", "three", "--to", "one", "--to", "two", "--at-once", "1", "--json", "hi"
        )
    assert result.exit_code == 0
    answers = json.loads(result.stdout)["answers"]
    assert [(one["side"], one["text"]) for one in answers] == [
        ("A", "three"),
        ("B", "one"),
        ("C", "two"),
    ]
    seeds = {server.requests[0].body["seed"] for server in servers.values() if server.requests}
    assert len(seeds) == 1, "all are asked alike"
    assert servers["four"].requests == []


def test_all_asks_every_one_and_a_failed_one_is_exit_code_1(tmp_path: Path) -> None:
    with ExitStack() as stack:
        config, _ = several(stack, tmp_path)
        result = run(config, "--all", "hi")
    assert result.exit_code == 1
    for side, name in zip("ABCD", NAMES, strict=True):
        assert f"── {side}  {name}" in result.stdout
    assert "four: the server closed the connection" in result.stderr


def test_at_once_is_how_many_are_asked_at_a_time(tmp_path: Path) -> None:
    now, most = 0, 0

    async def count(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        await reply(completion("x"))(_, writer)

    with served(count) as server:
        config = configured(tmp_path, **dict.fromkeys(NAMES, server.url))
        assert run(config, "--all", "--at-once", "2", "hi").exit_code == 0
    assert most == 2


@pytest.mark.parametrize(
    "whom",
    [
        (),
        ("--b", "one"),
        ("--a", "one", "--to", "two"),
        ("--to", "one", "--all"),
        ("--all", "--at-once", "0"),
    ],
)
def test_whom_to_ask_is_said_in_one_way(tmp_path: Path, whom: tuple[str, ...]) -> None:
    result = run(configured(tmp_path, one="http://127.0.0.1:9"), *whom, "hi")
    assert result.exit_code == 2


def test_more_than_eight_are_too_many(tmp_path: Path) -> None:
    names = {f"m{number}": "http://127.0.0.1:9" for number in range(9)}
    result = run(configured(tmp_path, **names), "--all", "hi")
    assert isinstance(result.exception, GputuiError)
    assert "9 models" in result.exception.message


def test_the_table_marks_what_our_clock_measured_and_fits() -> None:
    numbers = Measurement(
        ttft_seconds=0.25,
        elapsed_seconds=3.0,
        completion_tokens=Figure(42, "client"),
        generation_tokens_per_second=Figure(14.25, "server"),
    )
    answers = [
        Answer(
            "A", "a-long-name-of-a-model", "model", "x", finish_reason="stop", measurement=numbers
        ),
        Answer("B", "b", "m", "", error="gone"),
        Answer("C", "c", "m", "", finish_reason="stopped"),
    ]
    lines = summary(answers, 80)
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[:4]] == ["side", "A", "B", "C"]
    assert lines[1].split()[-1] == "stop"
    assert "~42" in lines[1]
    assert "failed" in lines[2]
    assert "stopped" in lines[3]
    assert lines[4].startswith("~ ")
    assert max(map(len, summary(answers, 40)[:-1])) <= 40
    assert summary(answers[1:], 80)[-1].split()[0] == "C", "nothing is marked, nothing explained"
