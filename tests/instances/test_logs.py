"""Logs on disk: kept at a start, bounded while they grow; nothing is lost to those who read them."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.errors import GputuiError
from gputui.instances import locks
from gputui.instances.log import bound as logs
from gputui.instances.log.bound import LogBounds, bound, rotate
from gputui.instances.records import Paths, Record
from gputui.llama.growing import KEPT, GrowingLog, older
from gputui.llama.requests import RequestCounts, RequestLog
from tests.instances.conftest import Rig, started, status_of
from tests.instances.test_requests import BAD_JSON, GREETING, SERVED
from tests.support.waiting import wait_for


def record_of(paths: Paths, name: str = "a") -> Record:
    log = paths.log(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    return Record(
        name=name, pid=1, start_ticks=2, boot_id="b", executable="x", argv=(), host="h", port=1,
        model="m", log=str(log), started_at=0.0,
    )  # fmt: skip


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "state")


def contents(log: Path) -> list[str]:
    """Newest first; "" for one that is not there."""
    files = (older(log, age) for age in range(KEPT + 2))
    return [file.read_text() if file.exists() else "" for file in files]


def test_a_start_keeps_the_logs_before_it_in_bounded_number(paths: Paths) -> None:
    log = paths.log("a")
    for number in range(6):
        rotate(log)
        log.write_text(f"{number}")
    assert contents(log) == ["5", "4", "3", "2", ""]


def test_a_log_that_is_too_large_is_cut_and_the_server_goes_on_in_it(paths: Paths) -> None:
    record = record_of(paths)
    log = Path(record.log)
    with log.open("ab", buffering=0) as server:  # its own descriptor, which appends
        server.write(b"x" * 100)
        assert not bound(paths, record, 100)
        server.write(b"\n")
        assert bound(paths, record, 100)
        server.write(b"on\n")
    assert contents(log)[:2] == ["on\n", "x" * 100 + "\n"]
    assert log.stat().st_blocks <= 16, "no hole before it"
    assert older(log, 1).stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in log.parent.iterdir()) == ["a.log", "a.log.1"]


def test_what_is_kept_stays_bounded_however_much_comes(paths: Paths) -> None:
    record = record_of(paths)
    log = Path(record.log)
    for number in range(20):
        with log.open("a") as server:
            server.write(f"{number:0100}\n")
        assert bound(paths, record, 100)
    assert [text.lstrip("0").strip() for text in contents(log)] == ["", "19", "18", "17", ""]


def test_another_gputui_at_the_instance_is_not_disturbed(paths: Paths) -> None:
    record = record_of(paths)
    Path(record.log).write_text("x" * 200)
    with locks.hold(paths.lock("a"), "stop"):
        assert not bound(paths, record, 100)
    assert contents(Path(record.log))[:2] == ["x" * 200, ""]


def test_a_full_disk_costs_the_older_logs_and_then_nothing_but_the_bound(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(paths)
    log = Path(record.log)
    log.write_text("new" * 100)
    for age in range(1, KEPT + 1):
        older(log, age).write_text(f"old {age}")
    real = logs._copy_and_empty

    def with_room_for_one(log: Path, aside: Path, lock: Path) -> None:
        if older(log, 1).exists():
            aside.write_text("half")
            raise OSError(errno.ENOSPC, "full")
        real(log, aside, lock)

    monkeypatch.setattr(logs, "_copy_and_empty", with_room_for_one)
    assert bound(paths, record, 100)
    assert contents(log) == ["", "new" * 100, "", "", ""]

    def never(log: Path, aside: Path, lock: Path) -> None:
        aside.write_text("half")
        raise OSError(errno.ENOSPC, "full")

    log.write_text("newer" * 100)
    monkeypatch.setattr(logs, "_copy_and_empty", never)
    assert not bound(paths, record, 100)
    assert contents(log)[0] == "newer" * 100, "it stays as it is"
    assert not list(log.parent.glob(".*")), "and nothing half done is left"


def test_who_stops_a_server_does_not_wait_for_its_log_to_be_copied(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(paths)
    log = Path(record.log)
    log.write_text("x" * 200)
    real = logs._copy
    free: list[bool] = []

    def copy(source: BinaryIO, target: BinaryIO, last: bytes) -> bytes:
        if not free:
            with locks.hold(paths.lock("a"), "stop"):
                free.append(True)
        return real(source, target, last)

    monkeypatch.setattr(logs, "_copy", copy)
    assert bound(paths, record, 100)
    assert free
    assert contents(log)[:2] == ["", "x" * 200]


def test_a_process_that_starts_while_the_log_is_copied_keeps_both(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(paths)
    log = Path(record.log)
    log.write_text("old" * 100)
    real = logs._copy

    def copy(source: BinaryIO, target: BinaryIO, last: bytes) -> bytes:
        if not older(log, 1).exists():
            rotate(log)
            log.write_text("new")
        return real(source, target, last)

    monkeypatch.setattr(logs, "_copy", copy)
    assert not bound(paths, record, 100)
    assert contents(log)[:3] == ["new", "old" * 100, ""]
    assert not list(log.parent.glob(".*"))


def test_a_log_that_is_gone_or_may_not_be_written_hinders_nothing(paths: Paths) -> None:
    record = record_of(paths)
    LogBounds(paths, 100).keep([record])
    Path(record.log).mkdir()
    LogBounds(paths, 0).keep([record])
    shutil.rmtree(paths.state_dir / "instances")
    paths.state_dir.joinpath("instances").write_text("a file where the locks should be")
    LogBounds(paths, 0).keep([record])
    with pytest.raises(GputuiError, match="cannot be written"):
        rotate(paths.state_dir / "instances" / "no" / "a.log")


def test_looks_are_not_more_often_than_needed(paths: Paths) -> None:
    bounds = LogBounds(paths)
    assert bounds.due
    bounds.keep([])
    assert not bounds.due


def _bound_again_and_again(paths: Paths, ended: threading.Event) -> None:
    while not ended.wait(0.002):
        bound(paths, record_of(paths), 20_000)


def test_a_server_that_writes_while_several_gputuis_cut_loses_next_to_nothing(paths: Paths) -> None:
    """Whole lines, in order, each once; all are there but for those of a few microseconds."""
    record = record_of(paths)
    log = Path(record.log)
    program = (
        "import os, sys, time\n"
        "log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "for number in range(4000):\n"
        "    os.write(log, b'%07d %s\\n' % (number, b'x' * 40))\n"
        "    time.sleep(0.0001)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", program, str(log)])
    ended = threading.Event()
    others = [
        threading.Thread(target=_bound_again_and_again, args=(paths, ended)) for _ in range(2)
    ]
    for other in others:
        other.start()
    reader, data = GrowingLog(log), b""
    try:
        wait_for(log.exists)
        while server.poll() is None:
            data += reader.read(2**20)
        data += reader.read(2**20)
    finally:
        ended.set()
        server.kill()
        server.wait()
        for other in others:
            other.join(30)
    assert older(log, 1).exists(), "it was cut"
    numbers = [int(line.split()[0]) for line in data.splitlines()]
    assert numbers == sorted(set(numbers))
    assert all(len(line) == 48 for line in data.splitlines())
    assert len(numbers) >= 3990


# ── readers ──────────────────────────────────────────────────────────────────────────────────────

Steps = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=600).map(lambda data: ("write", data)),
        st.just(("cut", b"")),
        st.just(("start", b"")),
        st.integers(1, 500).map(lambda limit: ("read", bytes(limit))),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(Steps)
def test_a_follower_gets_every_byte_once_whatever_is_cut_or_started(
    steps: list[tuple[str, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder))
        record = record_of(paths)
        log = Path(record.log)
        log.touch()
        reader, written, got, rotations = GrowingLog(log), b"", b"", 0
        for number, (step, data) in enumerate(steps):
            if step == "write":
                data = bytes([number]) + data  # a log does not begin as the one before it did
                with log.open("ab") as file:
                    file.write(data)
                written += data
            elif step == "read":
                got += reader.read(len(data))
                rotations = 0 if got == written else rotations
            elif rotations < KEPT and (step == "start" or log.stat().st_size):
                got += reader.read(1) if rotations == 0 else b""  # it has begun to read the newest
                rotations += 1
                if step == "cut":
                    assert bound(paths, record, 0)
                else:
                    rotate(log)
                    log.touch()
        while piece := reader.read(2**20):
            got += piece
        assert got == written


def test_requests_are_counted_once_over_a_cut(paths: Paths) -> None:
    record = record_of(paths)
    log = Path(record.log)
    counted = RequestLog(log)
    with log.open("a") as server:
        server.write(GREETING + SERVED * 3)
        server.flush()
        assert counted.read() == RequestCounts(3, 0)
        server.write(SERVED + BAD_JSON[:30])
        server.flush()
        assert bound(paths, record, 0)
        server.write(BAD_JSON[30:] + SERVED)
        server.flush()
        assert counted.read() == RequestCounts(6, 1), (
            "none lost, none twice, not even the half line"
        )
        assert bound(paths, record, 0)
        server.write(SERVED * 40)
        server.flush()
    assert counted.read() == RequestCounts(46, 1), "though it is longer than before by now"


async def test_whoever_looks_at_a_running_server_bounds_its_log(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(logs.LogBounds.__init__, "__defaults__", (2000,))
    rig.add("a", {"load_log": GREETING + SERVED})
    session = rig.session()
    await started(session, "a")
    log = rig.state / "logs" / "a.log"
    with log.open("a") as file:
        file.write(SERVED * 20)
    before = await status_of(session, "a")
    again = await status_of(session, "a")
    assert log.stat().st_size == 0
    assert older(log, 1).stat().st_size > 2000
    assert before.metrics.requests_total == again.metrics.requests_total == 21
    await session.stop("a")
    shutil.rmtree(log.parent)
