"""What is done by itself: the next try after a crash, once; giving up; unloading what idles."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gputui.cli import supervise as cli
from gputui.cli.compose import Options
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.instances import records
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.keeping.keeper import Keeper
from gputui.instances.keeping.narrator import Happening, Kind
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.processes import matches
from tests.instances.conftest import PRO, RTX, Rig, started, status_of, until
from tests.instances.test_sessions import gputui
from tests.support.waiting import wait_for

QUICK = Backoff(first=0.2, longest=1.0, refused=0.3)


@dataclasses.dataclass
class Session:
    """A gputui that keeps what it sees."""

    supervisor: Supervisor
    keeper: Keeper
    problems: list[GputuiError] = dataclasses.field(default_factory=list)

    async def look(self) -> tuple[InstanceStatus, ...]:
        statuses = await self.supervisor.observe()
        self.problems += self.keeper.tend(statuses)
        return statuses

    async def until(self, name: str, holds: Callable[[InstanceStatus], bool]) -> InstanceStatus:
        end = time.monotonic() + 20
        while True:
            status = next(s for s in await self.look() if s.name == name)
            if holds(status):
                await self.keeper.settle()
                return status
            assert time.monotonic() < end, status
            await asyncio.sleep(0.02)


def keeping(rig: Rig, backoff: Backoff = QUICK) -> Session:
    supervisor = rig.session(backoff)
    return Session(supervisor, Keeper(supervisor, rig.config, backoff=backoff))


def is_(state: State) -> Callable[[InstanceStatus], bool]:
    return lambda status: status.state is state


async def test_a_crashed_server_is_started_again_and_the_crash_is_remembered(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session, onlooker = keeping(rig, Backoff(first=0.5)), rig.session()
    before = await started(session.supervisor, "one")
    rig.kill("one")
    failed = await until(session.supervisor, "one", State.FAILED)
    assert failed.failures == 1
    assert failed.exit_words == "killed by SIGKILL"
    assert failed.restart_at is not None
    assert failed.restart_at - time.time() <= 0.5
    assert (await status_of(onlooker, "one")).restart_at == failed.restart_at
    again = await session.until("one", is_(State.READY))
    assert again.pid != before.pid
    assert again.failures == 1
    assert again.note == "crashed once and was started again"
    await session.supervisor.restart("one")  # by the user: the count begins anew
    assert (await session.until("one", is_(State.READY))).failures == 0
    await session.supervisor.stop("one")


@pytest.mark.parametrize(
    ("restart", "number"),
    [("never", signal.SIGKILL), ("on-failure", signal.SIGTERM), ("on-failure", signal.SIGINT)],
)
async def test_who_was_asked_to_end_or_is_not_to_be_restarted_stays_ended(
    rig: Rig, restart: str, number: signal.Signals
) -> None:
    rig.add("one", restart=restart)
    session = keeping(rig)
    await started(session.supervisor, "one")
    rig.kill("one", number)
    failed = await session.until("one", is_(State.FAILED))
    assert failed.restart_at is None
    assert failed.failures == (1 if number is signal.SIGKILL else 0)
    session.keeper.tend([dataclasses.replace(failed, restart_at=1.0)])  # nor by a stale look
    await session.keeper.settle()
    assert records.running(rig.state) == ()


async def test_what_would_end_the_same_is_not_tried_again(rig: Rig) -> None:
    rig.add("one", {"load_log": "error: invalid argument: --foo", "crash": 1}, restart="on-failure")
    session = keeping(rig)
    await session.supervisor.start("one")
    failed = await session.until("one", is_(State.FAILED))
    assert failed.restart_at is None
    assert failed.hint.endswith("It is not started again: that would end the same.")
    assert failed.evidence == ("error: invalid argument: --foo",)


async def test_it_gives_up_after_five_crashes_in_a_row(rig: Rig) -> None:
    dump = rig.folder / "dump"
    rig.add("one", {"crash": 3, "dump": str(dump)}, restart="on-failure")
    session = keeping(rig, Backoff(first=0.02, longest=0.1))
    await session.supervisor.start("one")
    failed = await session.until("one", lambda s: s.state is State.FAILED and s.restart_at is None)
    assert failed.last_error == "gave up after 5 crashes in a row: ended by itself with exit code 3"
    assert failed.hint.endswith("To try it again, start it.")
    assert failed.failures == 5
    record = rig.record("one")
    assert record
    gaps = [after - before for before, after in pairwise(record.failures)]
    assert all(gap >= wait for gap, wait in zip(gaps, (0.02, 0.04, 0.08, 0.1), strict=True))
    await session.supervisor.stop("one")
    assert (await status_of(session.supervisor, "one")).state is State.STOPPED


async def test_a_stop_while_it_waits_ends_the_waiting(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session = keeping(rig, Backoff(first=0.3))
    await started(session.supervisor, "one")
    rig.kill("one")
    waiting = await until(session.supervisor, "one", State.FAILED)
    await rig.session().stop("one")
    session.keeper.tend([dataclasses.replace(waiting, restart_at=1.0)])
    await session.keeper.settle()
    assert (await status_of(session.supervisor, "one")).state is State.STOPPED
    assert session.problems == []


async def test_two_keepers_start_one_server(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    sessions = [keeping(rig, Backoff(first=0.0)) for _ in range(2)]
    await started(sessions[0].supervisor, "one")
    for _ in range(4):
        rig.kill("one")
        await until(sessions[0].supervisor, "one", State.FAILED)
        done = await asyncio.gather(
            *(session.supervisor.start_again("one") for session in sessions)
        )
        assert sorted(done) == [False, True]
        assert len(records.running(rig.state)) == 1
        assert (await sessions[1].supervisor.wait("one", 20)).state is State.READY
    await sessions[1].supervisor.stop("one")


async def test_keepers_in_processes_of_their_own_start_one_server(rig: Rig) -> None:
    dumps = rig.folder / "starts"
    rig.add("one", {"log_starts": str(dumps)}, restart="on-failure")
    session = rig.session()
    keepers = [supervise(rig) for _ in range(3)]
    try:
        await started(session, "one")
        for count in (1, 2):
            record = rig.record("one")
            assert record
            rig.kill("one")
            wait_for(lambda: not matches(record.identity), "the death")  # noqa: B023
            again = await until(session, "one", State.READY)
            assert again.failures == count
            assert len(dumps.read_text().splitlines()) == count + 1
    finally:
        outputs = [end(keeper) for keeper in keepers]
    assert records.running(rig.state)  # servers go on running
    await session.stop("one")
    for output in outputs:
        assert "one: crashed: killed by SIGKILL" in output
        assert "one: next try in " in output


def supervise(rig: Rig, *words: str) -> subprocess.Popen[str]:
    return gputui(rig, "supervise", *words)


def end(keeper: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    keeper.send_signal(number)
    out, err = keeper.communicate(timeout=30)
    assert (keeper.returncode, err) == (0, "")
    return out


async def test_supervise_tells_what_happens_in_a_line_each(rig: Rig) -> None:
    crash = rig.folder / "crash"
    rig.add("one", {"crash_file": str(crash), "crash": 3}, restart="on-failure")
    rig.add("two", {"load_log": "error: invalid argument: --foo", "crash": 1})
    told: list[dict[str, Any]] = []
    keeper = supervise(rig, "--start", "two", "--start", "one", "--json")

    def line(name: str, event: str) -> dict[str, Any]:
        """The next one of that kind about that instance; those about the other one are kept."""
        assert keeper.stdout
        while not any((one["instance"], one["event"]) == (name, event) for one in told):
            told.append(json.loads(keeper.stdout.readline()))
        while True:
            number = next(n for n, one in enumerate(told) if one["instance"] == name)
            found = told.pop(number)
            if found["event"] == event:
                return found

    try:
        assert "knows no flag --foo" in line("two", "crashed")["message"]
        assert line("one", "ready")["pid"] == getattr(rig.record("one"), "pid", None)
        rig.kill("one")
        crashed, retry = line("one", "crashed"), line("one", "retry")
        assert (crashed["failures"], crashed["state"]) == (1, "failed")
        assert "killed by SIGKILL" in crashed["message"]
        assert retry["restart_at"] == crashed["restart_at"]
        crash.touch()  # from now on it crashes at the load
        crashed = line("one", "crashed")
        assert crashed["failures"] == 2
        assert crashed["message"] == "crashed: ended by itself with exit code 3. See the log."
        crash.unlink()
        line("one", "ready")
        await rig.session().stop("one")
        line("one", "stopped")
    finally:
        keeper.send_signal(signal.SIGINT)
        keeper.communicate(timeout=30)
    assert keeper.returncode == 0


async def test_supervise_waits_for_a_driver_that_comes_late(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.add("pinned", {"devices": [f"CUDA0: {RTX.name} (1 MiB, 1 MiB free)"]}, gpus=("5090",))
    rig.add("free")
    monkeypatch.setenv("GPUTUI_STATE", str(rig.state))
    monkeypatch.setattr(cli, "_DRIVER_AGAIN_SECONDS", 0.05)
    answers = iter([GputuiError("no driver yet"), GputuiError("no driver yet"), (PRO, RTX)])

    def read_gpus(*_: object) -> tuple[GpuIdentity, ...]:
        answer = next(answers)
        if isinstance(answer, GputuiError):
            raise answer
        return answer

    monkeypatch.setattr(cli, "read_gpus", read_gpus)
    ready: list[str] = []

    def tell(happening: Happening, at: float) -> None:
        if happening.kind is Kind.READY:
            ready.append(happening.name)
        if len(ready) == 2:
            os.kill(os.getpid(), signal.SIGTERM)  # to this very loop

    await cli._run(Options(), rig.config, ("pinned", "free"), tell)
    assert sorted(ready) == ["free", "pinned"]
    assert records.running_pids(rig.state).keys() == {RTX.uuid}
    assert capsys.readouterr().err.count("no driver yet") == 1


async def test_supervise_goes_by_the_file_as_it_is_now_and_on_after_a_fault(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.add("one")
    monkeypatch.setenv("GPUTUI_STATE", str(rig.state))
    monkeypatch.setattr(cli, "_LOOK_SECONDS", 0.05)
    file = rig.write_config()
    options, right = Options(config_file=file), file.read_text()
    config, watch = options.load_config(), cli.watch_of(options)
    kinds: list[Kind] = []
    errors = ""
    faults = iter([KeyError("pid")] * 3)
    observe = Supervisor.observe

    async def faulty(supervisor: Supervisor, *words: float) -> tuple[InstanceStatus, ...]:
        if Kind.READY in kinds and (fault := next(faults, None)):
            raise fault
        return await observe(supervisor, *words)

    monkeypatch.setattr(Supervisor, "observe", faulty)

    def told(words: str) -> int:
        nonlocal errors
        errors += capsys.readouterr().err
        return errors.count(words)

    async def seen(holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                assert not running.done()
                await asyncio.sleep(0.02)

    def tell(happening: Happening, at: float) -> None:
        kinds.append(happening.kind)

    running = asyncio.create_task(cli._run(options, config, ("one",), tell, watch))
    await seen(lambda: Kind.READY in kinds)
    file.write_text("interval = [")
    await seen(lambda: told("not valid TOML"))
    file.write_text(f"{right}\nidle_unload = 0.1\n")
    await seen(lambda: Kind.UNLOADED in kinds)
    os.kill(os.getpid(), signal.SIGTERM)  # to this very loop
    await running
    assert (told("KeyError"), told("not valid TOML")) == (1, 1)


async def test_stop_all_also_stops_the_waiting(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session = rig.session(Backoff(first=600, longest=600))
    await started(session, "one")
    rig.kill("one")
    assert (await until(session, "one", State.FAILED)).restart_at is not None
    stop = gputui(rig, "stop", "--all")
    assert stop.communicate(timeout=30)[0] == "one: stopped\n"
    assert (await status_of(session, "one")).state is State.STOPPED


def test_supervise_refuses_what_it_could_not_do(rig: Rig) -> None:
    rig.add("one")
    keeper = supervise(rig, "--readonly")
    out, err = keeper.communicate(timeout=30)
    assert (keeper.returncode, out) == (1, "")
    assert "--readonly" in err
    keeper = supervise(rig, "--start", "onne")
    out, err = keeper.communicate(timeout=30)
    assert (keeper.returncode, out) == (2, "")
    assert 'Did you mean "one"?' in err


async def test_a_crash_that_nobody_saw_is_tried_again_by_the_next_gputui(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    first = rig.session()
    await started(first, "one")
    record = rig.record("one")
    assert record
    rig.kill("one")
    wait_for(lambda: not matches(record.identity), "the death")
    log = Path(record.log)
    os.utime(log, (record.started_at + 1, time.time() - 3600))  # its last words: an hour ago
    old = msgspec.structs.replace(
        record, started_at=time.time() - 7200, ready_at=time.time() - 7100
    )
    records.write(records.Paths(rig.state), old)
    session = keeping(rig, Backoff())  # the true waits
    again = await session.until("one", is_(State.READY))
    assert again.failures == 1
    await session.supervisor.stop("one")


async def test_nothing_is_started_again_after_a_boot(rig: Rig) -> None:
    rig.add("one", restart="on-failure")
    session = keeping(rig)
    await started(session.supervisor, "one")
    rig.kill("one")
    await until(session.supervisor, "one", State.FAILED)
    record = rig.record("one")
    assert record
    records.write(
        records.Paths(rig.state), msgspec.structs.replace(record, boot_id="x", restart_at=1.0)
    )
    assert (await status_of(session.supervisor, "one")).restart_at is None
    assert await session.supervisor.start_again("one") is False
    assert records.running(rig.state) == ()


async def test_a_try_that_cannot_begin_is_put_off_and_told(rig: Rig) -> None:
    one = rig.add("one", restart="on-failure")
    session = keeping(rig)
    await started(session.supervisor, "one")
    rig.kill("one")
    await until(session.supervisor, "one", State.FAILED)
    model, away = one.model, f"{one.model}.away"
    os.rename(model, away)  # noqa: PTH104
    put_off = await session.until("one", lambda status: "could not begin" in status.hint)
    assert put_off.restart_at is not None
    assert put_off.failures == 1  # it was no crash
    assert "no such file" in put_off.hint
    os.rename(away, model)  # noqa: PTH104
    await session.until("one", is_(State.READY))
    assert any("no such file" in problem.message for problem in session.problems)
    await session.supervisor.stop("one")


async def test_it_is_not_started_again_beside_another_one_of_its_group(rig: Rig) -> None:
    rig.add("one", restart="on-failure", group="big")
    rig.add("two", group="big")
    session = keeping(rig, Backoff(first=0.0))
    await started(session.supervisor, "one")
    record = rig.record("one")
    assert record
    rig.kill("one")
    wait_for(lambda: not matches(record.identity), "the death")
    await rig.session().start("two")  # before anybody has seen the death
    failed = await session.until("one", lambda status: "not started again" in status.hint)
    assert failed.hint.endswith("It is not started again: two of its group runs.")
    await session.supervisor.stop("two")


# ── unloading what idles ─────────────────────────────────────────────────────────────────────────


async def test_what_idles_is_unloaded_and_says_so_in_every_session(rig: Rig) -> None:
    rig.add("one", idle_unload=0.5)
    session, other = keeping(rig), keeping(rig)
    await started(session.supervisor, "one")
    status = await session.until("one", is_(State.STOPPED))
    assert status.note == "unloaded after 0.5 s without a request"
    assert (await status_of(other.supervisor, "one")).note == status.note
    await other.look()
    assert other.problems == []
    assert await started(other.supervisor, "one")
    await other.supervisor.stop("one")
    assert (await status_of(session.supervisor, "one")).note == ""


async def ask(url: str, **more: object) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]} | more
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        await client.post(f"{url}/v1/chat/completions", json=body)


async def test_a_request_begins_the_time_anew_and_an_answer_holds_it(rig: Rig) -> None:
    rig.add("one", {"rate": 30}, idle_unload=30)
    session = rig.session()
    status = await started(session, "one")
    await asyncio.sleep(0.3)
    idle = (await status_of(session, "one")).idle_seconds
    assert idle is not None
    assert idle >= 0.3
    asking = asyncio.create_task(ask(status.url))
    seen: list[float | None] = []
    while not asking.done():
        await asyncio.sleep(0.05)
        seen.append((await status_of(session, "one")).idle_seconds)
    assert 0.0 in seen
    await status_of(session, "one")  # this look sees that the counters have moved
    await asyncio.sleep(0.1)
    after = (await status_of(session, "one")).idle_seconds
    assert after is not None
    assert after >= 0.1
    assert await session.unload("one", 0.05, lambda: True) is False  # this program talks to it
    assert await session.unload("one", 20) is False
    assert await session.unload("one", 0.05) is True
    assert (await status_of(session, "one")).state is State.STOPPED


async def test_a_new_session_knows_nothing_of_requests_before_it(rig: Rig) -> None:
    rig.add("one", {"rate": 1000}, idle_unload=30)
    session = rig.session()
    status = await started(session, "one")
    await ask(status.url)
    await asyncio.sleep(0.2)
    await status_of(session, "one")
    assert (await status_of(rig.session(), "one")).idle_seconds == 0.0
    await session.stop("one")


async def test_time_stands_still_while_the_counters_cannot_be_read(rig: Rig) -> None:
    hang = rig.folder / "hang"
    rig.add("one", {"hang_file": str(hang), "hang_routes": ["/metrics"]}, idle_unload=0.4)
    session = keeping(rig)
    await started(session.supervisor, "one")
    hang.touch()
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        status = next(iter(await session.look()))
        assert status.state is State.READY
    assert status.idle_seconds is None
    await session.keeper.settle()
    assert records.running(rig.state)
    await session.supervisor.stop("one")


# ── hung servers ─────────────────────────────────────────────────────────────────────────────────


async def test_a_slot_that_is_busy_and_does_not_move_is_a_stall(rig: Rig) -> None:
    rig.add("one", {"rate": 20, "stall_after": 6}, restart="on-failure")
    session = keeping(rig)
    status = await started(session.supervisor, "one")
    assert status.stalled_seconds is None
    asking = asyncio.create_task(ask(status.url))
    moving = await session.until("one", lambda s: s.stalled_seconds is not None)
    assert moving.stalled_seconds is not None
    assert moving.stalled_seconds < 0.25
    stalled = await session.until("one", lambda s: (s.stalled_seconds or 0.0) > 0.6)
    assert stalled.state is State.READY
    assert stalled.metrics.slots_busy == 1
    asking.cancel()
    await session.supervisor.stop("one")


async def test_one_that_answers_health_alone_stalls_too(rig: Rig) -> None:
    hang = rig.folder / "hang"
    rig.add("one", {"hang_file": str(hang), "hang_routes": ["/metrics", "/slots"]})
    session = rig.session()
    await started(session, "one")
    hang.touch()
    end_at = time.monotonic() + 30
    while (await status_of(session, "one")).stalled_seconds is None:
        assert time.monotonic() < end_at
        await asyncio.sleep(0.1)
    hang.unlink()
    while (await status_of(session, "one")).stalled_seconds is not None:
        assert time.monotonic() < end_at
        await asyncio.sleep(0.05)
    await session.stop("one")
