"""The user's program: plain arguments whatever stands in them, and no harm from how it behaves."""

from __future__ import annotations

import json
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.alerts.command import FIELDS, MOST_WAITING, Command, arguments, check_command
from gputui.config import Config
from gputui.errors import ConfigError
from tests.alerts.making import event
from tests.support.waiting import wait_for

HOSTILE = (
    "$(touch /tmp/owned) `id` ; rm -rf ~ \"quoted\" 'single' {value} {0.__class__} %s -rf \\ *"
)
Runner = Callable[..., Command]


@pytest.fixture
def command() -> Iterator[Runner]:
    made: list[Command] = []

    def make(template: list[str], limit: float = 10.0) -> Command:
        made.append(Command(template, limit))
        return made[-1]

    yield make
    for one in made:
        one.close(0.2)


def program(folder: Path, body: str) -> str:
    """A program of this Python that runs ``body``; its arguments are in ``argv``."""
    path = folder / "program"
    path.write_text(
        f"#!{sys.executable}\nimport sys, json, os, time\nargv = sys.argv[1:]\n{body}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_it_gets_what_happened_as_arguments_and_no_input(tmp_path: Path, command: Runner) -> None:
    out = tmp_path / "out"
    dump = f"open({str(out)!r}, 'w').write(json.dumps([argv, sys.stdin.read()]))"
    runner = command(
        [program(tmp_path, dump), "{severity}/{state}", "{message}", "{value}", "{{name}"]
    )
    runner.run_soon(event(message="GPU 0 hot\n\x1b[31mand \x07 red\x00"))
    argv, given_input = json.loads(
        wait_for(lambda: out.exists() and out.read_text(), "the program")
    )
    assert argv == ["warning/firing", "GPU 0 hot and red", "91", "{hot"]
    assert given_input == ""


@pytest.mark.parametrize("text", [HOSTILE, "--help", "a\nb\r\nc", "é✗▲ \u202e", "x" * 5000])
def test_hostile_text_is_one_plain_argument(text: str, tmp_path: Path, command: Runner) -> None:
    out = tmp_path / "out"
    dump = f"open({str(out)!r}, 'w').write(json.dumps(argv))"
    command([program(tmp_path, dump), "{message}", "end"]).run_soon(event(message=text))
    argv = json.loads(wait_for(lambda: out.exists() and out.read_text(), "the program"))
    assert len(argv) == 2
    assert argv[1] == "end"
    assert argv[0][:20].split() == text[:20].replace("\u202e", "").split()
    assert not set(argv[0]) & set("\n\r\x1b\u202e")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.text(max_size=40))
def test_there_are_as_many_arguments_as_are_written_down(template: list[str], text: str) -> None:
    made = arguments(template, event(message=text))
    assert len(made) == len(template)
    for part, written in zip(made, template, strict=True):
        if not any(f"{{{name}}}" in written for name in FIELDS):
            assert part == written


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    assert arguments(["{message}"], event(message="{severity}")) == ["{severity}"]


def test_a_program_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path, command: Runner
) -> None:
    pids = tmp_path / "pids"
    body = (
        f"child = os.fork()\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\ntime.sleep(600)"
    )
    running: list[int] = []
    for limit in (0.5, 5, 50):  # on a busy machine it takes its time to begin
        runner = command([program(tmp_path, body)], limit=limit)
        pids.write_text("")
        runner.run_soon(event())
        wait_for(lambda: runner.problem, "the problem")  # noqa: B023
        assert f"did not end within {limit:g} s and was killed" in str(runner.problem)
        running = [int(pid) for pid in pids.read_text().split()]
        if len(running) == 2:
            break
    assert len(running) == 2
    wait_for(lambda: not any(alive(pid) for pid in running), "its end")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/no/such/program"], "cannot be run: No such file"),
        (["/"], "cannot be run: Permission denied"),
        (["false"], "failed with exit code 1"),
    ],
)
def test_a_program_that_fails_is_told(argv: list[str], words: str, command: Runner) -> None:
    runner = command(argv)
    runner.run_soon(event())
    wait_for(lambda: runner.problem, "the problem")
    assert words in str(runner.problem)


def test_one_that_works_again_is_no_problem_any_more(tmp_path: Path, command: Runner) -> None:
    mark = tmp_path / "mark"
    runner = command([program(tmp_path, f"sys.exit(0 if os.path.exists({str(mark)!r}) else 3)")])
    runner.run_soon(event())
    wait_for(lambda: runner.problem, "the problem")
    mark.touch()
    runner.run_soon(event())
    wait_for(lambda: runner.problem is None, "its end")


def test_events_come_one_after_the_other_and_what_a_flood_loses_is_told(
    tmp_path: Path, command: Runner
) -> None:
    out = tmp_path / "out"
    body = (
        f"open({str(out)!r}, 'a').write('(')\ntime.sleep(0.02)\nopen({str(out)!r}, 'a').write(')')"
    )
    runner = command([program(tmp_path, body)])
    for _ in range(2 * MOST_WAITING):
        runner.run_soon(event())
    wait_for(lambda: out.exists() and out.read_text().count(")") >= 3, "three runs")
    assert "some were left out" in str(runner.problem)
    runner.close(60)
    written = out.read_text()
    assert written == "()" * (len(written) // 2), "never two at once"
    assert written.count("(") < MOST_WAITING


def test_closing_ends_what_runs(tmp_path: Path, command: Runner) -> None:
    pid = tmp_path / "pid"
    runner = command(
        [program(tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")]
    )
    runner.run_soon(event())
    wait_for(lambda: pid.exists() and pid.read_text(), "the program")
    began = time.monotonic()
    runner.close(0.2)
    assert time.monotonic() - began < 30
    wait_for(lambda: not alive(int(pid.read_text())), "its end")


def test_a_word_in_braces_that_means_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        check_command(Config(on_alert=("x", "{mesage}")), Path("rig.toml"))
    assert 'rig.toml: top level: on_alert: "{mesage}"' in caught.value.message
    assert '"{message}"' in caught.value.hint
    check_command(Config(on_alert=("x", '{"text": "{message}"}', "{}", "{name}")))


def test_without_a_program_nothing_runs() -> None:
    before = threading.active_count()
    runner = Command(())
    runner.run_soon(event())
    assert threading.active_count() == before
    runner.close()
    assert runner.problem is None
