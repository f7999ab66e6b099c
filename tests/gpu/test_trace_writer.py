"""The file that a recording is: private, whole at every flush, and never in place of another unasked."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path

import pytest

from gputui.errors import GputuiError
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Snapshot
from gputui.gpu.trace_reader import read_trace
from gputui.gpu.trace_writer import FLUSH_SECONDS, TraceWriter, write_trace
from gputui.identity import GpuIdentity
from gputui.processes import ProcessIdentity
from tests.support.nvml_scenarios import Clock
from tests.support.traces import read_up_to_damage, snapshot


def test_every_flush_is_in_the_file_whatever_becomes_of_the_writer(tmp_path: Path) -> None:
    path, clock = tmp_path / "a.trace", Clock()
    writer = TraceWriter(path, "nvml", clock=clock)
    kept = []
    for second in range(20):
        clock.now += 1
        writer.write(snapshot(float(second)))
        kept.append(len(read_up_to_damage(path)[0]))
    assert all(second + 1 - there <= FLUSH_SECONDS for second, there in enumerate(kept))
    writer.close()
    writer.close()
    assert len(list(read_trace(path))) == 20


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o600])
def test_a_trace_is_private_and_not_overwritten_unasked(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.trace"
    with TraceWriter(path, "nvml") as writer:
        writer.write(snapshot(1.0))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(GputuiError, match="there is such a file already") as raised:
        TraceWriter(path, "nvml")
    assert "--force" in raised.value.hint
    assert path.read_bytes() == before
    path.chmod(mode)
    write_trace(path, [snapshot(2.0)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [s.taken_at for s in read_trace(path)] == [2.0]


def test_a_link_that_hangs_in_the_air_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GputuiError, match="there is such a file already"):
        TraceWriter(link, "nvml")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("no/such/a.trace", "No such file or directory"),
        ("", "Is a directory"),
        ("/dev/full", "No space left on device"),
    ],
)
def test_what_cannot_be_written_is_an_error(tmp_path: Path, where: str, why: str) -> None:
    with pytest.raises(GputuiError, match=why):
        write_trace(tmp_path / where, [snapshot(1.0)])


def test_a_trace_says_nothing_of_users_and_commands(tmp_path: Path) -> None:
    host = HostProcess(ProcessIdentity(7, 1, "boot"), "alice", "serve --key hunter2", 5.0, own=True)
    process = GpuProcess(7, "serve", 5, host=host)
    gpu = GpuSample(GpuIdentity(0, "GPU-a", "", ""), {}, processes=(process,))
    path = tmp_path / "a.trace"
    write_trace(path, [Snapshot("nvml", 1.0, (gpu,))])
    content = gzip.decompress(path.read_bytes())
    assert b'"serve"' in content
    for secret in (b"alice", b"hunter2", b"--key", b"boot"):
        assert secret not in content
