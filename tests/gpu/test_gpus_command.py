"""``gputui gpus`` as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import (
    GpuProcess,
    GpuSample,
    HostProcess,
    Problem,
    Snapshot,
    snapshot_json,
)
from gputui.host import Disk, HostSample
from gputui.identity import GpuIdentity
from gputui.processes import ProcessIdentity
from tests.support.standin_nvml import StandinNvml


def gpus(
    tmp_path: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a state and configuration of its own."""
    own = {
        "GPUTUI_STATE": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "gputui", "gpus", *arguments]
    return subprocess.run(
        command, env={**os.environ, **own, **(environment or {})}, capture_output=True, text=True
    )


def check_shape(document: dict[str, Any]) -> None:
    assert list(document) == [
        *("source", "driver_version", "cuda_version", "taken_at", "problem", "gpus", "host"),
    ]
    for gpu in document["gpus"]:
        assert list(gpu) == [
            *("index", "uuid", "name", "pci_bus_id"),
            *("metrics", "unavailable", "processes", "processes_unavailable"),
        ]
        assert list(gpu["metrics"]) == [metric.key for metric in METRICS]
        unknown = {key for key, value in gpu["metrics"].items() if value is None}
        assert set(gpu["unavailable"]) == unknown
        for process in gpu["processes"]:
            assert list(process) == [
                *("pid", "name", "used_gpu_memory_bytes", "instance", "type", "foreign", "user"),
                *("command", "started_at", "utilization_sm_percent", "cpu_percent"),
                "host_memory_bytes",
            ]


def test_the_shape_of_the_json() -> None:
    identity = GpuIdentity(0, "GPU-a", "a GPU", "00000000:01:00.0")
    host = HostProcess(
        ProcessIdentity(7, 1, "boot"), "alice", "llama-server -m a", 12.0, own=True, memory=9
    )
    processes = (GpuProcess(7, "llama-server", None, host=host), GpuProcess(8, "", 5))
    values = {"power_draw": 545.25, "memory_used": 8 * 2**30}
    sample = GpuSample(identity, values, {"fan_speed": "not supported"}, processes)
    problem = Problem("what", "how")
    host = HostSample(12.5, 5, 9, None, 2, (0.5, 1.0, 1.5), (Disk("/models", 3, 4),))
    snapshot = Snapshot("nvml", 12.5, (sample,), "570", problem, "12.8", host)
    document = snapshot_json(snapshot, {7: "deepseek"})
    check_shape(json.loads(json.dumps(document)))
    gpu = json.loads(json.dumps(document))["gpus"][0]
    assert document["problem"] == {"message": "what", "hint": "how"}
    assert document["cuda_version"] == "12.8"
    assert document["host"] == {
        "cpu_percent": 12.5,
        "memory_used_bytes": 5,
        "memory_total_bytes": 9,
        "swap_used_bytes": None,
        "swap_total_bytes": 2,
        "load_average": [0.5, 1.0, 1.5],
        "disks": [{"mount": "/models", "free_bytes": 3, "total_bytes": 4}],
    }
    assert snapshot_json(Snapshot("nvml", 12.5))["host"] is None
    assert gpu["processes_unavailable"] is None
    hidden = replace(sample, processes=(), processes_problem="no permission")
    of_hidden = snapshot_json(replace(snapshot, gpus=(hidden,)))["gpus"]
    assert isinstance(of_hidden, list)
    assert of_hidden[0]["processes_unavailable"] == "no permission"
    assert gpu["metrics"]["power_draw_watts"] == 545.25
    assert gpu["metrics"]["memory_used_bytes"] == 8 * 2**30
    assert gpu["metrics"]["fan_speed_percent"] is None
    assert gpu["unavailable"]["fan_speed_percent"] == "not supported"
    assert gpu["unavailable"]["clocks_sm_hertz"] == "not read yet"
    ours, foreign = gpu["processes"]
    assert {key: value for key, value in ours.items() if value is not None} == {
        "pid": 7,
        "name": "llama-server",
        "instance": "deepseek",
        "type": "C",
        "foreign": False,
        "user": "alice",
        "command": "llama-server -m a",
        "started_at": 12.0,
        "host_memory_bytes": 9,
    }
    assert {key: value for key, value in foreign.items() if value is not None} == {
        "pid": 8,
        "name": "",
        "used_gpu_memory_bytes": 5,
        "type": "C",
        "foreign": True,
    }


def test_the_keys_carry_their_units() -> None:
    keys = {metric.key for metric in METRICS}
    assert {
        "memory_used_bytes",
        "power_draw_watts",
        "temperature_gpu_celsius",
        "utilization_gpu_percent",
        "clocks_sm_hertz",
        "pcie_rx_bytes_per_second",
        "pcie_link_gen",
        "throttle_reasons",
    } <= keys


def test_json_of_the_driver_found_by_name(standin_nvml: StandinNvml, tmp_path: Path) -> None:
    """The whole path: LD_LIBRARY_PATH, nvidia-ml-py, source, sampler, command."""
    standin_nvml.set(gpu_1={"lost": 1}, compute=f"{os.getpid()}:1000")
    standin_nvml.set({"delay_us.nvmlDeviceGetPcieThroughput": 250_000})
    done = gpus(tmp_path, "--json", environment=standin_nvml.environment())
    assert done.stderr == ""
    assert done.returncode == 0
    document = json.loads(done.stdout)
    check_shape(document)
    assert document["source"] == "nvml"
    assert document["driver_version"] == "570.86.16"
    assert document["cuda_version"] == "12.8"
    first, second = document["gpus"]
    assert first["unavailable"] == {}, "rates are measured too"
    assert first["metrics"]["pcie_rx_bytes_per_second"] == 2e6
    assert first["processes"][0]["pid"] == os.getpid()
    assert set(second["unavailable"].values()) == {"GPU is lost"}


def test_table_of_simulated_gpus(tmp_path: Path) -> None:
    done = gpus(tmp_path, "--source", "simulated")
    assert done.returncode == 0
    title, heading, first, second, total = done.stdout.splitlines()
    assert "SIMULATED" in title
    assert heading.split()[:3] == ["GPU", "name", "bus"]
    assert total.startswith("together")
    assert "RTX PRO 6000" in first
    assert "01:00.0" in first
    assert "RTX 5090" in second


def test_table_says_what_a_gpu_lacks(standin_nvml: StandinNvml, tmp_path: Path) -> None:
    standin_nvml.set(gpu_1={"lost": 1}, gpu_0={"compute": "1:5000", "fans": 0})
    done = gpus(tmp_path, "--source", "nvml", environment=standin_nvml.environment())
    assert done.returncode == 0
    assert "GPU is lost" in done.stdout
    assert "power cap" in done.stdout
    assert "4×8 of 5×16" in done.stdout
    assert "545/600" in done.stdout


@pytest.mark.parametrize("form", ["--json", ""])
def test_no_gpu_is_exit_1_with_the_reason(
    standin_nvml: StandinNvml, tmp_path: Path, form: str
) -> None:
    standin_nvml.set({"error.nvmlInitWithFlags": 18})
    arguments = ["--source", "nvml", *([form] if form else [])]
    done = gpus(tmp_path, *arguments, environment=standin_nvml.environment())
    assert done.returncode == 1
    if form:
        document = json.loads(done.stdout)
        check_shape(document)
        assert document["gpus"] == []
        assert "different versions" in document["problem"]["message"]
        assert "Reboot" in document["problem"]["hint"]
    else:
        assert done.stdout == ""
        assert "different versions" in done.stderr
        assert "Reboot" in done.stderr


def test_a_source_that_is_none_is_said_in_words(tmp_path: Path) -> None:
    done = gpus(tmp_path, "--source", "simulatd")
    assert done.returncode == 1
    assert done.stdout == ""
    assert 'Did you mean "simulated"?' in done.stderr
    assert "Traceback" not in done.stderr
