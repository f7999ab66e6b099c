"""Records and logs: stale, broken, without a configuration, not writable."""

from __future__ import annotations

import errno
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from gputui.config import Config, InstanceConfig
from gputui.errors import GputuiError
from gputui.instances import adoption, locks, records, settling
from gputui.instances.facts import gather
from gputui.instances.lifecycle import NotRunningError
from gputui.instances.settling import Settler
from gputui.instances.starting.process import marker_of
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.llama import diagnosis
from gputui.llama.diagnosis import Diagnosis
from gputui.processes import boot_id, identify, matches
from tests.instances.conftest import Rig, run, started, status_of, until
from tests.support.ports import new_port


async def test_files_are_private(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    for path in [rig.state, *rig.state.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    await session.stop("one")


@pytest.mark.parametrize("change", ["boot", "start"])
async def test_a_stale_record_is_stopped_and_its_pid_never_signalled(rig: Rig, change: str) -> None:
    one = rig.add("one")
    innocent = run([sys.executable, "-c", "import time; time.sleep(600)"], GPUTUI_INSTANCE="one")
    try:
        true = identify(innocent.pid, marker_of("one"))
        record = records.Record(
            name="one",
            pid=innocent.pid,
            start_ticks=true.start_ticks - (1 if change == "start" else 0),
            boot_id="another boot" if change == "boot" else true.boot_id,
            executable="x",
            argv=("x",),
            host="127.0.0.1",
            port=one.port,
            model="x",
            log=str(rig.folder / "log"),
            started_at=1.0,
        )
        paths = records.Paths(rig.state)
        records.write(paths, record)
        session = rig.session()
        with pytest.raises(NotRunningError):
            await session.stop("one")
        assert (await status_of(session, "one")).state is State.STOPPED
        assert rig.record("one") is None
        assert innocent.poll() is None
        records.write(paths, record)
        await started(session, "one")  # nor does it stand in the way
        await session.stop("one")
        assert innocent.poll() is None
        unmarked = replace(record, start_ticks=true.start_ticks, boot_id=true.boot_id, name="two")
        assert not matches(unmarked.identity)  # right process, another marker
    finally:
        innocent.kill()
        innocent.wait()


async def test_a_broken_record_is_set_aside_and_told(rig: Rig) -> None:
    rig.add("one")
    file = records.Paths(rig.state).record("one")
    file.parent.mkdir(parents=True)
    file.write_text('{"name": "one", "pid": ')
    session = rig.session()
    status = await status_of(session, "one")
    assert status.state is State.STOPPED
    assert "could not be read" in status.note
    await started(session, "one")
    assert (await status_of(session, "one")).note == ""
    await session.stop("one")


@pytest.mark.parametrize("damage", ["", '{"name": "one", "pid": ', '{"name": "one"}', "\x00" * 400])
async def test_a_server_whose_record_is_damaged_is_known_all_the_same(
    rig: Rig, damage: str
) -> None:
    rig.add("one")
    await started(rig.session(), "one")
    before = rig.record("one")
    records.Paths(rig.state).record("one").write_text(damage)
    session = Supervisor(Config(), (), rig.state)  # not even its configuration is left
    rig.sessions.append(session)
    (status,) = await session.observe(1.0)
    assert (status.name, status.state, status.owned) == ("one", State.READY, True)
    assert status.note.startswith("is not in this configuration")
    after = rig.record("one")
    assert before is not None
    assert after is not None
    assert replace(after, ready_at=None) == replace(before, ready_at=None)
    await session.stop("one")


@pytest.mark.parametrize("act", ["start", "stop", "restart"])
async def test_a_damaged_record_is_mended_before_anything_is_done(rig: Rig, act: str) -> None:
    one = rig.add("one")
    await started(rig.session(), "one")
    record = rig.record("one")
    assert record is not None
    records.Paths(rig.state).record("one").write_text("{")
    rig.instances = [replace(one, port=new_port())]
    session = rig.session()
    if act == "start":
        with pytest.raises(GputuiError, match="one runs already"):
            await session.start("one")
        assert matches(record.identity)
        return
    await getattr(session, act)("one")
    assert not matches(record.identity)


def test_a_server_that_is_not_there_is_not_searched_for_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = records.Paths(tmp_path)
    searched: list[frozenset[str]] = []

    def search(_paths: records.Paths, names: frozenset[str]) -> tuple[()]:
        searched.append(names)
        return ()

    def spoil(name: str) -> None:
        paths.record(name).parent.mkdir(exist_ok=True)
        paths.record(name).write_text("{")

    monkeypatch.setattr(adoption, "_living", search)
    adopter = adoption.Adopter(paths, again=600)
    adopter.records()
    assert searched == []
    spoil("one")
    for _ in range(5):
        assert adopter.records() == {}
    assert searched == [{"one"}]
    spoil("two")
    for _ in range(5):
        adopter.records()
    assert searched == [{"one"}, {"one", "two"}]
    patient = adoption.Adopter(paths, again=0)
    patient.records()
    patient.records()
    assert len(searched) == 4, "once in a while it is"


async def test_a_stop_forgets_a_damaged_record_of_nobody(rig: Rig) -> None:
    rig.add("one")
    file = records.Paths(rig.state).record("one")
    file.parent.mkdir(parents=True)
    file.write_text("{")
    session = rig.session()
    assert "could not be read" in (await status_of(session, "one")).note
    await session.stop("one")
    assert (await status_of(session, "one")).note == ""


def test_the_dead_of_one_session_are_let_go_by_several_looks_at_once(rig: Rig) -> None:
    paths = records.Paths(rig.state)
    record = records.Record(
        name="one", pid=1, start_ticks=1, boot_id=boot_id(), executable="x", argv=("x",),
        host="127.0.0.1", port=new_port(), model="x", log="x", started_at=1.0,
    )  # fmt: skip
    one = InstanceConfig(name="one", model="x", port=record.port)
    children: dict[int, Any] = {}

    class Dead:
        """Another look is faster."""

        def poll(self) -> int:
            children.pop(2, None)
            return 0

    records.write(paths, record)
    children[2] = Dead()
    gather(paths, (one,), children, Settler(paths), adoption.Adopter(paths))
    assert children == {}


async def test_nothing_is_forgotten_while_no_file_can_be_opened(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    record = rig.record("one")
    assert record is not None
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        assert matches(record.identity)
        Settler(records.Paths(rig.state)).settle(record, None, None)
        await status_of(session, "one")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert rig.record("one") == record
    assert (await status_of(session, "one")).state is State.READY
    await session.stop("one")


async def test_what_runs_without_a_configuration_is_shown_and_can_be_stopped(rig: Rig) -> None:
    rig.add("one")
    await started(rig.session(), "one")
    later = Supervisor(Config(), (), rig.state)
    rig.sessions.append(later)
    (status,) = await later.observe()
    assert (status.name, status.state, status.owned) == ("one", State.READY, True)
    await later.stop("one")
    assert await later.observe() == ()


async def test_the_running_port_counts_not_the_configured_one(rig: Rig) -> None:
    one = rig.add("one")
    await started(rig.session(), "one")
    rig.instances = [replace(one, port=new_port())]
    session = rig.session()
    status = await status_of(session, "one")
    assert (status.state, status.port) == (State.READY, one.port)
    await session.stop("one")


async def test_the_log_is_cleaned(rig: Rig) -> None:
    rig.add("one", {"load_log": "\x1b[31mred\x1b]52;c;aGk=\x07 done"})
    session = rig.session()
    await started(session, "one")
    assert [line.text for line in session.log("one").open().lines_from(0, 9).lines] == ["red done"]
    assert session.log("never").open().size == 0
    await session.stop("one")


async def test_a_state_directory_that_cannot_be_written_is_told(tmp_path: Path, rig: Rig) -> None:
    rig.add("one")
    rig.state.write_text("a file where the directory should be")
    with pytest.raises(GputuiError) as refused:
        await rig.session().start("one")
    assert refused.value.hint


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on nothing can be written: no new file, no word in an old one."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill() -> None:
        monkeypatch.setattr(tempfile, "mkstemp", refuse)
        monkeypatch.setattr(os, "pwrite", refuse)

    return fill


async def test_on_a_full_disk_nothing_starts_and_what_runs_is_seen_and_stopped(
    rig: Rig, full_disk: Callable[[], None]
) -> None:
    rig.add("one")
    rig.add("two")
    session = rig.session()
    await session.start("one")
    full_disk()
    assert (await session.wait("one", 60)).state is State.READY  # though that cannot be noted
    with pytest.raises(GputuiError, match="No space left") as refused:
        await session.start("two")
    assert refused.value.hint
    assert (await status_of(session, "two")).state is State.STOPPED
    await session.stop("one")
    assert (await status_of(rig.session(), "one")).state is State.STOPPED


async def test_on_a_full_disk_a_death_is_told_all_the_same(
    rig: Rig, full_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    full_disk()
    rig.kill("one")
    diagnosed: list[object] = []

    def diagnose(*given: Any, **more: Any) -> Diagnosis:
        diagnosed.append(given)
        return diagnosis.diagnose(*given, **more)

    monkeypatch.setattr(settling, "diagnose", diagnose)
    for _ in range(3):
        assert "SIGKILL" in str((await until(session, "one", State.FAILED)).last_error)
    assert len(diagnosed) == 1, "not at every look: it takes up to seconds"


async def test_a_state_that_cannot_even_be_looked_at_is_told(rig: Rig) -> None:
    rig.add("one")
    impossible = rig.folder / ("x" * 300)  # longer than a file name may be, also for root
    session = Supervisor(Config(instances=tuple(rig.instances)), (), impossible)
    rig.sessions.append(session)
    status = await status_of(session, "one")
    assert status.state is State.STOPPED
    assert "its record could not be read" in status.note
    for act in (session.start, session.stop, session.restart):
        with pytest.raises(GputuiError):
            await act("one")


def test_a_lock_holds_where_nothing_can_be_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "one.lock"
    with locks.hold(lock, "start"):
        pass
    true_open = os.open

    def read_only(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return true_open(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", read_only)
    with locks.hold(lock, "stop"), pytest.raises(locks.LockHeldError), locks.hold(lock, "stop"):
        pass
    with pytest.raises(GputuiError, match="Read-only"), locks.hold(tmp_path / "new.lock", "stop"):
        pass
