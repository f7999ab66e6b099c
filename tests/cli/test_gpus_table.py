"""The table of ``gputui gpus``, from snapshots."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.cli.gpus_table import Shown, table
from gputui.cli.tables import cell_width, painted
from gputui.config import PowerConfig
from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Problem, ProcessType, Snapshot
from gputui.host import HostSample
from gputui.identity import GpuIdentity
from gputui.processes import ProcessIdentity

GIB = 2**30
PRO = GpuIdentity(
    0, "GPU-a", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "00000000:01:00.0"
)
GEFORCE = GpuIdentity(1, "GPU-b", "NVIDIA GeForce RTX 5090", "00000000:21:00.0")
VALUES = {
    "utilization_gpu": 92.0,
    "memory_used": 54 * GIB,
    "memory_total": 95.6 * GIB,
    "power_draw": 545.0,
    "power_limit": 600.0,
    "power_default_limit": 600.0,
    "temperature_gpu": 71.0,
    "fan_speed": 41.0,
    "clocks_sm": 2617e6,
    "clocks_sm_max": 3090e6,
    "clocks_mem": 14001e6,
    "clocks_mem_max": 14001e6,
    "pcie_link_gen": 5.0,
    "pcie_link_gen_max": 5.0,
    "pcie_link_width": 16.0,
    "pcie_link_width_max": 16.0,
    "throttle_reasons": 0x0,
    "pstate": 1.0,
}
POWER = PowerConfig(psu_watts=2000, price_per_kwh=0.15, currency="$")


def gpu(identity: GpuIdentity = PRO, *without: str, **more: object) -> GpuSample:
    changes = {k: v for k, v in more.items() if k in {m.name for m in METRICS}}
    values = {k: v for k, v in (VALUES | changes).items() if k not in without}  # type: ignore[operator]
    missing = {m.name: "not supported" for m in METRICS if m.name not in values}
    rest = {key: value for key, value in more.items() if key not in changes}
    return replace(GpuSample(identity, values, missing), **rest)  # type: ignore[arg-type]


TAKEN_AT = 1.7e9


def host(pid: int, **more: object) -> HostProcess:
    values: dict[str, object] = {
        "user": "ann",
        "command": "llama-server -m /models/deepseek.gguf --port 8080",
        "started_at": TAKEN_AT - 3 * 86400,
        "own": True,
        "memory": 3 * GIB,
        "cpu_percent": 104.2,
    }
    return HostProcess(ProcessIdentity(pid, 1, ""), **(values | more))  # type: ignore[arg-type]


PROCESSES = (
    GpuProcess(4711, "llama-server", 52 * GIB, ProcessType.COMPUTE, 88.0, host(4711)),
    GpuProcess(99, "", 2 * GIB),
)


def text(*gpus: GpuSample, width: int = 200, **more: object) -> list[str]:
    fields = {
        "taken_at": TAKEN_AT,
        "gpus": gpus,
        "driver_version": "570.86.16",
        "cuda_version": "12.8",
    }
    of_snapshot = {key: more.pop(key) for key in ("problem", "host", "source") if key in more}
    one = Snapshot(**({"source": "nvml"} | fields | of_snapshot))  # type: ignore[arg-type]
    shown = Shown(one, **({"power": POWER, "host_name": "rig01"} | more))  # type: ignore[arg-type]
    return [painted(line, width) for line in table(shown, width)]


def test_a_wide_terminal_has_everything_with_units_in_the_headings() -> None:
    lines = text(
        gpu(processes=PROCESSES), gpu(GEFORCE, power_draw=61.0), instances={4711: "deepseek"}
    )
    assert lines[0].startswith("rig01  driver 570.86.16  CUDA 12.8  ")
    assert lines[1].split("  ")[:2] == ["GPU", "name"]
    for unit in ("util %", "memory GiB", "power W", "temp °C", "fan %", "SM MHz", "mem MHz"):
        assert unit in lines[1]
    for heading in ("pid", "user", "type", "GPU memory", "SM %", "CPU %", "age", "instance"):
        assert heading in lines[2]
    assert lines[3].split() == [
        *("0", "RTX", "PRO", "6000", "Blackwell", "01:00.0", "92", "54.0/95.6", "545/600", "71"),
        *("41", "2617/3090", "14001/14001", "5×16", "1"),
    ]
    assert lines[4].split()[:15] == [
        *("4711", "ann", "C", "52.0", "GiB", "88", "104", "3.0", "GiB", "3", "d", "00:00"),
        *("deepseek", "llama-server", "-m"),
    ]
    assert lines[5].split() == [
        *("99", "–", "C", "2.0", "GiB", "–", "–", "–", "–", "(not", "visible", "here)")
    ]
    assert (
        lines[-1] == "together  606 of 2000 W, 30 %   $0.09 an hour, $2.18 a day   108.0/191.2 GiB"
    )


def test_columns_and_headings_share_their_edges() -> None:
    heading, *rows = text(gpu(), gpu(GEFORCE, utilization_gpu=7.0))[1:4]
    for name in ("util %", "memory GiB", "power W", "temp °C", "SM MHz"):
        end = heading.index(name) + len(name)
        assert all(row[end - 1] != " " and row[end : end + 1] in (" ", "") for row in rows), name


def test_eighty_columns_keep_what_matters() -> None:
    lines = text(gpu(throttle_reasons=0x44, processes=PROCESSES), width=80)
    for name in ("GPU", "name", "util %", "memory GiB", "power W", "temp °C", "limited by"):
        assert name in lines[1]
    assert "power cap, HW thermal" in lines[3]
    assert "command" in lines[2]
    assert all(cell_width(line) <= 80 for line in lines)


def test_what_has_no_column_any_more_is_said_below() -> None:
    lines = text(gpu(throttle_reasons=0x44), width=50)
    assert "limited by" not in lines[1]
    assert "     limited by power cap, HW thermal" in lines


def test_limits_errors_and_missing_readings_in_words() -> None:
    lines = text(
        gpu(power_limit=450.0, ecc_uncorrected=2.0, throttle_reasons=0x8),
        gpu(GEFORCE, "fan_speed", "power_draw", unavailable={"power_draw": "no permission"}),
    )
    assert "     power limit 450 W of 600 W by default" in lines
    assert "     ! 2 uncorrected ECC errors" in lines
    assert "HW slowdown" in lines[2]
    assert "     no permission: draw; not known: fan" in lines
    assert "545 of 2000 W, 27 % (1 of 2 GPUs)" in lines[-1]


def test_processes_that_cannot_be_listed_are_not_none() -> None:
    lines = text(gpu(GEFORCE, processes_problem="no permission"))
    assert "     no permission: processes" in lines


def test_a_lost_gpu_says_its_remedy_and_the_others_go_on() -> None:
    lost = GpuSample(
        GEFORCE, {}, problem=Problem("GPU is lost: it does not answer", "Try " + "x " * 60)
    )
    lines = text(gpu(), lost, width=80)
    assert "     ! GPU is lost: it does not answer" in lines
    assert sum(line.startswith("       ") and "x x" in line for line in lines) > 1, "wrapped"
    assert "92" in lines[2].split()


def test_a_driver_that_hangs_is_told_and_nothing_is_summed_up() -> None:
    lines = text(gpu(), problem=Problem("the driver has not answered for 9 s", "See dmesg."))
    assert lines[1:3] == ["! the driver has not answered for 9 s", "  See dmesg."]
    assert not any(line.startswith("together") for line in lines)


def test_a_foreign_pid_is_no_instance_of_ours() -> None:
    lines = text(gpu(processes=PROCESSES[1:]), instances={99: "deepseek"})
    assert not any("deepseek" in line for line in lines)
    assert not any("instance" in line for line in lines)


def test_a_recorded_pid_is_no_instance_of_now() -> None:
    process = (GpuProcess(4711, "llama-server", GIB),)
    lines = text(gpu(processes=process), instances={4711: "deepseek"}, source="recorded")
    assert not any("deepseek" in line for line in lines)


def test_shared_memory_simulation_and_recording_say_so() -> None:
    shared = gpu(PRO, "memory_total", shared_memory=True)
    assert "54.0 shared" in text(shared)[2]
    assert "SIMULATED GPUs" in text(gpu(replace(PRO, simulated=True)), source="simulated")[0]
    assert "recorded" in text(gpu(), source="recorded")[0]


def test_one_gpu_without_a_price() -> None:
    assert text(gpu(), power=PowerConfig())[-1] == "545 W"
    assert text(gpu(), session="1.2 Wh since the start")[-1].endswith("1.2 Wh since the start")


def test_no_gpu() -> None:
    lines = text(problem=Problem("the NVIDIA driver sees no GPU", ""))
    assert lines[1] == "! the NVIDIA driver sees no GPU"


def test_a_narrower_link_names_the_best() -> None:
    assert "4×8 of 5×16" in text(gpu(pcie_link_gen=4.0, pcie_link_width=8.0))[2]


@pytest.mark.parametrize("width", [20, 40])
def test_the_host_and_the_time_make_room(width: int) -> None:
    lines = text(gpu(), host=HostSample(12.0, 41 * GIB, 128 * GIB), width=width)
    assert lines[0].startswith("rig01")
    assert cell_width(lines[0]) <= width


@given(
    st.integers(20, 250),
    st.integers(0, 4),
    st.lists(st.sampled_from(sorted(VALUES)), max_size=12),
    st.text(max_size=60),
    st.sampled_from([0x0, 0x4, 0x64, 0xEC]),
)
def test_nothing_is_wider_than_the_terminal(
    width: int, gpus: int, without: list[str], command: str, reasons: int
) -> None:
    process = GpuProcess(1, "x", None, host=host(1, command=command))
    samples = [
        gpu(
            replace(PRO, index=i),
            *without,
            processes=(process,) * i,
            throttle_reasons=float(reasons),
        )
        for i in range(gpus)
    ]
    for line in text(*samples, width=width):
        assert cell_width(line) <= width
        assert line == line.rstrip()
