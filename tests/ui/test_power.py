"""The power screen, the dialog for a limit, and what is told afterwards."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from gputui.config import Config, PowerConfig, PowerLimitConfig
from gputui.errors import GputuiError
from gputui.gpu.power_limit import LimitChange, LimitRefusedError
from gputui.gpu.sample import Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.power.efficiency import Efficiency
from gputui.power.meter import PowerMeter
from gputui.power.schedule import PowerSchedule
from gputui.power.session import PowerSession
from gputui.text import UNKNOWN
from gputui.ui.power.lines import power_lines, power_view, tokens_per_joule
from tests.ui.harness import (
    CONFIG,
    Rig,
    gpu_sample,
    make_rig,
    screen_text,
    status,
    until,
    until_shown,
)

LIMITS = {"power_default_limit": 575.0, "power_min_limit": 400.0, "power_max_limit": 600.0}


def taken(at: int, draw: float = 400.0, counter: float | None = None, gpus: int = 2) -> Snapshot:
    more = {"power_draw": draw} | ({} if counter is None else {"total_energy_consumption": counter})
    samples = (gpu_sample(index) for index in range(gpus))
    return Snapshot(
        "nvml",
        1e9 + at,
        tuple(replace(s, values=dict(s.values) | LIMITS | more) for s in samples),
    )


@dataclass
class Driver:
    """Takes limits; refuses or hangs as told."""

    asked: list[tuple[int, float]] = field(default_factory=list)
    refusal: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self, gpu: GpuIdentity, watts: float) -> LimitChange:
        self.asked.append((gpu.index, watts))
        self.gate.wait(60)
        if self.refusal is not None:
            raise self.refusal
        return LimitChange(gpu, 575.0, watts)


@dataclass
class PowerRig:
    driver: Driver
    made: Rig

    def take(self, snapshot: Snapshot) -> None:
        self.made.sampler.take(snapshot)

    @property
    def text(self) -> str:
        return screen_text(self.made.app)


def power_rig(
    config: Config = CONFIG,
    *,
    refusal: GputuiError | None = None,
    seconds: int = 3,
    statuses: tuple[InstanceStatus, ...] = (),
    tables: tuple[PowerLimitConfig, ...] = (),
    **more: object,
) -> PowerRig:
    driver = Driver()
    held = refusal.hint if refusal else ""
    session = PowerSession(PowerMeter(), PowerSchedule(tables, driver, held=held), driver, refusal)
    snapshots = [taken(at) for at in range(seconds)]
    made = make_rig(
        config,
        snapshots=snapshots,
        statuses=statuses,
        power=session,
        watchers=(session.meter, session.schedule),
        **more,
    )
    return PowerRig(driver, made)


def busy(tokens: int, processing: int = 0) -> InstanceStatus:
    metrics = InstanceMetrics(requests_processing=processing, tokens_generated=tokens)
    return status("deepseek", State.READY, 0, 8080, pinned=True, metrics=metrics)


def lines(
    config: PowerConfig = CONFIG.power, width: int = 120, seconds: int = 3600, **more: object
) -> str:
    """What the screen draws after that many seconds at 400 W a GPU, as text."""
    from gputui.themes import load_themes, shipped_dir
    from gputui.ui.palette import Palette

    meter = PowerMeter()
    for at in range(seconds + 1):
        meter.sampled(taken(at))
    palette = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
    view = power_view(meter.report(), taken(seconds), config, (), (), **more)  # type: ignore[arg-type]
    drawn = power_lines(view, width, palette)
    assert all(line.width <= width for line in drawn if width >= 60), "nothing is cut off"
    return "\n".join("".join(text for text, _ in line.runs).rstrip() for line in drawn)


def test_an_hour_at_800_watts() -> None:
    """0.8 kWh at €0.50."""
    text = lines()
    first, second = (line for line in text.splitlines() if "RTX" in line)
    assert "400 W" in first
    assert "575 W" in first
    assert "400–600 W" in first
    assert first.split()[-3:] == ["400.0", "Wh", "€0.20"]
    assert second.split()[-1] == "€0.20"
    together = next(line for line in text.splitlines() if "together" in line)
    assert "800 W" in together
    assert "of 2000 W, 40 %" in together
    assert together.split()[-3:] == ["800.0", "Wh", "€0.40"]
    for label in ("at the draw of now", "at the mean of this session"):
        amounts = next(line for line in text.splitlines() if label in line).split()
        assert amounts[-5:] == ["€0.40", "€9.60", "€292.22", "800", "W"]
    assert "energy over 1:00:00, integrated from the draw" in text


def test_what_is_not_configured_or_not_known_yet_is_said() -> None:
    text = lines(PowerConfig(), seconds=10)
    assert "set price_per_kwh" in text
    assert "of 2000 W" not in text
    assert "from 5 minutes of session on" in lines(seconds=10)
    assert "No GPU has been seen yet" in _empty()


def _empty() -> str:
    from gputui.themes import load_themes, shipped_dir
    from gputui.ui.palette import Palette

    palette = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
    view = power_view(PowerMeter().report(), None, PowerConfig(), (), ())
    return "\n".join(text for line in power_lines(view, 80, palette) for text, _ in line.runs)


@pytest.mark.parametrize("width", [40, 60, 76, 100, 118, 158, 300])
def test_every_width_keeps_the_most_important_columns(width: int) -> None:
    text = lines(width=width, seconds=2)
    assert "400 W" in text
    assert ("limit" in text.splitlines()[0]) is (width > 50)


@pytest.mark.parametrize(
    ("value", "text"), [(None, UNKNOWN), (0.0312, "0.031"), (1.236, "1.24"), (12.36, "12.4")]
)
def test_tokens_per_joule_have_three_digits(value: float | None, text: str) -> None:
    assert tokens_per_joule(value) == text


async def test_the_key_opens_it_and_escape_closes_it() -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        await pilot.press("w")
        await until_shown(pilot, "Power and cost")
        assert "at the draw of now" in rig.text
        rig.take(taken(4, draw=123))
        await until_shown(pilot, "246 W")
        await pilot.press("escape")
        await until_shown(pilot, "Instances")


def efficiency(rig: PowerRig) -> Efficiency:
    """What the meter knows of the instance."""
    session = rig.made.app.services.power
    assert session is not None
    return session.meter.report().efficiencies.get("deepseek", Efficiency(None))


def row_of(rig: PowerRig) -> set[str]:
    """The words of the line of the instance."""
    return set(
        next(line for line in rig.text.splitlines() if "deepseek" in line and "■0" in line).split()
    )


async def test_tokens_per_joule_in_the_table_and_on_the_screen() -> None:
    rig = power_rig(statuses=(busy(0),))
    async with rig.made.app.run_test(notifications=True, size=(160, 45)) as pilot:
        await until_shown(pilot, "deepseek")
        await until(pilot, lambda: efficiency(rig).reason.startswith("no request"))
        rig.take(taken(3))
        rig.made.supervisor.statuses = [busy(80)]
        await until(pilot, lambda: rig.made.app.screen.caretaker.status("deepseek") == busy(80))  # type: ignore[attr-defined]
        rig.take(taken(4))
        found = efficiency(rig)
        assert found.tokens == 80
        shown = tokens_per_joule(found.tokens_per_joule)
        assert "tok/J" in rig.text
        await until(pilot, lambda: shown in row_of(rig))
        await pilot.press("w")
        await until_shown(pilot, "Tokens per joule, this session")
        assert {shown, "80"} <= row_of(rig)


async def test_the_column_goes_first_when_it_is_narrow() -> None:
    rig = power_rig(statuses=(busy(0),))
    async with rig.made.app.run_test(notifications=True, size=(120, 30)) as pilot:
        await until_shown(pilot, "deepseek")
        assert "tok/J" not in rig.text


async def ask(pilot: Pilot[str | None], rig: PowerRig, watts: str) -> None:
    """Open the dialog for the second GPU and type: it takes the place of what stands there."""
    await until_shown(pilot, "/ 2000 W")
    await pilot.press("w")
    await until_shown(pilot, "Power and cost")
    await pilot.press("down", "P")
    await until_shown(pilot, "Power limit of GPU 1")
    await pilot.press(*(watts or ["backspace"]))


async def test_a_limit_is_asked_for_confirmed_set_and_told() -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, "450")
        assert "now 575 W, default 575 W, from 400 to 600 W" in rig.text
        await pilot.press("enter")
        await until_shown(pilot, "Hold GPU 1 to 450 W (575 W now)?")
        assert rig.driver.asked == []
        await pilot.press("y")
        await until_shown(pilot, "GPU 1: power limit 575 → 450 W")
        assert rig.driver.asked == [(1, 450.0)]


@pytest.mark.parametrize("keys", [("enter", "n"), ("enter", "enter"), ("escape",)])
async def test_whoever_does_not_confirm_sets_nothing(keys: tuple[str, ...]) -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, "450")
        await pilot.press(*keys)
        await pilot.pause()
        assert rig.driver.asked == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("999", "999 W is out of its range. It takes 400 to 600 W."),
        ("4x", '"4x" is no limit.'),
        ("", "Give watts, as in 450, or the word default."),
    ],
)
async def test_what_is_typed_is_checked_as_it_is_typed(typed: str, words: str) -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, typed)
        await until_shown(pilot, words)
        await pilot.press("enter")
        await pilot.pause()
        assert "Hold GPU 1" not in rig.text


@pytest.mark.parametrize(
    ("start", "key", "value"),
    [("450", "up", "455"), ("452", "up", "455"), ("452", "down", "450"), ("600", "up", "600"),
     ("400", "down", "400"), ("default", "down", "570")],
)  # fmt: skip
async def test_arrows_go_by_five_watts_within_the_range(start: str, key: str, value: str) -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, start)
        await pilot.press(key)
        assert rig.made.app.screen.query_one(Input).value == value


async def test_a_limit_is_asked_for_in_the_details_too() -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        await pilot.press("g")
        await until_shown(pilot, "lowest limit")
        await pilot.press("P")
        await until_shown(pilot, "Power limit of GPU 0")
        await pilot.press(*["down"] * 3, "enter", "y")
        await until_shown(pilot, "GPU 0: power limit 575 → 585 W")
        assert rig.driver.asked == [(0, 585.0)]


async def test_without_permission_the_command_is_shown() -> None:
    rig = power_rig()
    rig.driver.refusal = LimitRefusedError("needs root", "sudo nvidia-smi -i 21:00.0 -pl 450")
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, "450")
        await pilot.press("enter", "y")
        await until_shown(pilot, "sudo nvidia-smi -i 21:00.0 -pl 450")


async def test_a_driver_that_hangs_is_told_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gputui.ui.power.actions.DRIVER_SECONDS", 0.1)
    rig = power_rig()
    rig.driver.gate.clear()
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, "450")
        await pilot.press("enter", "y")
        await until_shown(pilot, "the driver does not answer")
        await pilot.press("escape")
        await until_shown(pilot, "Instances")
    rig.driver.gate.set()


async def test_a_fault_is_told_in_words() -> None:
    rig = power_rig()
    rig.driver.refusal = ValueError("odd")
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await ask(pilot, rig, "450")
        await pilot.press("enter", "y")
        await until_shown(pilot, "ValueError: odd")


async def test_readonly_does_not_even_ask() -> None:
    rig = power_rig(
        refusal=GputuiError("the power limit was not set", "gputui runs with --readonly.")
    )
    async with rig.made.app.run_test(notifications=True, size=(100, 30)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        await pilot.press("w")
        await until_shown(pilot, "Power and cost")
        await pilot.press("P")
        await until_shown(pilot, "--readonly")
        assert "Power limit of" not in rig.text
        assert rig.driver.asked == []


ALWAYS = PowerLimitConfig(gpus=("5090",), watts=450, from_="00:00", to="00:00")


async def test_what_a_schedule_does_is_told_and_shown() -> None:
    rig = power_rig(tables=(ALWAYS,))
    async with rig.made.app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until_shown(pilot, "GPU 1: power limit 575 → 450 W (all day)")
        await pilot.press("w")
        await until_shown(pilot, "Limits by the time of day")
        assert "in force" in rig.text
        assert rig.driver.asked == [(1, 450.0)]


async def test_a_schedule_that_is_held_back_says_why() -> None:
    rig = power_rig(tables=(ALWAYS,), refusal=GputuiError("x", "gputui runs with --readonly"))
    async with rig.made.app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        await pilot.press("w")
        await until_shown(pilot, "not applied: gputui runs with --readonly")
        assert rig.driver.asked == []


async def test_sixteen_gpus_in_a_small_terminal_scroll() -> None:
    rig = power_rig()
    async with rig.made.app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until_shown(pilot, "RTX 5090")
        rig.take(taken(9, gpus=16))
        await pilot.press("w")
        await until_shown(pilot, "Power and cost")
        await until_shown(pilot, "15 RTX 5090")
        await pilot.press(*["down"] * 15)
        await pilot.press("P")
        await until_shown(pilot, "Power limit of GPU 15")


async def test_the_palette_and_ascii() -> None:
    rig = power_rig(ascii_only=True)
    async with rig.made.app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        titles = [c.title for c in rig.made.app.get_system_commands(rig.made.app.screen)]
        assert "Power and cost" in titles
        await pilot.press("w")
        await until_shown(pilot, "Power and cost")
        table = [line for line in rig.text.splitlines() if "W" in line]
        assert all(line.isascii() for line in table), table
