"""gputui start, stop, restart, status, logs, config check and init, as a user calls them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gputui import config as configuration
from gputui.demo.parts import Parts
from gputui.instances import records
from gputui.processes import send_signal
from tests.instances.conftest import end_all
from tests.support.command_line import run_here
from tests.support.gguf_files import write_gguf
from tests.support.ports import new_port
from tests.support.scripted_server import make_server
from tests.support.waiting import wait_for


class Machine:
    """A configuration of scripted servers on two simulated GPUs, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.toml"
        self.state = folder / "state"
        self.file.write_text('source = "simulated"\n')

    def add(self, name: str, script: dict[str, object] | None = None, gpus: str = "[]") -> None:
        server = make_server(self.folder / name, **(script or {}))
        model = self.folder / f"{name}.Q4_K_M.gguf"
        write_gguf(model, {"general.architecture": "llama"})
        with self.file.open("a") as file:
            file.write(
                f'[[instances]]\nname = "{name}"\nmodel = "{model}"\nport = {new_port()}\n'
                f'llama_server = "{server}"\ngpus = {gpus}\nstop_grace_seconds = 1\n'
            )

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gputui", "--config", str(self.file), *words],
            env={**os.environ, "GPUTUI_STATE": str(self.state), "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def instances(self) -> list[dict[str, Any]]:
        """What ``status --json`` says, without servers that other tests have started."""
        found = json.loads(self.run("status", "--json"))["instances"]
        return [one for one in found if not one["external"]]

    def run(self, *words: str, code: int = 0) -> str:
        """Standard output and then standard error of the command; the exit code is ``code``."""
        variables = {"GPUTUI_STATE": str(self.state), "HOME": str(self.folder)}
        ended = run_here("--config", str(self.file), *words, environment=variables)
        assert "Traceback" not in ended.err
        assert ended.code == code, ended
        return ended.out + ended.err

    def run_alone(self, *words: str) -> str:
        """The same as a program of its own, which has to succeed."""
        process = self.popen(*words)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
        return out + err


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield Machine(tmp_path)
    end_all(tmp_path / "state")


def test_start_status_restart_stop(machine: Machine) -> None:
    machine.add("one", gpus='["5090"]')
    machine.add("two")
    assert re.search(
        r"one: ready on http://127.0.0.1:\d+ \(pid \d+\)",
        machine.run_alone("start", "--wait", "one"),
    )
    one, two = machine.instances()
    assert set(one) == {
        *("name", "state", "owned", "pid", "port", "url", "gpus", "model", "started_at"),
        *(
            "metrics",
            "last_error",
            "hint",
            "note",
            "failures",
            "restart_at",
            "exit_words",
            "evidence",
        ),
        *("availability", "stalled_seconds", "idle_seconds", "role", "external"),
        *("load_progress", "load_seconds_left", "prompt_progress"),
        *("sees", "context", "lowered", "differs", "unloaded", "cpus", "numa_node"),
    }
    assert (one["state"], one["owned"], one["model"]) == ("ready", True, "one Q4_K_M")
    assert len(one["gpus"]) == 1
    assert one["metrics"]["slots_total"] == 4
    assert (two["state"], two["pid"], two["gpus"]) == ("stopped", None, [])
    table = machine.run_alone("status")
    assert re.search(r"one +one Q4_K_M +1 GeForce RTX 5090 +\d+ +ready", table)
    assert re.search(r"two +two Q4_K_M +CPU +\d+ +stopped", table)
    machine.run_alone("restart", "--wait", "one", "two")
    (after, _) = machine.instances()
    assert after["pid"] != one["pid"]
    assert sorted(machine.run_alone("stop", "--all").splitlines()) == [
        "one: stopped",
        "two: stopped",
    ]
    assert machine.run_alone("stop", "one") == "one is not running\n"


def test_a_failed_start_says_why_at_once(machine: Machine) -> None:
    machine.add("bad", {"load_log": "error: invalid argument: --foo", "crash": 1})
    for words in (("start", "bad"), ("start", "--wait", "bad")):
        text = machine.run(*words, code=1)
        assert "bad failed: llama-server knows no flag --foo" in text
    assert "llama-server knows no flag --foo" in machine.run("status")


def test_one_failure_does_not_keep_the_others_from_starting(machine: Machine) -> None:
    machine.add("bad", {"crash": 1})
    machine.add("good")
    text = machine.run("start", "--all", "--wait", code=1)
    assert "bad failed" in text
    assert "good: ready" in text
    machine.run("stop", "good")


def test_wait_gives_up_in_time_and_leaves_the_server_alone(machine: Machine) -> None:
    machine.add("slow", {"load_seconds": 600})
    assert "not ready in time" in machine.run("start", "--wait", "--timeout", "1", "slow", code=1)
    wait_for(lambda: re.search(r"slow .* loading", machine.run("status")), "the load")
    machine.run("stop", "slow")


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_wrong_usage_is_told_and_nothing_is_done(machine: Machine, action: str) -> None:
    machine.add("one")
    assert 'Did you mean "one"?' in machine.run(action, "onne", code=2)
    assert "--all" in machine.run(action, code=2)
    assert "not both" in machine.run(action, "--all", "one", code=2)
    assert "--readonly" in machine.run("--readonly", action, "one", code=1)
    assert "stopped" in machine.run("status")


def test_logs_are_cleaned_cut_and_followed(machine: Machine) -> None:
    machine.add("one", {"load_log": "first\n\x1b[31msecond\x1b[0m\nthird"})
    assert "never started" in machine.run("logs", "one", code=1)
    assert 'Did you mean "one"?' in machine.run("logs", "onne", code=2)
    machine.run("start", "--wait", "one")
    assert machine.run("logs", "one") == "first\nsecond\nthird\n"
    assert machine.run("logs", "-n", "2", "one") == "second\nthird\n"
    following = machine.popen("logs", "-f", "-n", "1", "one")
    try:
        assert following.stdout
        assert following.stdout.readline() == "third\n"
        with (machine.state / "logs/one.log").open("a") as log:
            log.write("fourth\n")
        assert following.stdout.readline() == "fourth\n"
        machine.run("restart", "--wait", "one")
        assert following.stdout.readline() == "first\n"  # a new start begins a new file
    finally:
        following.kill()
        following.communicate()
    machine.run("stop", "one")


def test_config_check(machine: Machine) -> None:
    machine.add("one", gpus='["5090"]')
    text = machine.run("config", "check")
    assert re.search(r"one: ok, GPU 1 \(.*5090.*\), port \d+", text)
    machine.add("wrong", gpus='["4090"]')
    text = machine.run("config", "check", code=2)
    after = text.partition("wrong: not ok\n")[2]
    assert '"4090" names no GPU' in after.splitlines()[0], "the reason is beneath the verdict"
    machine.file.write_text('interval = "fast"')
    assert "interval" in machine.run("config", "check", code=2)


def test_config_check_finds_all_that_would_not_start(machine: Machine) -> None:
    machine.add("fine")
    machine.add("text")
    (machine.folder / "text.Q4_K_M.gguf").write_text("hello")
    machine.add("gone")
    (machine.folder / "gone.Q4_K_M.gguf").unlink()
    machine.add("wrong", gpus='["4090"]')
    text = machine.run("config", "check", code=2)
    assert "fine: ok, CPU" in text
    assert re.search(r"text: model: .*text\.Q4_K_M\.gguf: is not a GGUF", text)
    assert re.search(r"gone: model: .*: no such file", text)
    assert f"{machine.file}: [[instances]] wrong: gpus" in text


@pytest.mark.real
def test_config_check_warns_of_flags_that_the_binary_does_not_know(
    machine: Machine, demo_parts: Parts
) -> None:
    machine.file.write_text(
        f'[[instances]]\nname = "one"\nmodel = "{demo_parts.smollm2}"\nport = {new_port()}\n'
        f'llama_server = "{demo_parts.llama_server}"\n'
        'args = ["--flash-atn", "on", "--mlock", "--temp"]\n'
    )
    text = machine.run("config", "check")
    assert "one: ok" in text
    assert 'args: "--flash-atn" is no flag of this llama-server' in text
    assert 'Did you mean "--flash-attn"?' in text
    assert "--temp needs a value" in text
    assert "--mlock" not in text


def test_config_check_knows_the_themes(machine: Machine) -> None:
    machine.file.write_text('theme = "midnigt"\n')
    text = machine.run("config", "check", code=2)
    assert f'{machine.file}: theme = "midnigt"' in text
    assert 'Did you mean "midnight"?' in text
    assert ": ok" not in text


def test_config_check_without_a_driver_still_checks_what_runs_on_the_cpu(machine: Machine) -> None:
    machine.add("cpu")
    machine.add("gpu", gpus='["5090"]')
    text = machine.run("--source", "/no/such/trace", "config", "check", code=2)
    assert "cpu: ok, CPU" in text
    assert "gpu: not ok" in text
    assert "/no/such/trace" in text


def test_init_writes_a_configuration_that_loads(machine: Machine, tmp_path: Path) -> None:
    models = tmp_path / "models/deep"
    models.mkdir(parents=True)
    for name in (b'odd "name".gguf', b"unwritable\x07.gguf", b"no utf-8 \xff.gguf"):
        with (models / os.fsdecode(name)).open("wb") as model:
            model.truncate(60 * 2**20)
    machine.file.unlink()
    assert str(machine.file) in machine.run("--source", "simulated", "init")
    config = configuration.load(machine.file)
    assert [instance.model for instance in config.instances] == [str(models / 'odd "name".gguf')]
    text = machine.file.read_text()
    assert "GPU 1: " in text
    assert "exists already" in machine.run("init", code=1)
    machine.file.write_text("interval = 2.0\n")
    machine.run("--source", "simulated", "init", "--force")
    assert machine.file.with_name("config.toml.bak").read_text() == "interval = 2.0\n"
    uncommented = re.sub(r"^# (?=\S+ = |\[\[)", "", text, flags=re.M)
    assert "\n[[instances]]" in uncommented


def test_what_init_comments_out_is_valid_too(machine: Machine) -> None:
    machine.file.unlink()
    machine.run("--source", "simulated", "init")
    lines = machine.file.read_text().splitlines()
    known = [line.removeprefix("# ") for line in lines]
    toml = "\n".join(
        line for line in known if re.match(r"(# )?(\w+ = |\[)", line) or not line.strip()
    )
    parts = toml.split("[[instances]]")
    assert len(parts) >= 3
    for part in parts[1:3]:
        config = configuration.parse(f"[[instances]]{part}".encode(), machine.file)
        assert config.instances[0].port >= 8080


def test_status_without_instances_says_what_to_do(machine: Machine) -> None:
    assert "gputui init" in machine.run("status", code=1)


def test_status_says_cpu_only_where_that_is_known(machine: Machine) -> None:
    machine.add("one", gpus='["5090"]')
    machine.add("two")
    machine.run("start", "--wait", "--all")
    machine.file.write_text('source = "simulated"\n')  # they run beside any configuration
    table = machine.run("status")
    assert re.search(r"one +one Q4_K_M +1 GeForce RTX 5090 ", table)
    assert re.search(r"two +two Q4_K_M +CPU ", table)
    machine.file.write_text('source = "/no/such/trace"\n')  # nor does any driver name the GPUs
    table = machine.run("status")
    assert re.search(r"one +one Q4_K_M +GPU-\S+ ", table)
    machine.run("stop", "--all")


def test_status_of_a_server_that_is_not_ours_does_not_guess_its_gpus(machine: Machine) -> None:
    machine.add("one", gpus='["5090"]')
    config = configuration.load(machine.file).instances[0]
    stranger = subprocess.Popen(
        [str(config.llama_server), "-m", config.model, "--port", str(config.port)]
    )
    try:
        row = wait_for(
            lambda: re.search(r"one +one Q4_K_M +(\S+) +\d+ +ready", machine.run("status"))
        )
        assert row[1] == "?"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_hung_server_is_told_by_a_fresh_status(machine: Machine) -> None:
    machine.add("one")
    machine.run("start", "--wait", "one")
    record = records.read(records.Paths(machine.state).record("one"))
    assert record
    send_signal(record.identity, signal.SIGSTOP)
    assert "gives no answer" in machine.run("status")
    send_signal(record.identity, signal.SIGCONT)
    machine.run("stop", "one")


def test_a_reader_that_has_seen_enough_of_a_log_is_no_error(machine: Machine) -> None:
    machine.add("one")
    log = machine.state / "logs/one.log"
    log.parent.mkdir(parents=True)
    log.write_text("a line\n" * 100_000)
    reading = machine.popen("logs", "-n", "100000", "one")
    assert reading.stdout
    assert reading.stdout.readline() == "a line\n"
    reading.stdout.close()
    assert reading.stderr
    with reading.stderr:
        assert reading.stderr.read() == ""
    reading.wait(60)


def test_a_log_is_filtered_and_the_one_before_is_kept(machine: Machine) -> None:
    lines = (
        "0.1 I srv  one: fine",
        "0.2 W srv  two: CUDA slow",
        "its second line",
        "0.3 E srv  three",
    )
    machine.add("one", {"load_log": "\n".join(lines)})
    machine.run("start", "--wait", "one")
    assert "no log before" in machine.run("logs", "--previous", "one", code=1)
    assert machine.run("logs", "--level", "warning", "one").splitlines() == list(lines[1:])
    assert machine.run("logs", "--level", "error", "one").splitlines() == [lines[3]]
    assert machine.run("logs", "--grep", "cuda", "one").splitlines() == [lines[1]]
    assert machine.run("logs", "-n", "1", "--level", "warning", "one").splitlines() == [lines[3]]
    assert machine.run("logs", "-n", "0", "one") == ""
    assert "not both" in machine.run("logs", "-f", "--previous", "one", code=2)
    log = machine.state / "logs/one.log"
    with log.open("a") as file:
        file.write("0.4 I srv  four\n")
    machine.run("restart", "--wait", "one")
    assert machine.run("logs", "--previous", "one").splitlines() == [*lines, "0.4 I srv  four"]
    following = machine.popen("logs", "-f", "-n", "0", "--level", "warning", "one")
    try:
        assert following.stdout
        wait_for(lambda: _reads(following.pid, log), "it to open the log")
        with log.open("a") as file:
            file.write("0.5 I srv  five\n0.6 W srv  six\n")
        assert following.stdout.readline() == "0.6 W srv  six\n"
        log.with_name("one.log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)  # as it is where it is too large
        with log.open("a") as file:
            file.write("its second line\n0.7 I srv  seven\n0.8 E srv  eight\n")
        assert following.stdout.readline() == "its second line\n"
        assert following.stdout.readline() == "0.8 E srv  eight\n"
    finally:
        following.kill()
        following.communicate()
    machine.run("stop", "one")


def _reads(pid: int, file: Path) -> bool:
    """Whether a process has the file open: it knows by then where it goes on."""
    inode = file.stat().st_ino
    return any(
        handle.exists() and handle.stat().st_ino == inode
        for handle in Path(f"/proc/{pid}/fd").iterdir()
    )


def test_follow_ends_quietly(machine: Machine) -> None:
    machine.add("one")
    machine.run("start", "--wait", "one")
    following = machine.popen("logs", "-f", "one")
    wait_for(lambda: _reads(following.pid, machine.state / "logs/one.log"), "it to open the log")
    following.terminate()
    _, err = following.communicate(timeout=60)
    assert "Traceback" not in err
    machine.run("stop", "one")
