"""Every screen of the dashboard, as it is drawn today: the same with the picture, at every frame."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gputui.alerts.watch import AlertWatch
from gputui.config import Config
from gputui.gpu.recorded import RecordedSource
from gputui.gpu.sample import Snapshot
from gputui.gpu.trace_reader import read_trace
from gputui.ui.app import GputuiApp
from tests.ui.editing import Desk
from tests.ui.harness import StepSampler, StubSupervisor, until, until_shown
from tests.ui.terminal.pair import Pair, RecordingDriver
from tests.ui.test_screenshots import make

WIDE, NARROW = (160, 45), (80, 24)
Screens = Mapping[str, tuple[str, ...]]
"""Names, and the keys that lead from the dashboard to what they name; escape leads back."""

OF_THE_PICTURES: Screens = {
    "keys": ("question_mark", "pagedown"),
    "GPU details": ("g", "plus", "tab"),
    "processes": ("p", "down"),
    "power": ("w",),
    "log": ("l",),
    "chat settings": ("t", "tab"),
    "conversations": ("o",),
    "models": ("a", "down"),
    "commands": ("ctrl+p", "t", "h"),
}
OF_A_FILE: Screens = {
    "details": ("enter",),
    "edit": ("e", "tab", "down"),
    "duplicate": ("d",),
    "removal": ("delete",),
    "events": ("exclamation_mark",),
    "stop": ("x",),
}
ON_THE_DASHBOARD = ("left", "z", "d", "d", "z", "c", *"漢 hi", "escape")
"""The chat maximised, its differences, a prompt."""


def of_the_pictures(samplers: list[StepSampler]) -> GputuiApp:
    """The dashboard of the README's pictures."""
    moment = msgspec.json.decode(make.MOMENT.read_bytes(), type=make.Moment)

    def sampler(listener: Callable[[Snapshot], None]) -> StepSampler:
        samplers.append(StepSampler(listener, snapshots()[:-3]))
        return samplers[-1]

    parts = make.compose(moment, make.Picture(WIDE), sampler)
    log = "load_model: ok\n\x1b[32mslot 0: 漢字\x1b[0m\n" * 60
    parts.supervisor = StubSupervisor(list(moment.statuses), log_text=log)
    return GputuiApp(parts)


def snapshots() -> list[Snapshot]:
    return list(read_trace(make.TRACE, RecordedSource.name))


def recording(app: GputuiApp) -> GputuiApp:
    """It keeps what it writes, as to a terminal that knows synchronised output."""
    app.driver_class = RecordingDriver
    app._sync_available = True
    return app


async def walk(app: GputuiApp, pilot: Any, screens: Screens) -> set[str]:
    """Through all screens; the names of those that opened over the dashboard."""
    opened = set()
    dashboard = app.screen
    for name, keys in screens.items():
        for key in keys:
            await pilot.press(key)
            opened |= {name} if app.screen is not dashboard else set()
        for _ in range(4):
            if app.screen is not dashboard:
                await pilot.press("escape")
        await until(pilot, lambda: app.screen is dashboard)
    return opened


async def test_the_screens_of_the_pictures() -> None:
    samplers: list[StepSampler] = []
    app = recording(of_the_pictures(samplers))
    async with app.run_test(headless=False, size=WIDE) as pilot:
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        await until_shown(pilot, "RTX", "stopped")
        assert await walk(app, pilot, OF_THE_PICTURES) == set(OF_THE_PICTURES)
        await pilot.press(*ON_THE_DASHBOARD)
        for size, snapshot in zip((NARROW, (103, 31), WIDE), snapshots()[-3:], strict=True):
            driver.record.append(size)
            await pilot.resize_terminal(*size)
            samplers[0].take(snapshot)
            await pilot.press("c", "a", "escape")
    pair = Pair(*WIDE)
    assert pair.replay(driver.record) > 100
    assert pair.sent < pair.written / 3


async def test_the_screens_of_a_file(desk: Callable[..., Desk]) -> None:
    with contextlib.closing(AlertWatch(Config(), (), None)) as watch:
        app = recording(desk(alerts=watch, watchers=(watch,)).app)
        async with app.run_test(headless=False, size=(120, 30)) as pilot:
            driver = app._driver
            assert isinstance(driver, RecordingDriver)
            await until_shown(pilot, "RTX", "deepseek")
            assert await walk(app, pilot, OF_A_FILE) == set(OF_A_FILE)
    pair = Pair(120, 30)
    assert pair.replay(driver.record) > 30
    assert pair.sent < pair.written / 3
