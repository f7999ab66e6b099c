"""Requests counted from a server's log: the wordings are those of build 10068, as it wrote them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.instances.records import Record
from gputui.instances.status import State, status_json
from gputui.llama import requests
from gputui.llama.requests import RequestCounts, RequestLog, RequestLogs
from gputui.llama.wire import Slot
from tests.instances.conftest import Rig, started, status_of

GREETING = "0.00.563.178 I srv  llama_server: listening on http://127.0.0.1:8080\n"
SERVED = """\
0.07.716.617 I slot launch_slot_: id  3 | task 1 | processing task, is_child = 0
0.08.015.106 I slot print_timing: id  3 | task 1 | prompt eval time =     238.19 ms /    31 tokens
0.08.015.332 I slot      release: id  3 | task 1 | stop processing: n_tokens = 35, truncated = 0
"""
BAD_JSON = (
    '0.08.025.772 W srv    operator(): got exception: {"error":{"code":500,"message":'
    '"[json.exception.parse_error.101] parse error","type":"server_error"}}\n'
)
WRONG_TYPE = BAD_JSON.replace("500", "400").replace("server_error", "invalid_request_error")
TOO_LONG = """\
0.08.063.523 I slot launch_slot_: id  2 | task 7 | processing task, is_child = 0
0.08.064.191 E srv    send_error: task id = 7, error: request (6031 tokens) exceeds the available \
context size (4096 tokens), try increasing it
0.08.064.220 I slot      release: id  2 | task 7 | stop processing: n_tokens = 0, truncated = 0
0.08.064.230 W srv          stop: cancel task, id_task = 7
"""
BAD_GRAMMAR = """\
parse: error parsing grammar: expecting ')' at

root ::= (
0.08.075.142 E failed to parse grammar
0.08.075.211 E srv    send_error: task id = 10, error: Failed to initialize samplers: failed to parse grammar
0.08.075.223 E srv  process_sing: failed to launch slot with task, id_task = 10
"""
COMPUTE = TOO_LONG.replace(
    "request (6031 tokens) exceeds the available context size", "Compute error."
)
CHILDREN = "".join(
    f"0.09 I slot launch_slot_: id  {n} | task {20 + n} | processing task, is_child = {int(n > 0)}\n"
    for n in range(3)
)
OLD_BUILD = "main: server is listening on http://127.0.0.1:8080 - starting the main loop\n"
OLD_SERVED = """\
slot launch_slot_: id  0 | task 0 | processing task
slot      release: id  0 | task 0 | stop processing: n_past = 9, truncated = 0
"""


@pytest.mark.parametrize(
    ("text", "total", "failed"),
    [
        ("", 0, 0),
        (SERVED, 1, 0),
        (BAD_JSON, 1, 1),
        (WRONG_TYPE, 1, 0),
        (TOO_LONG, 1, 0),
        (BAD_GRAMMAR, 1, 0),
        (COMPUTE, 1, 1),
        (CHILDREN, 1, 0),
        (OLD_BUILD + OLD_SERVED + OLD_SERVED, 2, 0),
        (SERVED + BAD_JSON + TOO_LONG + BAD_GRAMMAR + COMPUTE, 5, 2),
        ("0.1 W srv operator(): got another exception: x | while handling exception: y\n", 1, 1),
        ("user wrote: got exception: {}\n x slot a: id 1 | task 1 | processing task\n", 0, 0),
    ],
)
def test_what_the_log_says_is_counted(text: str, total: int, failed: int, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(GREETING + text)
    assert RequestLog(log).read() == RequestCounts(total, failed)


@given(st.lists(st.integers(1, 400), max_size=30))
def test_a_log_that_grows_by_any_pieces_counts_the_same(cuts: list[int]) -> None:
    whole = (GREETING + (SERVED + BAD_JSON + COMPUTE) * 3).encode()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "x.log"
        counted = RequestLog(log)
        with log.open("ab", buffering=0) as file:
            at = 0
            for cut in (*cuts, len(whole)):
                file.write(whole[at : at + cut])
                at += cut
                counted.read()
        assert counted.read() == RequestCounts(9, 6)


def test_a_log_that_says_less_says_nothing_of_requests(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    counted = RequestLog(log)
    assert counted.read() is None, "there is none yet"
    log.write_text(TOO_LONG.splitlines()[1] + "\n")  # --verbosity 1: errors alone
    assert counted.read() is None


def test_a_long_log_is_read_in_steps_and_known_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "READ_AT_ONCE", 5000)
    log = tmp_path / "x.log"
    log.write_text(GREETING + SERVED * 50 + "x" * 20_000 + "\n" + BAD_JSON)
    counted = RequestLog(log)
    looks = [counted.read() for _ in range(12)]
    assert looks[0] is None
    assert looks[-1] == RequestCounts(51, 1)


def test_a_log_that_is_emptied_under_the_server_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(GREETING + SERVED * 3)
    counted = RequestLog(log)
    assert counted.read() == RequestCounts(3, 0)
    log.write_text(SERVED)
    assert counted.read() == RequestCounts(4, 0)


async def test_a_running_instance_has_its_requests_in_its_metrics(rig: Rig) -> None:
    rig.add("a", {"load_log": GREETING + SERVED + BAD_JSON})
    session = rig.session()
    status = await started(session, "a")
    assert (status.metrics.requests_total, status.metrics.requests_failed) == (2, 1)
    log = rig.state / "logs" / "a.log"
    with log.open("a") as file:
        file.write(SERVED)
    again = await status_of(session, "a")
    assert (again.metrics.requests_total, again.metrics.requests_failed) == (3, 1)
    shown = json.loads(json.dumps(status_json((again,))))["instances"][0]["metrics"]
    assert (shown["requests_total"], shown["requests_failed"]) == (3, 1)
    await session.restart("a")
    assert (await session.wait("a", 60)).state is State.READY
    assert (await status_of(session, "a")).metrics.requests_total == 2, "a new process, a new log"


def test_logs_of_processes_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(GREETING + SERVED)
    record = Record(
        name="a", pid=1, start_ticks=2, boot_id="b", executable="x", argv=(), host="h", port=1,
        model="m", log=str(log), started_at=0.0,
    )  # fmt: skip
    logs = RequestLogs()
    assert logs.read([record]) == {"a": RequestCounts(1, 0)}
    assert logs.read([]) == {}
    log.write_text(GREETING)
    assert logs.read([record]) == {"a": RequestCounts(0, 0)}


def test_how_far_a_prompt_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = "0.04.384.493 I slot print_timing: id  0 | task {} | {}\n"
    progress = "prompt processing, n_tokens =    192, progress = {}, t =   3.06 s / 62.75 tokens"
    begun = "processing task, is_child = 0"
    log.write_text(
        line.format(1, begun) + line.format(2, begun) + line.format(9, progress.format(0.5))
    )
    read = RequestLog(log)
    assert counted(read) == {}
    steps = [
        (line.format(1, progress.format("0.08")), {1: 0.08}),
        (line.format(2, progress.format("0.50")), {1: 0.08, 2: 0.5}),
        (line.format(1, progress.format("1.00")), {1: 1.0, 2: 0.5}),
        (line.format(1, "stop processing: n_tokens = 11"), {2: 0.5}),
        (line.format(2, "stop processing: n_tokens = 11"), {}),
    ]
    for words, known in steps:
        with log.open("a") as file:
            file.write(words)
        assert counted(read) == known


def counted(log: RequestLog) -> Mapping[int, float]:
    counts = log.read()
    assert counts is not None
    return counts.prompts


@pytest.mark.parametrize(
    ("slot", "reading", "share"),
    [
        (
            Slot(is_processing=True, n_prompt_tokens=4096, n_prompt_tokens_processed=1024),
            True,
            0.25,
        ),
        (
            Slot(
                is_processing=True,
                n_prompt_tokens=400,
                n_prompt_tokens_processed=100,
                n_prompt_tokens_cache=200,
            ),
            True,
            0.75,
        ),
        (Slot(is_processing=True, n_prompt_tokens=512, n_prompt_tokens_processed=512), True, None),
        (Slot(is_processing=True, n_prompt_tokens="x", n_prompt_tokens_processed=-1), True, None),
        (Slot(is_processing=True, next_token=[{"n_decoded": 3}]), False, None),
        (Slot(n_prompt_tokens=4096, n_prompt_tokens_processed=1024), False, 0.25),
    ],
)
def test_what_a_slot_says_of_its_prompt(slot: Slot, reading: bool, share: float | None) -> None:
    assert slot.reads_prompt == reading
    assert slot.prompt_share == share
