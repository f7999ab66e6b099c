"""``gputui record`` and the replay of what it wrote, as programs."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gputui.gpu.sample import Snapshot
from gputui.gpu.simulated import SIMULATED_GPUS
from gputui.gpu.trace_reader import read_trace
from gputui.gpu.trace_writer import write_trace
from tests.support.standin_nvml import StandinNvml
from tests.support.traces import snapshot, write_lines
from tests.support.waiting import wait_for


def gputui(
    *arguments: str | Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gputui", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True
    )


def readings(path: Path) -> list[Snapshot]:
    return list(read_trace(path, "any"))


def test_what_was_recorded_is_replayed(tmp_path: Path) -> None:
    first, again = tmp_path / "first.gz", tmp_path / "again.gz"
    done = gputui(
        *("record", first, "--source", "simulated", "--seconds", "0.7", "--interval", "0.1")
    )
    assert done.returncode == 0
    assert done.stderr == f"recording simulated into {first}; ctrl-C ends it\n"
    recorded = readings(first)
    assert len(recorded) >= 2
    assert all(one.identities == SIMULATED_GPUS for one in recorded)
    assert recorded[-1].host is not None
    assert (recorded[-1].host.memory_total or 0) > 2**20
    assert done.stdout.startswith(f"{first}: {len(recorded)} samples of 2 GPUs in 00:0")
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    copied = gputui("--source", first, "--speed", "1000", "record", again)
    assert copied.returncode == 0
    assert readings(again) == recorded
    shown = gputui("--source", first, "--speed", "1000", "gpus", "--json")
    document = json.loads(shown.stdout)
    assert document["source"] == "recorded"
    assert [gpu["uuid"] for gpu in document["gpus"]] == [gpu.uuid for gpu in SIMULATED_GPUS]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "a.gz"
    command = ["--source", "simulated", "record", str(path), "--interval", "0.1"]
    with subprocess.Popen(
        [sys.executable, "-m", "gputui", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        assert "recording" in program.stderr.readline()
        wait_for(path.exists)
        program.send_signal(number)
        out, err = program.communicate(timeout=60)
    assert program.returncode == 0
    assert err == ""
    assert "samples of" in out
    gzip.decompress(path.read_bytes())  # to its end


def test_it_is_private_though_the_driver_s_processes_are_known(
    standin_nvml: StandinNvml, tmp_path: Path
) -> None:
    """Of ourselves, the process on the GPU, neither user nor command line are written."""
    path = tmp_path / "a.gz"
    me = os.getpid()
    standin_nvml.set(compute=f"{me}:5000")
    done = gputui(
        *("--source", "nvml", "record", path, "--seconds", "0.5", "--interval", "0.1"),
        environment=standin_nvml.environment(),
    )
    assert done.returncode == 0
    last = readings(path)[-1]
    assert [(p.pid, p.used_gpu_memory, p.host) for p in last.gpus[0].processes] == [
        (me, 5000, None)
    ]
    assert last.gpus[0].values["power_draw"] == 545.25
    content = gzip.decompress(path.read_bytes())
    arguments = Path(f"/proc/{me}/cmdline").read_bytes().split(b"\0")
    assert not any(word in content for word in arguments if len(word) > 12)


def test_a_driver_that_does_not_answer_is_recorded_as_time_passes(
    standin_nvml: StandinNvml, tmp_path: Path
) -> None:
    path, hang = tmp_path / "a.gz", "hang.nvmlDeviceGetPowerUsage"
    calls = standin_nvml.calls_file
    command = ["--source", "nvml", "record", str(path), "--interval", "0.1"]
    with subprocess.Popen(
        [sys.executable, "-m", "gputui", *command],
        env={**os.environ, **standin_nvml.environment(count_calls=True)},
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        assert "recording" in program.stderr.readline()
        wait_for(lambda: calls.exists() and calls.read_text().count("PowerUsage 0") > 2)
        standin_nvml.set({hang: 1})
        assert "has not answered" in program.stderr.readline()
        standin_nvml.set({hang: None})
        before = calls.read_text().count("PowerUsage 0")
        wait_for(lambda: calls.read_text().count("PowerUsage 0") > before + 2)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
    assert program.returncode == 0
    recorded = readings(path)
    times = [one.taken_at for one in recorded]
    assert times == sorted(set(times))
    hung = [one for one in recorded if one.problem]
    assert hung
    assert hung[0].taken_at - times[0] > 3
    assert hung[0].gpus[0].values["power_draw"] == 545.25, "as it was known"
    assert recorded[-1].problem is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("there.gz",), 1, "there.gz: there is such a file already"),
        (("no/such/a.gz",), 1, "no/such/a.gz: cannot be written: No such file or directory"),
        (("/dev/full",), 1, "/dev/full: cannot be written: No space left on device"),
        (("a.gz", "--source", "none.gz"), 1, "no such file"),
        (("there.gz", "--source", "there.gz", "--force"), 1, "is the source"),
        (("a.gz", "--speed", "2"), 1, "--speed is for recordings"),
        (("a.gz", "--speed", "0"), 2, "--speed"),
        (("a.gz", "--speed", "nan"), 2, "nan"),
        (("a.gz", "--interval", "nan"), 2, "nan"),
        (("a.gz", "--seconds", "-1"), 2, "--seconds"),
        ((), 2, "FILE"),
    ],
)
def test_what_cannot_be_done_is_said_and_spoils_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there.gz"
    write_trace(there, [snapshot(1.0)])
    before = there.read_bytes()
    done = gputui("--source", "simulated", "record", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert there.read_bytes() == before
    assert not (tmp_path / "a.gz").exists()


def test_force_overwrites(tmp_path: Path) -> None:
    path, source = tmp_path / "a.gz", tmp_path / "source.gz"
    path.write_text("something else")
    path.chmod(0o644)
    write_trace(source, [snapshot(1.0), snapshot(1.1)])
    done = gputui("--source", source, "record", path, "--force")
    assert done.returncode == 0
    assert [one.taken_at for one in readings(path)] == [1.0, 1.1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_source_is_recorded_up_to_there(tmp_path: Path) -> None:
    source, path = tmp_path / "bad.trace", tmp_path / "a.gz"
    write_lines(source, {"taken_at": 1}, {"taken_at": 1.1}, b"nonsense\n", {"taken_at": 1.2})
    done = gputui("--source", source, "record", path)
    assert done.returncode == 1
    assert "line 4" in done.stderr
    assert "2 samples" in done.stdout
    assert [one.taken_at for one in readings(path)] == [1, 1.1]


def test_a_disk_that_fills_up_ends_it_and_what_was_written_can_be_played(tmp_path: Path) -> None:
    source, path = tmp_path / "source.gz", tmp_path / "a.gz"
    chance = random.Random(1)  # noqa: S311
    write_trace(source, [snapshot(float(n), chance.random()) for n in range(5000)])
    command = ["--source", str(source), "--speed", "1000000", "record", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "gputui", *command],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)),
    )
    assert done.returncode == 1
    assert f"{path}: cannot be written: File too large" in done.stderr
    assert "What was written before can be played." in done.stderr
    assert "Traceback" not in done.stderr
    kept = readings(path)
    assert kept
    assert kept == readings(source)[: len(kept)]
