"""Traces on disk: what is written is read, whatever breaks off, is damaged or comes from elsewhere."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from gputui import __version__
from gputui.errors import GputuiError
from gputui.gpu import trace
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.sample import GpuProcess, GpuSample, Problem, Snapshot
from gputui.gpu.trace_reader import LONGEST_LINE, read_trace
from gputui.gpu.trace_writer import write_trace
from gputui.host import Disk, HostSample
from gputui.identity import GpuIdentity
from tests.support.hostile import HOSTILE, IDS, assert_clean
from tests.support.traces import read_up_to_damage, recordings, snapshot, write_lines

in_one_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@in_one_folder
@given(recorded=recordings())
def test_what_is_written_is_read(tmp_path: Path, recorded: list[Snapshot]) -> None:
    path = tmp_path / "a.trace"
    assert write_trace(path, recorded) == len(recorded)
    assert list(read_trace(path)) == recorded
    assert [s.source for s in read_trace(path, "recorded")] == ["recorded"] * len(recorded)
    plain = tmp_path / "plain.trace"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    assert list(read_trace(plain)) == recorded


FIRST_LINE = {
    "taken_at": 1769904000.125,
    "driver_version": "570.86.16",
    "cuda_version": "12.8",
    "gpus": [
        {
            "index": 0,
            "uuid": "GPU-a",
            "name": "a GPU",
            "pci_bus_id": "00000000:01:00.0",
            "simulated": True,
        }
    ],
    "readings": [
        {
            "values": {"memory_used": 8589934592, "power_draw": 545.25},
            "processes": [{"pid": 7, "name": "llama-server", "used_gpu_memory": 5000}],
        }
    ],
    "host": {
        "cpu_percent": 12.5,
        "memory_used": 5,
        "memory_total": 9,
        "swap_used": None,
        "swap_total": None,
        "load_average": [0.5, 1, 1.5],
        "disks": [{"mount": "/models", "free": 3, "total": 4}],
    },
}
SECOND_LINE = {
    "taken_at": 1769904001,
    "problem": {"message": "gone"},
    "readings": [{"unavailable": {"power_draw": "timed out"}}],
    "host": {"memory_used": 6, "load_average": None, "disks": []},
}


def test_the_form_on_disk_is_the_documented_one(tmp_path: Path) -> None:
    """Line for line: it must not change while the version is 1."""
    memory = {"memory_used": 8 * 2.0**30}
    missing = {name: "" for name in METRICS_BY_NAME if name not in ("power_draw", *memory)}
    gpu = GpuSample(
        GpuIdentity(0, "GPU-a", "a GPU", "00000000:01:00.0", simulated=True),
        {"power_draw": 545.25, **memory},
        missing,
        (GpuProcess(7, "llama-server", 5000),),
    )
    host = HostSample(12.5, 5, 9, load_average=(0.5, 1, 1.5), disks=(Disk("/models", 3, 4),))
    first = Snapshot("nvml", 1769904000.1254, (gpu,), "570.86.16", None, "12.8", host)
    later = replace(gpu, values=memory, unavailable={**missing, "power_draw": "timed out"})
    second = replace(
        first,
        taken_at=1769904001.0,
        gpus=(later,),
        problem=Problem("gone"),
        host=HostSample(12.5, 6, 9),
    )
    path = tmp_path / "a.trace"
    write_trace(path, [first, second])
    header, one, two = map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
    assert header == {"gputui_trace": 1, "gputui": __version__, "source": "nvml"}
    assert one["readings"][0].pop("unavailable") == missing
    assert (one, two) == (FIRST_LINE, SECOND_LINE)
    assert '"gputui_trace": 1' in (trace.__doc__ or "")


def test_what_does_not_change_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(path, [snapshot(float(second)) for second in range(100)])
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert set(map(len, lines[12:])) == {len(b'{"taken_at":10}')}


@pytest.mark.parametrize("packed", [True, False])
def test_cut_off_anywhere_it_is_read_up_to_there(tmp_path: Path, packed: bool) -> None:
    recorded = [snapshot(float(second), second / 7) for second in range(6)]
    whole, path = tmp_path / "whole.trace", tmp_path / "cut.trace"
    write_trace(whole, recorded)
    content = whole.read_bytes() if packed else gzip.decompress(whole.read_bytes())
    recorded = list(read_trace(whole))
    counts = []
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        read, said = read_up_to_damage(path)
        assert read == recorded[: len(read)]
        assert bool(read) != bool(said), "no error, unless there is nothing at all"
        counts.append(len(read))
    assert counts == sorted(counts)
    assert counts[-1] == 6


def test_bytes_that_changed_cost_what_comes_after_and_never_crash(tmp_path: Path) -> None:
    recorded = [snapshot(float(second), second / 7) for second in range(4)]
    whole, path = tmp_path / "whole.trace", tmp_path / "bad.trace"
    write_trace(whole, recorded)
    content = whole.read_bytes()
    noticed = 0
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        read, said = read_up_to_damage(path)
        noticed += bool(said)
        assert len(read) <= 4
    assert noticed > 0.9 * len(content)


def test_what_was_packed_before_the_damage_is_read_to_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    packer = zlib.compressobj(wbits=31)
    lines = [b'{"gputui_trace":1}\n', *(b'{"taken_at":%d}\n' % second for second in range(50))]
    good = packer.compress(b"".join(lines)) + packer.flush(zlib.Z_SYNC_FLUSH)
    path.write_bytes(good + b"\xff" * 5000)
    read, said = read_up_to_damage(path)
    assert len(read) == 50
    assert "line 52: the compressed data are damaged" in said


def test_two_traces_behind_each_other_are_not_one(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_trace(path, [snapshot(1.0)])
    path.write_bytes(path.read_bytes() * 2)
    read, said = read_up_to_damage(path)
    assert len(read) == 1
    assert "line 3" in said


GPU = {"index": 0, "uuid": "GPU-0", "name": "", "pci_bus_id": ""}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"nonsense\n", "malformed"),
        (b"\xff\xfe\n", ""),
        (b"\n", ""),
        (b"[]\n", "object"),
        (b"[" * 100_000 + b"\n", ""),
        (b'{"a":' * 100_000 + b"\n", ""),
        ({}, "taken_at"),
        ({"taken_at": "now"}, "taken_at"),
        ({"taken_at": -1}, "taken_at"),
        ({"taken_at": 1e12}, "taken_at"),
        (b'{"taken_at":NaN}\n', "malformed"),
        (b'{"taken_at":1e999}\n', ""),
        ({"taken_at": 2, "gpus": [{"index": 1}]}, "uuid"),
        ({"taken_at": 2, "gpus": [GPU] * 257}, "length"),
        ({"taken_at": 2, "readings": [{}, {}]}, "readings of 2 GPUs, where 1 are named"),
        ({"taken_at": 2, "readings": [{"values": {"power_draw": None}}]}, "float"),
        ({"taken_at": 2, "readings": [{"processes": [{"pid": -1}]}]}, "pid"),
        ({"taken_at": 2, "readings": [{"processes": [{"pid": 10**30}]}]}, ""),
        ({"taken_at": 2, "readings": [{"processes": [{"pid": 1, "type": "X"}]}]}, "type"),
        ({"taken_at": 2, "host": {"load_average": [1]}}, "load_average"),
        (b'{"taken_at":2,"x":"' + b"x" * (2 * LONGEST_LINE) + b'"}\n', "the line is too long"),
    ],
)
def test_a_damaged_line_is_named_and_what_is_before_it_read(
    tmp_path: Path, line: object, what: str, packed: bool
) -> None:
    path = tmp_path / "bad.trace"
    before, after = {"taken_at": 1, "gpus": [GPU]}, {"taken_at": 3}
    write_lines(path, before, line, after, packed=packed)
    read, said = read_up_to_damage(path)
    assert [s.taken_at for s in read] == [1]
    assert said.startswith(f"{path}: line 3: ")
    assert what in said


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (b"", "line 1", "not a gputui trace"),
        (b"hello\n", "line 1", "not a gputui trace"),
        (b"\xff\xfe\n", "line 1", "not a gputui trace"),
        (b"\x1f\x8b", "line 1", "not a gputui trace"),
        (b"\x1f\x8bnonsense", "line 1", "damaged"),
        (b'{"gputui_trace": 99}\n', "line 1", "version 99"),
        (b'{"gputui_trace": 1}\n', "", "no snapshot in it"),
        (b'{"gputui_trace": 1}\n{"taken_at"', "", "no snapshot in it"),
        (b"x" * (2 * LONGEST_LINE), "line 1", "too long"),
    ],
)
def test_what_is_no_trace_is_an_error_with_file_and_line(
    tmp_path: Path, content: bytes, where: str, what: str
) -> None:
    path = tmp_path / "bad.trace"
    path.write_bytes(content)
    read, said = read_up_to_damage(path)
    assert read == []
    assert said.startswith(str(path))
    assert where in said
    assert what in said


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(GputuiError, match=str(path)):
            next(read_trace(path))


@pytest.mark.parametrize("text", [text for _, text in HOSTILE], ids=IDS)
def test_texts_from_elsewhere_are_cleaned(tmp_path: Path, text: str) -> None:
    evil = text[:5_000].encode(errors="replace").decode()
    names = {"index": 0, "uuid": evil, "name": evil, "pci_bus_id": evil}
    readings = {
        "values": {"power_draw": 5, evil: 7},
        "unavailable": {"fan_speed": evil, evil: evil},
        "processes": [{"pid": 1, "name": evil}],
        "problem": {"message": evil, "hint": evil},
    }
    line = {
        "taken_at": 1,
        "driver_version": evil,
        "cuda_version": evil,
        "problem": {"message": evil, "hint": evil},
        "gpus": [names],
        "readings": [readings],
        "host": {"disks": [{"mount": evil, "free": 1, "total": 2}]},
    }
    path = tmp_path / "evil.trace"
    path.write_text(json.dumps({"gputui_trace": 1, "source": evil}) + "\n" + json.dumps(line))
    (read,) = read_trace(path)
    gpu = read.gpus[0]
    assert gpu.values == {"power_draw": 5}
    assert set(gpu.unavailable) == set(METRICS_BY_NAME) - {"power_draw"}
    assert gpu.unavailable["pstate"] == "not recorded"
    assert read.host is not None
    assert read.problem is not None
    assert gpu.problem is not None
    texts = [
        *(read.source, read.driver_version, read.cuda_version, read.host.disks[0].mount),
        *(gpu.identity.uuid, gpu.identity.name, gpu.identity.pci_bus_id),
        *(gpu.unavailable["fan_speed"], gpu.processes[0].name),
        *(read.problem.message, read.problem.hint, gpu.problem.message, gpu.problem.hint),
    ]
    for shown in texts:
        assert shown is not None
        assert_clean(shown)
        assert "\n" not in shown
        assert len(shown) <= 500


def test_keys_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    new = {"taken_at": 1, "weather": "fine", "gpus": [{**GPU, "colour": 1}], "readings": [{"x": 1}]}
    write_lines(path, new)
    assert [s.identities for s in read_trace(path)] == [(GpuIdentity(0, "GPU-0", "", ""),)]


def test_gpus_that_come_and_go_forget_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    write_lines(
        path,
        {"taken_at": 1, "gpus": [GPU], "readings": [{"values": {"power_draw": 5}}]},
        {"taken_at": 2, "gpus": []},
        {"taken_at": 3, "gpus": [GPU]},
    )
    first, second, third = read_trace(path)
    assert first.gpus[0].values == {"power_draw": 5}
    assert second.gpus == ()
    assert third.gpus[0].values == {}


def test_what_is_packed_a_thousand_times_is_unpacked_in_pieces(tmp_path: Path) -> None:
    """A file of 100 KB that unpacks to 100 MB is refused at its first MB."""
    path = tmp_path / "bomb.trace"
    write_lines(path, {"taken_at": 1}, b"x" * 10**8, packed=True)
    tracemalloc.start()
    read, said = read_up_to_damage(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(read) == 1
    assert "too long" in said
    assert peak < 8 * 2**20
