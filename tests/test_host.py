"""Reading the machine: what it says, and what can hang in it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gputui import host
from gputui.gpu.sample import Snapshot
from gputui.gpu.sampler import Sampler
from gputui.host import DISK_SECONDS, HostReader, HostSample, mount_point
from tests.support.waiting import wait_for


@pytest.fixture
def readers() -> Iterator[list[HostReader]]:
    made: list[HostReader] = []
    yield made
    for reader in made:
        reader.stop()


def started(readers: list[HostReader], *folders: Path, **more: object) -> HostReader:
    reader = HostReader(folders, **more).start()  # type: ignore[arg-type]
    readers.append(reader)
    return reader


def first(reader: HostReader) -> HostSample:
    found = wait_for(reader)
    assert found is not None
    return found


def test_this_machine(readers: list[HostReader], tmp_path: Path) -> None:
    reader = started(readers, tmp_path)
    wait_for(lambda: first(reader).disks)
    sum(range(3_000_000))
    sample = wait_for(lambda: (s := first(reader)).cpu_percent is not None and s)
    assert isinstance(sample, HostSample)
    assert 0 <= (sample.cpu_percent or 0) <= 100
    assert sample.memory_total == psutil.virtual_memory().total
    assert 0 < (sample.memory_used or 0) < (sample.memory_total or 0)
    assert sample.load_average is not None
    (disk,) = sample.disks
    assert 0 < disk.free <= disk.total
    assert tmp_path.is_relative_to(disk.mount)


def test_nothing_is_known_before_it_began_and_no_call_waits() -> None:
    assert HostReader([Path("/")])() is None


def test_of_all_cores_together_between_two_calls(
    readers: list[HostReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy and all seconds of all cores: 30 of 40 used, then none."""
    reader = started(readers)
    first(reader)
    times = iter([(100.0, 400.0), (130.0, 440.0), (130.0, 440.0), (130.0, 480.0)])
    monkeypatch.setattr(host, "_times", lambda _: next(times))
    found = [reader() for _ in range(4)]
    assert [sample and sample.cpu_percent for sample in found[1:]] == [75.0, 75.0, 0.0]


def test_a_file_server_that_is_gone_holds_nobody_and_hides_no_other(
    readers: list[HostReader], tmp_path: Path
) -> None:
    here, gone = tmp_path / "here", tmp_path / "gone"
    here.mkdir()
    gone.mkdir()
    answer = threading.Event()
    asked: list[Path] = []

    def statvfs(folder: Path) -> os.statvfs_result:
        asked.append(folder)
        if folder == gone:
            answer.wait(60)
        return os.statvfs(folder)

    reader = started(readers, gone, here, gone, statvfs=statvfs)
    wait_for(lambda: first(reader).disks)
    wait_for(lambda: gone in asked)
    assert len(first(reader).disks) == 1
    assert asked.count(gone) == 1, "a folder is looked at once, however many models lie there"
    answer.set()


def test_what_is_old_is_not_known(readers: list[HostReader], tmp_path: Path) -> None:
    now = [0.0]
    reader = started(readers, tmp_path, clock=lambda: now[0])
    wait_for(lambda: first(reader).disks)
    now[0] = 3 * DISK_SECONDS
    assert first(reader).disks
    now[0] += 0.1
    assert first(reader).disks == ()


def test_folders_of_one_file_system_are_one(readers: list[HostReader], tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders[:2]:
        folder.mkdir()
    reader = started(readers, *folders)
    wait_for(lambda: len(reader._disks) == 2)
    assert len(first(reader).disks) == 1


def test_a_folder_that_is_not_there_is_on_no_file_system(
    readers: list[HostReader], tmp_path: Path
) -> None:
    reader = started(readers, tmp_path / "none", tmp_path)
    wait_for(lambda: first(reader).disks)
    assert tmp_path / "none" not in reader._disks


def test_where_a_file_system_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 8:2 / /srv rw shared:1 - ext4 /dev/b rw\n"
        "3 2 8:3 / /srv/big\\040models rw - xfs /dev/c rw\n"
        "broken line\n"
    )
    monkeypatch.setattr(host, "_MOUNTS", table)
    assert mount_point(Path("/srv/big models/qwen")) == "/srv/big models"
    assert mount_point(Path("/srv/bigger")) == "/srv"
    assert mount_point(Path("/server")) == "/"
    monkeypatch.setattr(host, "_MOUNTS", tmp_path / "none")
    assert mount_point(Path("/server")) == "/server"


class Once:
    """A source whose snapshots say something of the host, or nothing."""

    name = "scripted"
    live = True

    def __init__(self, own: HostSample | None) -> None:
        self._own = own

    def sample(self) -> Snapshot:
        return Snapshot(self.name, 1.0, host=self._own)

    def samples(self) -> tuple[Snapshot]:
        return (self.sample(),)

    def close(self) -> None: ...


@pytest.mark.parametrize("own", [None, HostSample(cpu_percent=1.0)])
def test_the_sampler_adds_the_host_where_the_source_has_none(own: HostSample | None) -> None:
    told: list[Snapshot] = []
    here = HostSample(cpu_percent=50.0)
    sampler = Sampler(Once(own), 0.05, told.append, host=lambda: here)  # type: ignore[arg-type]
    sampler.start()
    wait_for(lambda: told)
    sampler.stop(wait=5)
    assert told[0].host == (own or here)


def test_importing_it_and_making_one_loads_no_psutil() -> None:
    code = "import sys, gputui.host as h; h.HostReader(); print('psutil' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
