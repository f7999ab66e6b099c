"""kill -9 of gputui at any moment: every server that lives is known to the next one, and can be stopped.

The moment is a step of the action (a call into the kernel, each of them in turn) or a time. For more than
the usual number: GPUTUI_KILLS=2000 pytest …
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputui.instances import locks
from tests.instances.torture.rig import NAMES, Gone, TortureRig

KILLS = int(os.environ.get("GPUTUI_KILLS", "200"))
STEPS = {"start": 55, "stop": 50, "restart": 75, "observe": 30, "keep": 20}
"""How many steps an action has at most: some 10 less, by where it finds the machine."""
ACTIONS = ("start", "stop", "restart", "start", "restart", "observe", "keep")


@pytest.fixture
def torture(server_program: Path) -> Iterator[TortureRig]:
    rig = TortureRig(server_program, b=30, c=5)
    yield rig
    rig.close()


def killed_in(rig: TortureRig, action: str, name: str, step: int | None, wait: float) -> bool:
    """A new gputui acts and is killed, at that step or after ``wait`` seconds; whether in the middle."""
    victim = rig.new_worker()
    number = victim.order(action, name, die_at=step)
    if step is None:
        time.sleep(wait)
        victim.kill()
    try:
        victim.reply(number)
    except (Gone, ValueError, OSError):
        return True
    finally:
        rig.end_worker(victim)
    return False


def check_files(rig: TortureRig, kept: set[str]) -> None:
    """No torn file, no lock that is held, a database that opens and has what was kept."""
    for file in (rig.state / "instances").glob("*.json"):
        json.loads(file.read_text())
    for lock in rig.state.rglob("*.lock"):
        with locks.hold(lock, "look"):
            pass
    if kept:
        with sqlite3.connect(rig.state / "gputui.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = {row[0] for row in database.execute("SELECT prompt FROM turns")}
        assert kept <= rows


def test_nothing_is_lost_by_kill_9(torture: TortureRig) -> None:
    chance = random.Random(4)  # noqa: S311
    kills = number = 0
    kept: set[str] = set()
    while kills < KILLS:
        number += 1
        action = ACTIONS[number % len(ACTIONS)]
        name = f"turn {number}" if action == "keep" else chance.choice(NAMES)
        step = chance.randint(1, STEPS[action]) if number % 3 else None
        killed = killed_in(torture, action, name, step, chance.uniform(0, 0.015))
        kills += killed
        if action == "keep" and not killed:
            kept.add(name)
        witness = torture.new_worker()
        living = torture.check()
        check_files(torture, kept)
        if number % 5 == 0:
            for one in living:
                assert "error" not in witness.ask("stop", one)
            assert torture.check() == {}
        torture.end_worker(witness)
        assert number < KILLS * 5 + 20, "it is hardly ever killed in the middle"
