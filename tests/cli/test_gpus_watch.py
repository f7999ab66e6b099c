"""``gputui gpus --watch`` as a program: on a terminal, on a pipe, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.pty_terminal import HIDE_CURSOR, SHOW_CURSOR, PtyTerminal
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for

WATCH = (sys.executable, "-m", "gputui", "gpus", "--watch", "0.1")


@pytest.fixture
def standin(nvml_library: Path, tmp_path: Path) -> StandinNvml:
    return StandinNvml(nvml_library, tmp_path)


def environment(standin: StandinNvml, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    return kept | standin.environment() | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | more


@pytest.fixture
def terminals() -> Iterator[list[PtyTerminal]]:
    made: list[PtyTerminal] = []
    yield made
    for terminal in made:
        terminal.close()


def started(
    terminals: list[PtyTerminal],
    standin: StandinNvml,
    size: tuple[int, int] = (100, 20),
    **more: str,
) -> PtyTerminal:
    terminal = PtyTerminal(WATCH, size, environment(standin, **more))
    terminals.append(terminal)
    terminal.until(lambda screen: "together" in screen, "the table")
    return terminal


def test_it_is_drawn_in_place_and_follows_the_readings(
    terminals: list[PtyTerminal], standin: StandinNvml
) -> None:
    terminal = started(terminals, standin)
    assert HIDE_CURSOR in terminal.written
    standin.set(power_draw=333_000)
    terminal.until(lambda screen: "333/600" in screen, "the new reading")
    assert terminal.screen().count("together") == 1
    before = len(terminal.written)
    terminal.until(lambda _: len(terminal.written) > before, "another sample")
    assert b"\x1b[2J" not in terminal.written, "what stood above is not wiped away at each sample"


def test_ctrl_c_is_the_way_out(terminals: list[PtyTerminal], standin: StandinNvml) -> None:
    terminal = started(terminals, standin)
    terminal.type("\x03")
    assert terminal.until_ended() == 0
    assert terminal.written.rstrip().endswith(SHOW_CURSOR)
    assert "together" in terminal.screen(), "the table stays"
    assert "Traceback" not in terminal.screen()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_cursor_back(
    terminals: list[PtyTerminal], standin: StandinNvml, number: signal.Signals
) -> None:
    terminal = started(terminals, standin)
    os.kill(terminal.pid, number)
    assert terminal.until_ended() == 128 + number
    assert SHOW_CURSOR in terminal.written


def test_a_resize_is_followed_at_once(terminals: list[PtyTerminal], standin: StandinNvml) -> None:
    terminal = started(terminals, standin, (160, 20))
    assert "PCIe" in terminal.screen()
    terminal.resize((70, 20))
    terminal.until(lambda screen: "PCIe" not in screen and "together" in screen, "fewer columns")
    terminal.resize((70, 4))
    terminal.until(lambda screen: "make the terminal higher" in screen, "fewer lines")
    terminal.resize((160, 20))
    terminal.until(lambda screen: "PCIe" in screen, "all columns again")


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal_alone(
    terminals: list[PtyTerminal],
    standin: StandinNvml,
    variables: dict[str, str],
    coloured: bool,
) -> None:
    terminal = started(terminals, standin, **variables)
    assert bool(re.search(rb"\x1b\[[0-9;]*m", terminal.written)) is coloured


def test_stopped_and_continued_it_is_drawn_again(
    terminals: list[PtyTerminal], standin: StandinNvml
) -> None:
    terminal = started(terminals, standin)
    shown = terminal.written.count(HIDE_CURSOR)
    os.kill(terminal.pid, signal.SIGTSTP)
    terminal.until(lambda _: SHOW_CURSOR in terminal.written, "the cursor")
    wait_for(lambda: psutil.Process(terminal.pid).status() == psutil.STATUS_STOPPED)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until(lambda _: terminal.written.count(HIDE_CURSOR) > shown, "the table again")


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def piped(standin: StandinNvml, *arguments: str) -> subprocess.Popen[str]:
    command = [*WATCH, *arguments]
    return subprocess.Popen(
        command,
        env=environment(standin),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_pipe_gets_a_block_a_sample_and_no_escape_sequence(standin: StandinNvml) -> None:
    process = piped(standin)
    text = "".join(lines_of(process, 15))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""
    assert "\x1b" not in text
    blocks = text.split("\n\n")
    assert len(blocks) >= 3
    assert blocks[0].splitlines()[1].startswith("GPU  name")
    assert blocks[1].splitlines()[1] == blocks[0].splitlines()[1]


def test_json_is_a_document_a_line_and_the_first_has_its_rates(standin: StandinNvml) -> None:
    process = piped(standin, "--json")
    documents = [json.loads(line) for line in lines_of(process, 3)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    first = documents[0]["gpus"][0]
    assert first["metrics"]["pcie_rx_bytes_per_second"] == 2e6
    assert documents[0]["host"]["memory_total_bytes"] > 0
    times = [document["taken_at"] for document in documents]
    assert times == sorted(set(times))


def test_a_reader_that_leaves_is_no_error(standin: StandinNvml) -> None:
    process = piped(standin)
    lines_of(process, 2)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(60) == 0


@pytest.mark.parametrize("seconds", ["0.01", "1e9", "nan", "soon"])
def test_seconds_that_are_none(standin: StandinNvml, seconds: str) -> None:
    command = [*WATCH[:-1], seconds]
    done = subprocess.run(
        command, env=environment(standin), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_without_seconds_it_is_as_configured(standin: StandinNvml, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("interval = 0.1\n[power]\nprice_per_kwh = 0.5\n")
    command = [*WATCH[:-1], "--config", str(config), "--json"]
    with subprocess.Popen(
        command, env=environment(standin), stdout=subprocess.PIPE, text=True
    ) as process:
        documents = [json.loads(line) for line in lines_of(process, 6)]
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert documents[-1]["taken_at"] - documents[1]["taken_at"] < 5


def test_a_recording_ends_the_watch_of_a_pipe(standin: StandinNvml, tmp_path: Path) -> None:
    trace = Path(__file__).parents[2] / "screenshots" / "trace.jsonl.gz"
    command = [*WATCH, "--json", "--source", str(trace), "--speed", "10000"]
    done = subprocess.run(
        command, env=environment(standin), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert documents[-1]["problem"]["message"] == "end of the recording"
    assert len(documents) > 30


def test_a_driver_that_does_not_start_is_told_and_waited_for(
    terminals: list[PtyTerminal], standin: StandinNvml
) -> None:
    standin.set({"error.nvmlInitWithFlags": 9})
    terminal = PtyTerminal(WATCH, (100, 20), environment(standin))
    terminals.append(terminal)
    terminal.until(lambda screen: "modprobe" in screen, "the remedy")
    standin.clear()
    terminal.until(lambda screen: "together" in screen, "the table")
