from __future__ import annotations

import contextlib
import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.errors import GputuiError
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.recorded import END_OF_RECORDING, RecordedSource, read_trace, write_trace
from gputui.gpu.sample import GpuProcess, GpuSample, Problem, Snapshot
from gputui.identity import GpuIdentity

line = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
problems = st.none() | st.builds(Problem, line, line)


@st.composite
def gpus(draw: st.DrawFn, index: int) -> GpuSample:
    values = draw(st.dictionaries(st.sampled_from(sorted(METRICS_BY_NAME)), numbers))
    missing = {name: draw(line) for name in METRICS_BY_NAME if name not in values}
    process = st.builds(GpuProcess, st.integers(0, 2**22), line, st.none() | st.integers(0, 2**40))
    return GpuSample(
        GpuIdentity(index, f"GPU-{index}", draw(line), draw(line), draw(st.booleans())),
        values,
        missing,
        tuple(draw(st.lists(process, max_size=3))),
        draw(problems),
        draw(st.booleans()),
    )


@st.composite
def traces(draw: st.DrawFn) -> list[Snapshot]:
    times = draw(st.lists(st.floats(0, 4e9), min_size=1, max_size=5))
    return [
        Snapshot(
            draw(line),
            taken_at,
            tuple(draw(gpus(index)) for index in range(draw(st.integers(0, 3)))),
            draw(st.none() | line),
            draw(problems),
        )
        for taken_at in times
    ]


def snapshot(taken_at: float, power: float = 1.0) -> Snapshot:
    gpu = GpuSample(GpuIdentity(0, "GPU-0", "a GPU", "bus"), {"power_draw": power})
    return Snapshot("nvml", taken_at, (gpu,))


class Clock:
    now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("name", ["a.trace", "a.trace.gz"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(recorded=traces())
def test_what_is_written_is_read(tmp_path: Path, name: str, recorded: list[Snapshot]) -> None:
    path = tmp_path / name
    assert write_trace(path, recorded) == len(recorded)
    assert list(read_trace(path)) == recorded


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(recorded=traces(), data=st.data())
@pytest.mark.parametrize("name", ["a.trace", "a.trace.gz"])
def test_a_recording_that_broke_off_is_read_up_to_there(
    tmp_path: Path, name: str, recorded: list[Snapshot], data: st.DataObject
) -> None:
    path = tmp_path / name
    write_trace(path, recorded)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(GputuiError):  # broke off before the first snapshot's end
        read = list(read_trace(path))
        assert read == recorded[: len(read)]


def test_half_a_last_line_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    recorded = [snapshot(1.0), snapshot(2.0), snapshot(3.0)]
    write_trace(path, recorded)
    path.write_bytes(path.read_bytes()[:-20])
    assert [s.taken_at for s in read_trace(path)] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (b"", "", "no snapshot in it"),
        (b"hello\n", "line 1", "not a gputui trace"),
        (b"\xff\xfe\n", "line 1", "not a gputui trace"),
        (b'{"gputui_trace": 99}\n', "line 1", "version 99"),
        (b'{"gputui_trace": 1}\n', "", "no snapshot in it"),
        (b'{"gputui_trace": 1}\n{}\n', "line 2", "source"),
        (b'{"gputui_trace": 1}\n{"source": "a", "taken_at": "now"}\n', "line 2", "taken_at"),
        (b'{"gputui_trace": 1}\nnonsense\n{"source": "a", "taken_at": 1}\n', "line 2", ""),
    ],
)
def test_what_is_no_trace_is_an_error_with_file_and_line(
    tmp_path: Path, content: bytes, where: str, what: str
) -> None:
    path = tmp_path / "bad.trace"
    path.write_bytes(content)
    with pytest.raises(GputuiError) as raised:
        read_trace(path)
    assert str(path) in raised.value.message
    assert where in raised.value.message
    assert what in raised.value.message


def test_a_file_that_is_not_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.gz"
    path.write_bytes(b"plain text\n")
    with pytest.raises(GputuiError, match=r"bad\.gz"):
        read_trace(path)


def test_a_trace_from_elsewhere_is_cleaned_and_held_to_the_metric_table(tmp_path: Path) -> None:
    evil = "a\x1b]52;c;ZXZpbA==\x07b‮c"
    gpu = {
        "identity": {"index": 0, "uuid": evil, "name": evil, "pci_bus_id": evil},
        "values": {"power_draw": 5, "launch_codes": 7},
        "unavailable": {"fan_speed": evil, "power_draw": "both"},
        "processes": [{"pid": 1, "name": evil, "used_gpu_memory": None}],
        "problem": {"message": evil, "hint": evil},
    }
    record = {"source": evil, "taken_at": 1, "driver_version": evil, "gpus": [gpu]}
    path = tmp_path / "evil.trace"
    path.write_text('{"gputui_trace": 1}\n' + json.dumps(record) + "\n")
    (read,) = read_trace(path)
    sample = read.gpus[0]
    assert sample.identity == GpuIdentity(0, "abc", "abc", "abc")
    assert read.driver_version == read.source == "abc"
    assert sample.processes == (GpuProcess(1, "abc", None),)
    assert sample.problem == Problem("abc", "abc")
    assert sample.values == {"power_draw": 5}
    assert set(sample.unavailable) == set(METRICS_BY_NAME) - {"power_draw"}
    assert sample.unavailable["fan_speed"] == "abc"
    assert sample.unavailable["pstate"] == "not recorded"


def test_playing_follows_the_clock_and_stays_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(path, [snapshot(100.0), snapshot(101.0), snapshot(103.0)])
    clock = Clock()
    source = RecordedSource(path, clock=clock)
    seen = []
    for _ in range(8):
        seen.append(source.sample())
        clock.now += 0.75
    assert [s.taken_at for s in seen] == [100, 100, 101, 101, 103, 103, 103, 103]
    assert [s.problem for s in seen] == [None] * 6 + [END_OF_RECORDING] * 2
    assert {s.source for s in seen} == {"recorded"}


def test_speed_and_loop(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(path, [snapshot(100.0), snapshot(101.0), snapshot(102.0)])
    clock = Clock()
    source = RecordedSource(path, clock=clock, speed=2.0, loop=True)
    seen = []
    for _ in range(8):
        seen.append(source.sample().taken_at)
        clock.now += 0.5
    assert seen == [100, 101, 102, 100, 101, 102, 100, 101]


def test_steps_need_no_clock(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(path, [snapshot(5.0, 1), snapshot(5.0, 2)])
    source = RecordedSource(path, step=True)
    seen = [source.sample() for _ in range(3)]
    assert [s.gpus[0].get("power_draw") for s in seen] == [1, 2, 2]
    assert [s.problem for s in seen] == [None, None, END_OF_RECORDING]
    around = RecordedSource(path, step=True, loop=True)
    assert [around.sample().gpus[0].get("power_draw") for _ in range(5)] == [1, 2, 1, 2, 1]


def test_a_clock_that_was_set_back_while_recording_does_not_stop_the_play(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(path, [snapshot(100.0, 1), snapshot(40.0, 2), snapshot(101.0, 3)])
    clock = Clock()
    source = RecordedSource(path, clock=clock)
    source.sample()
    clock.now += 1
    assert source.sample().gpus[0].get("power_draw") == 3


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GputuiError, match="no/such"):
        write_trace(tmp_path / "no/such/folder.trace", [snapshot(math.pi)])


def test_gzip_is_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    write_trace(path, [snapshot(1.0)])
    assert gzip.decompress(path.read_bytes()).startswith(b'{"gputui_trace":1}\n')
