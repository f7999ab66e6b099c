"""Several gputui processes on one machine: races, crashes, adoption."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gputui.instances import records
from gputui.instances.status import State
from gputui.processes import matches
from tests.instances.conftest import Rig, started, status_of, until_so
from tests.support.waiting import wait_for

HOLDER = """
import asyncio, sys, time
from pathlib import Path
from gputui import config
from gputui.instances.supervisor import Supervisor

async def main():
    supervisor = Supervisor(config.load(Path(sys.argv[1])), (), Path(sys.argv[2]))
    await supervisor.start(sys.argv[3])
    print("started", flush=True)
    while True:
        await supervisor.observe()
        await asyncio.sleep(0.1)

asyncio.run(main())
"""


def gputui(rig: Rig, *words: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gputui", "--config", str(rig.write_config()), *words],
        env={**os.environ, "GPUTUI_STATE": str(rig.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(rig: Rig, *words: str) -> int:
    """The exit code of that command, once it has ended."""
    process = gputui(rig, *words)
    process.communicate(timeout=60)
    return process.returncode


def session_that_stays(rig: Rig, name: str) -> subprocess.Popen[str]:
    """A gputui in a session of its own that has started an instance and goes on watching it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(rig.write_config()), str(rig.state), name],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
async def test_a_server_outlives_the_gputui_that_started_it_and_is_adopted(
    rig: Rig, number: signal.Signals
) -> None:
    rig.add("one")
    first = session_that_stays(rig, "one")
    os.killpg(first.pid, number)  # what a closing terminal does to all of its session
    first.communicate()
    session = rig.session()
    status = await session.wait("one", 60)
    assert (status.state, status.owned) == (State.READY, True)
    await session.stop("one")
    assert (await status_of(session, "one")).state is State.STOPPED


async def test_a_death_while_no_gputui_ran_is_told_by_the_next(rig: Rig) -> None:
    rig.add("one", {"load_log": "E srv x: CUDA error: out of memory"})
    first = session_that_stays(rig, "one")
    first.kill()
    first.communicate()
    record = rig.record("one")
    assert record is not None
    wait_for(lambda: "out of memory" in Path(record.log).read_text(), "the log")
    rig.kill("one")
    wait_for(lambda: not matches(record.identity), "the death")
    status = await status_of(rig.session(), "one")
    assert status.state is State.FAILED
    assert status.last_error


def test_two_racing_processes_start_one_server(rig: Rig) -> None:
    rig.add("one")
    racers = [gputui(rig, "start", "--wait", "one") for _ in range(2)]
    outcomes = [(*racer.communicate(timeout=60), racer.returncode) for racer in racers]
    assert sorted(code for *_, code in outcomes) == [0, 1]
    refusal = next(err for _, err, code in outcomes if code == 1)
    assert "one runs already" in refusal or "one is being started by another gputui" in refusal
    assert "Traceback" not in refusal
    assert len(records.running(rig.state)) == 1
    assert run(rig, "stop", "one") == 0


def test_two_racing_stops_are_one_stop(rig: Rig) -> None:
    rig.add("one", {"ignore_sigterm": True}, stop_grace_seconds=2)
    assert run(rig, "start", "--wait", "one") == 0
    racers = [gputui(rig, "stop", "one") for _ in range(2)]
    outcomes = [(*racer.communicate(timeout=60), racer.returncode) for racer in racers]
    assert 0 in [code for *_, code in outcomes]
    for _, error, code in outcomes:
        assert code == 0 or "is being stopped by another gputui (pid" in error
    assert records.running(rig.state) == ()


async def test_a_gputui_killed_in_the_middle_of_a_stop_leaves_it_to_the_next(rig: Rig) -> None:
    rig.add("one", {"ignore_sigterm": True}, stop_grace_seconds=60)
    session = rig.session()
    await started(session, "one")
    stopper = gputui(rig, "stop", "one")

    def stopping() -> bool:
        record = rig.record("one")
        return record is not None and record.stop_deadline is not None

    wait_for(stopping, "the stop")
    stopper.kill()
    stopper.communicate()
    assert (await status_of(session, "one")).state is State.STOPPING
    stop = asyncio.create_task(session.stop("one"))
    await until_so(rig.session(), "one", lambda status: not status.note)
    rig.kill("one")
    await stop
    assert (await status_of(session, "one")).state is State.STOPPED
