"""Whatever several gputui processes and the outside do, at once and in any order.

Never two servers on one port or of one name, never a signal to a stranger, and once all is still the
record, every gputui and the processes of the machine say the same. For a long run:
GPUTUI_TORTURE=1000 pytest … (the number of examples).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gputui.instances import ports
from gputui.processes import identify
from tests.instances.torture.rig import ALONE, NAMES, Gone, TortureRig
from tests.support.waiting import wait_for

EXAMPLES = int(os.environ.get("GPUTUI_TORTURE", "15"))
WORKERS = 3

places = st.integers(0, WORKERS - 1)
names = st.sampled_from(NAMES)
actions = st.sampled_from(["start", "stop", "restart"])
orders = st.tuples(
    places, st.sampled_from(["start", "stop", "restart", "start_again", "observe"]), names
)
DAMAGES = ("", '{"name": "a", "pid": ', "[]", "\0\0\0\0")


class Machine(RuleBasedStateMachine):
    """Three gputui processes, two instances that share a port and one that has its own."""

    program: Path

    def __init__(self) -> None:
        super().__init__()
        self.rig = TortureRig(self.program, b=25, c=8)
        for _ in range(WORKERS):
            self.rig.new_worker()
        self.strangers: list[subprocess.Popen[bytes]] = []
        self.squatter: subprocess.Popen[bytes] | None = None
        self.living: dict[str, int] = {}

    @rule(place=places, action=actions, name=names)
    def act(self, place: int, action: str, name: str) -> None:
        before = self.living
        answer = self.rig.workers[place].ask(action, name)
        done = "error" not in answer
        if action == "stop":
            assert done or name not in before, answer
            assert name not in self.rig.settled()
        elif action == "start" and name in before:
            assert not done
        elif self.squatter is None:
            others = [n for n in before if n != name and self.rig.ports[n] == self.rig.ports[name]]
            assert done == (not others), answer

    @rule(asked=st.lists(orders, min_size=2, max_size=5))
    def race(self, asked: list[tuple[int, str, str]]) -> None:
        """Several at once, of one gputui or of several."""
        workers = self.rig.workers
        numbers = [(workers[place], workers[place].order(do, name)) for place, do, name in asked]
        for worker, number in numbers:
            worker.reply(number)

    @rule(place=places, action=actions, name=names, step=st.integers(1, 75))
    def die_at_a_step(self, place: int, action: str, name: str, step: int) -> None:
        worker = self.rig.workers[place]
        with contextlib.suppress(Gone):
            worker.ask(action, name, die_at=step)
        self.rig.replace(place)

    @rule(place=places, action=actions, name=names, wait=st.integers(0, 12))
    def die_after_a_time(self, place: int, action: str, name: str, wait: int) -> None:
        self.rig.workers[place].order(action, name)
        time.sleep(wait / 1000)
        self.rig.replace(place)

    @rule(asked=st.lists(orders, min_size=2, max_size=3), step=st.integers(1, 60))
    def die_in_a_race(self, asked: list[tuple[int, str, str]], step: int) -> None:
        """The first one asked is killed at a step; the others go on."""
        workers = list(self.rig.workers)
        first = asked[0][0]
        numbers = [
            (place, workers[place].order(do, name, **({"die_at": step} if not at else {})))
            for at, (place, do, name) in enumerate(asked)
        ]
        for place, number in numbers:
            with contextlib.suppress(Gone):
                workers[place].reply(number)
        self.rig.replace(first)

    @rule(name=names)
    def crash(self, name: str) -> None:
        self.kill_server(name)

    @rule(place=places, name=names)
    def crash_while_it_loads(self, place: int, name: str) -> None:
        """Just after its start, before anybody has looked."""
        if "error" not in self.rig.workers[place].ask("start", name):
            with contextlib.suppress(ProcessLookupError):
                self.kill_server(name)

    @rule()
    def all_start_it_again_after_a_crash(self) -> None:
        """Once, whoever comes first."""
        if self.squatter is not None or not self.kill_server(ALONE):
            return
        for worker in self.rig.workers:
            worker.ask("observe")  # the death is written down, and that another try is due
        numbers = [(worker, worker.order("start_again", ALONE)) for worker in self.rig.workers]
        assert [worker.reply(number).get("did") for worker, number in numbers].count(True) == 1

    def kill_server(self, name: str) -> bool:
        """Whether there was one."""
        pid = next((one.pid for one in self.rig.living() if one.name == name), None)
        if pid is not None:
            os.kill(pid, 9)
            wait_for(lambda: all(one.pid != pid for one in self.rig.living()), "its death")
        return pid is not None

    @rule(name=names, marker=st.sampled_from(["", "another", "the same, begun at another time"]))
    def the_pid_is_given_to_a_stranger(self, name: str, marker: str) -> None:
        if not self.kill_server(name):
            return
        record: dict[str, Any] | None = self.rig.record(name)
        assert record
        named = {"": {}, "another": {"GPUTUI_INSTANCE": "x"}}.get(marker, {"GPUTUI_INSTANCE": name})
        stranger = self.stranger(named)
        changed = record | {"pid": stranger.pid}
        if len(marker) <= len("another"):
            changed["start_ticks"] = identify(stranger.pid).start_ticks
        self.rig.record_file(name).write_text(json.dumps(changed))

    def stranger(self, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        stranger = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", "print(flush=True); input()"],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.strangers.append(stranger)
        assert stranger.stdout
        stranger.stdout.readline()  # its environment is in place
        return stranger

    @rule(name=names)
    def a_stranger_takes_the_port(self, name: str) -> None:
        """A llama-server that was started by hand, where none of gputui's has the port."""
        port = self.rig.ports[name]
        if self.squatter is None and all(self.rig.ports[n] != port for n in self.living):
            words = [str(self.program), "--alias", "by hand", "--port", str(port)]
            self.squatter = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            wait_for(lambda: ports.answers("127.0.0.1", port), "the stranger's port")

    @rule()
    def the_stranger_leaves_the_port(self) -> None:
        if self.squatter is not None:
            assert self.squatter.poll() is None
            self.squatter.kill()
            self.squatter.wait()
        self.squatter = None

    @rule(name=names, damage=st.sampled_from(DAMAGES))
    def the_record_is_damaged(self, name: str, damage: str) -> None:
        file = self.rig.record_file(name)
        if file.exists():
            file.write_text(damage)

    @rule(
        name=names, damage=st.sampled_from(DAMAGES), asked=st.lists(orders, min_size=1, max_size=3)
    )
    def a_race_over_a_damaged_record(
        self, name: str, damage: str, asked: list[tuple[int, str, str]]
    ) -> None:
        self.the_record_is_damaged(name, damage)
        self.race(asked)

    @rule(place=places, action=actions, name=names)
    def the_disk_is_full(self, place: int, action: str, name: str) -> None:
        answer = self.rig.workers[place].ask(action, name, full=True)
        if action == "start":
            assert "error" in answer

    @invariant()
    def all_agree(self) -> None:
        self.living = self.rig.check()
        assert all(stranger.poll() is None for stranger in self.strangers)

    def teardown(self) -> None:
        try:
            self.the_stranger_leaves_the_port()
            last = self.rig.new_worker()
            for name in self.rig.check():
                assert "error" not in last.ask("stop", name)
            assert self.rig.check() == {}
            assert all(stranger.poll() is None for stranger in self.strangers)
        finally:
            self.rig.close()
            for stranger in self.strangers:
                stranger.kill()
                stranger.communicate()


@pytest.mark.timeout(0 if EXAMPLES > 15 else 180)
def test_any_order_from_several_processes(server_program: Path) -> None:
    Machine.program = server_program
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
