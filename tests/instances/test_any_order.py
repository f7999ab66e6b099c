"""Whatever two gputui sessions and the outside do, in any order: one truth, at most one server."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.lifecycle import NotRunningError
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.processes import matches
from tests.instances.conftest import Rig, end_all
from tests.support.waiting import wait_for

sessions = st.integers(0, 1)
names = st.sampled_from(["a", "b"])


class TwoSessions(RuleBasedStateMachine):
    """Two instances on one port. ``expected``: the state that each must be in."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.rig = Rig(self.folder)
        first = self.rig.add("a")
        self.rig.add("b", {"load_seconds": 0.2}, port=first.port)
        self.supervisors = [self.rig.session(), self.rig.session()]
        self.expected = {"a": State.STOPPED, "b": State.STOPPED}

    @property
    def running(self) -> str | None:
        return next((name for name, at in self.expected.items() if at is State.READY), None)

    def act(self, session: int, action: str, name: str) -> GputuiError | None:
        supervisor: Supervisor = self.supervisors[session]
        try:
            self.loop.run_until_complete(getattr(supervisor, action)(name))
        except GputuiError as error:
            return error
        return None

    @rule(session=sessions, name=names)
    def start(self, session: int, name: str) -> None:
        refused = self.act(session, "start", name)
        if self.running:
            assert refused
            assert self.running in refused.message
        else:
            assert refused is None
            self.expected[name] = State.READY

    @rule(session=sessions, name=names)
    def stop(self, session: int, name: str) -> None:
        refused = self.act(session, "stop", name)
        assert isinstance(refused, NotRunningError) == (self.expected[name] is State.STOPPED)
        self.expected[name] = State.STOPPED

    @rule(session=sessions, name=names)
    def restart(self, session: int, name: str) -> None:
        refused = self.act(session, "restart", name)
        if self.running in (None, name):
            assert refused is None
            self.expected[name] = State.READY
        else:
            assert refused
            if self.expected[name] is State.FAILED:
                self.expected[name] = State.STOPPED

    @precondition(lambda self: self.running is not None)
    @rule(number=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def die(self, number: signal.Signals) -> None:
        name = self.running
        assert name
        record = self.rig.record(name)
        assert record
        self.rig.kill(name, number)
        wait_for(lambda: not matches(record.identity))
        self.expected[name] = State.FAILED

    @rule(session=sessions)
    def gputui_ends_and_another_begins(self, session: int) -> None:
        self.loop.run_until_complete(self.supervisors[session].close())
        self.supervisors[session] = self.rig.session()

    @invariant()
    def all_agree(self) -> None:
        for supervisor in self.supervisors:
            for name, state in self.expected.items():
                status = self.loop.run_until_complete(supervisor.wait(name, 60))
                assert status.state is state, status
                assert status.owned == (state is State.READY)
        assert len(records.running(self.rig.state)) == (self.running is not None)

    def teardown(self) -> None:
        for supervisor in self.rig.sessions:
            with contextlib.suppress(GputuiError):
                self.loop.run_until_complete(supervisor.close())
        end_all(self.rig.state)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


TestTwoSessions = TwoSessions.TestCase
TestTwoSessions.settings = settings(
    max_examples=6,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
