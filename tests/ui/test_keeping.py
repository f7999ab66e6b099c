"""What is done by itself, as the dashboard shows it: the countdown, unloading, a hung server."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import pytest

from gputui.errors import GputuiError
from gputui.instances.keeping.keeper import Keeper
from gputui.instances.status import InstanceStatus, State
from tests.ui.harness import CONFIG, READY_METRICS, rig, screen_text, status, until, until_shown

CODER = status("qwen-coder", State.STOPPED, 1, 8081)


def failed(**more: Any) -> InstanceStatus:
    values = {"last_error": "killed by SIGKILL", "hint": "See the log.", "failures": 1} | more
    return status("deepseek", State.FAILED, 0, 8080, **values)


@pytest.mark.parametrize("size", [(160, 45), (80, 24)])
async def test_the_row_counts_down_to_the_next_try(size: tuple[int, int]) -> None:
    one = rig(statuses=(failed(restart_at=time.time() + 50), CODER))

    def left() -> int:
        return int(re.search(r"failed, try in (\d+) s", screen_text(one.app))[1])  # type: ignore[index]

    async with one.app.run_test(size=size) as pilot:
        await until_shown(pilot, "failed, try in ")
        assert "killed by SIGKILL. See the log. 1 crash so far." in screen_text(one.app)
        first = left()
        await until(pilot, lambda: left() < first)


async def test_of_crashes_in_a_row_the_first_is_told_and_that_it_gave_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = status("deepseek", State.READY, 0, 8080, metrics=READY_METRICS)
    one = rig(statuses=(ready, CODER))

    told: list[object] = []
    notify = one.app.notify

    def noted(message: str, **more: Any) -> None:  # the toasts themselves go after some seconds
        told.append(more.get("title"))
        notify(message, **more)

    monkeypatch.setattr(one.app, "notify", noted)
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "14.2")
        for count in (1, 2, 3):
            one.supervisor.statuses[0] = failed(failures=count, restart_at=time.time() + 30)
            await until_shown(pilot, f"See the log. {count} crash")
            one.supervisor.statuses[0] = ready
            await until_shown(pilot, "14.2")
        assert told == ["deepseek: killed by SIGKILL"]
        one.supervisor.statuses[0] = failed(failures=5, last_error="gave up after 5 crashes")
        await until(pilot, lambda: len(told) == 2)
        assert told[-1] == "deepseek: gave up after 5 crashes"


async def test_unloaded_is_said_on_the_row_and_why_beneath() -> None:
    note = "unloaded after 30 min without a request"
    one = rig(
        statuses=(status("deepseek", State.STOPPED, 0, 8080, note=note, unloaded=True), CODER)
    )
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, f"deepseek: {note}")
        assert "unloaded   " in screen_text(one.app)


async def test_a_hung_server_is_offered_a_restart() -> None:
    hung = status("deepseek", State.READY, 0, 8080, metrics=READY_METRICS, stalled_seconds=130.0)
    one = rig(statuses=(hung, CODER))
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "deepseek: no token for 2 min: r restarts it")
        await pilot.press("r")
        await until_shown(pilot, "Restart deepseek?")
        assert one.supervisor.asked == []


class FailingKeeper(Keeper):
    """Says at every look that a try could not begin."""

    def tend(self, statuses: Sequence[InstanceStatus]) -> tuple[GputuiError, ...]:
        return (GputuiError("deepseek could not be started again", "No such file."),)


async def test_what_the_keeper_cannot_do_is_told_once() -> None:
    one = rig(keeper=FailingKeeper(None, CONFIG))  # type: ignore[arg-type]
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "could not be started again")
        caretaker = one.app.screen.caretaker  # type: ignore[attr-defined]
        for _ in range(3):
            await caretaker.observe()
        assert len(one.app._notifications) == 1
