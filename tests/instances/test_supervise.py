"""``gputui supervise``: keepers in processes of their own, what they tell, and by which file they go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from gputui.cli import supervise as cli
from gputui.cli.compose import Options
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.instances import records
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.keeping.narrator import Happening, Kind
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.processes import matches
from tests.instances.conftest import PRO, RTX, Rig, started, status_of, until
from tests.instances.test_sessions import gputui
from tests.support.waiting import wait_for


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
    out, err = keeper.communicate(timeout=60)
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
        keeper.communicate(timeout=60)
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
        async with asyncio.timeout(60):
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
    assert stop.communicate(timeout=60)[0] == "one: stopped\n"
    assert (await status_of(session, "one")).state is State.STOPPED


def test_supervise_refuses_what_it_could_not_do(rig: Rig) -> None:
    rig.add("one")
    keeper = supervise(rig, "--readonly")
    out, err = keeper.communicate(timeout=60)
    assert (keeper.returncode, out) == (1, "")
    assert "--readonly" in err
    keeper = supervise(rig, "--start", "onne")
    out, err = keeper.communicate(timeout=60)
    assert (keeper.returncode, out) == (2, "")
    assert 'Did you mean "one"?' in err
