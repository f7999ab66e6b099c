"""What several tests of the screen need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.ui.editing import Desk, make_desk
from tests.ui.idle import loop_is_idle


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was pressed has had its effect, on a busy machine too."""
    for module in ("app", "pilot"):
        monkeypatch.setattr(f"textual.{module}.wait_for_idle", loop_is_idle)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at once a second is looked at ten times, and what the system is asked is waited for."""
    monkeypatch.setattr("gputui.ui.instances.caretaker.OBSERVE_SECONDS", 0.1)
    monkeypatch.setattr("gputui.ui.instances.details.DETAILS_SECONDS", 0.1)
    monkeypatch.setattr("gputui.ui.log.view.TICK_SECONDS", 0.1)
    monkeypatch.setattr("gputui.gpu.patience.PATIENCE_SECONDS", 20.0)
    for seconds in ("LOOK_SECONDS", "SETTLING_SECONDS"):
        monkeypatch.setattr(f"gputui.ui.configuring.{seconds}", 0.1)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock's times on the screen are those of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    """Makes a dashboard on a configuration file of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return partial(make_desk, tmp_path)
