"""Alerts as the user sees them: the line, the marks, one toast, the bell, the list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_config
from textual.pilot import Pilot

from gputui.alerts.rules import rules_of
from gputui.alerts.watch import AlertWatch
from gputui.config import Config, InstanceConfig, TargetsConfig
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Problem, Snapshot
from gputui.instances.status import InstanceStatus, State
from gputui.processes import ProcessIdentity
from gputui.ui.alerts.line import AlertLine
from tests.support.hostile import HOSTILE, assert_clean
from tests.ui.harness import (
    BOTH,
    CONFIG,
    READY_METRICS,
    Rig,
    gpu_sample,
    make_rig,
    screen_text,
    status,
    until,
    until_shown,
)
from tests.ui.test_chat import END, answers, chunk, server

SIZES = [(160, 45), (80, 24)]
START = 1e9
DEEPSEEK = BOTH[0].pid or 0
FINE = {"memory_used": 1.0, "pcie_link_width": 16.0, "temperature_gpu": 50.0}


def sample(index: int, **values: float) -> GpuSample:
    """A GPU of the rig; on GPU 0 is the server of ``deepseek``."""
    one = gpu_sample(index)
    server = HostProcess(ProcessIdentity(DEEPSEEK, 1, "b"), "me", "llama-server", 0.0, own=True)
    there = () if index else (GpuProcess(DEEPSEEK, "llama-server", 2**30, host=server),)
    return replace(one, values=dict(one.values) | FINE | values, processes=there)


@dataclass
class Watched:
    """A dashboard with its watch, in a time that the test makes pass."""

    rig: Rig
    watch: AlertWatch
    now: list[float]

    def pass_time(self, seconds: int, **hot: float) -> None:
        """So many samples, one a second; ``hot`` are the values of GPU 1."""
        for _ in range(seconds):
            self.now[0] += 1
            gpus = (sample(0), sample(1, **hot))
            self.rig.sampler.take(Snapshot("nvml", self.now[0], gpus))

    @property
    def text(self) -> str:
        return screen_text(self.rig.app)

    @property
    def toasts(self) -> list[str]:
        return [one.message for one in self.rig.app._notifications]


@contextmanager
def watched(
    config: Config = CONFIG,
    statuses: tuple[InstanceStatus, ...] = BOTH,
    state: Path | None = None,
    **more: object,
) -> Iterator[Watched]:
    now = [START]
    watch = AlertWatch(config, rules_of(config), state, clock=lambda: now[0], steady=lambda: now[0])
    rig = make_rig(
        config,
        snapshots=[Snapshot("nvml", START, (sample(0), sample(1)))],
        statuses=statuses,
        watchers=(watch,),
        alerts=watch,
        clock=lambda: now[0],
        **more,
    )
    try:
        yield Watched(rig, watch, now)
    finally:
        watch.close()


async def shown(one: Watched, pilot: Pilot[str | None], **hot: float) -> None:
    """Until the screen has taken the newest sample, which has these values."""
    one.pass_time(1, **hot)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_what_fires_stands_in_the_line_and_on_its_panel_until_it_is_over(
    size: tuple[int, int],
) -> None:
    with watched() as one:
        async with one.rig.app.run_test(size=size, notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            assert "▲" not in one.text
            assert not one.rig.app.screen.query_one(AlertLine).display
            one.pass_time(31, temperature_gpu=87.0)
            await until_shown(pilot, "▲ warning: GPU 1 temperature 87 °C (> 85 °C for 30 s)")
            lines = one.text.splitlines()
            assert "▲ warning" in lines[1], "the line is under the header"
            assert lines[1].endswith("! lists all")
            hot = [line for line in lines if "▲ hot" in line]
            assert len(hot) == 1
            assert "5090" in hot[0]
            assert all(len(line) <= size[0] for line in lines)
            one.pass_time(1, temperature_gpu=89.0)
            await until_shown(pilot, "GPU 1 temperature 89 °C")
            one.pass_time(61)
            await until(pilot, lambda: "▲" not in one.text)


@pytest.mark.parametrize("size", SIZES)
async def test_the_worst_comes_first_and_the_rest_is_counted(size: tuple[int, int]) -> None:
    busy = replace(BOTH[0], metrics=replace(READY_METRICS, requests_deferred=9))
    with watched(statuses=(busy, BOTH[1])) as one:
        async with one.rig.app.run_test(size=size, notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            for _ in range(40):
                one.now[0] += 1
                one.watch.observed((busy, BOTH[1]))
            one.pass_time(61, temperature_gpu=91.0, memory_used=31.5 * 2**30)
            await until_shown(pilot, "▲ critical: GPU 1 temperature 91 °C (> 90 °C for 10 s)")
            line = one.text.splitlines()[1]
            assert ("2 more" in line) == (size[0] == 80)
            if size[0] == 160:
                assert "·  warning: GPU 1 memory used 99 % (> 95 % for 1 min)" in line
            assert "(> 85 °C" not in one.text, "the lesser of two rules is not said"
            assert "▲ hot, memory" in one.text
            assert "ready ▲ queue" in one.text


async def test_the_reason_line_of_an_instance_says_the_alert_and_its_remedy() -> None:
    busy = replace(BOTH[0], metrics=replace(READY_METRICS, requests_deferred=9))
    with watched(statuses=(busy, BOTH[1])) as one:
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "ready")
            for _ in range(40):
                one.now[0] += 1
                one.watch.observed((busy, BOTH[1]))
            await shown(one, pilot)
            await until_shown(pilot, "deepseek queue of 9 (> 5 for 30 s). More slots (parallel)")


async def test_a_failed_instance_is_in_the_line_and_said_once_more_nowhere() -> None:
    failed = status(
        "qwen-coder", State.FAILED, 1, 8081, last_error="out of GPU memory", hint="Use less."
    )
    with watched(statuses=(BOTH[0], failed)) as one:
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "▲ critical: qwen-coder failed: out of GPU memory")
            assert "▲ failed" not in one.text
            assert one.toasts == [], "what failed before gputui came is no news"


async def test_a_toast_says_once_what_begins_and_the_bell_rings_where_it_is_wanted() -> None:
    for bell in (False, True):
        with watched(replace_config(CONFIG, alert_bell=bell)) as one:
            rings: list[int] = []
            one.rig.app.bell = lambda rings=rings: rings.append(1)  # type: ignore[method-assign]
            async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
                await until_shown(pilot, "RTX 5090")
                one.pass_time(31, temperature_gpu=87.0)
                await until(pilot, lambda one=one: len(one.toasts) == 1)
                assert one.toasts == ["warning: GPU 1 temperature 87 °C (> 85 °C for 30 s)"]
                one.pass_time(20, temperature_gpu=88.0)
                one.pass_time(70)
                one.pass_time(40, temperature_gpu=87.0)
                await until_shown(pilot, "▲ warning: GPU 1")
                assert len(one.toasts) == 1, "again within ten minutes is no news"
                assert len(rings) == bell


async def test_what_begins_at_once_is_one_toast_the_worst_first() -> None:
    with watched() as one:
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            values = {"memory_used": 31.5 * 2**30, "pcie_link_width": 8.0, "ecc_uncorrected": 1.0}
            one.pass_time(70, temperature_gpu=95.0, throttle_reasons=64.0, **values)
            await until(pilot, lambda: bool(one.toasts))
            (toast,) = one.toasts
            lines = toast.splitlines()
            assert lines[0].startswith("critical: ")
            assert (len(lines), lines[-1]) == (4, "and 2 more")


@pytest.mark.parametrize("name", ["cursor", "action", "rich markup", "bidi", "emoji", "nul"])
async def test_hostile_words_stay_words(name: str, tmp_path: Path) -> None:
    text = dict(HOSTILE)[name]
    failed = status("qwen-coder", State.FAILED, 1, 8081, last_error=f"why {text}")
    lost = replace(sample(1), values={}, problem=Problem(f"lost {text}"))
    with watched(statuses=(BOTH[0], failed), state=tmp_path) as one:
        async with one.rig.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "▲ critical: qwen-coder failed: why")
            assert_clean(one.text.splitlines()[1])
            for _ in range(12):
                one.now[0] += 1
                one.rig.sampler.take(Snapshot("nvml", one.now[0], (sample(0), lost)))
            await until_shown(pilot, "▲ lost")
            await pilot.press("!")
            await until_shown(pilot, "gives no reading: lost")
            assert_clean("\n".join(line for line in one.text.splitlines() if "GPU 1 " in line))


async def test_without_unicode_and_colour_the_words_say_it() -> None:
    with watched(ascii_only=True) as one:
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            one.pass_time(31, temperature_gpu=87.0)
            await until_shown(pilot, "! warning: GPU 1 temperature 87 oC (> 85 oC for 30 s)")
            await pilot.press("!")
            await until_shown(pilot, "firing")
            assert not {c for c in one.text if ord(c) > 127} - set("⏎▏")


@pytest.mark.parametrize("size", SIZES)
async def test_the_list_has_what_fires_on_top_and_survives_a_restart(
    size: tuple[int, int], tmp_path: Path
) -> None:
    with watched(state=tmp_path) as one:
        async with one.rig.app.run_test(size=size, notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            await pilot.press("!")
            await until_shown(pilot, "No alert has fired yet.")
            await pilot.press("escape")
            one.pass_time(31, temperature_gpu=87.0)
            one.pass_time(61)
            one.pass_time(75, memory_used=31.5 * 2**30)
            await pilot.press("!")
            await until_shown(pilot, "firing 00:1")
            rows = [line for line in one.text.splitlines() if "GPU 1  " in line]
            assert ["memory" in rows[0], "temperature" in rows[1], "01:01" in rows[1]] == [True] * 3
            assert all("warning" in row for row in rows)
            await until_shown(pilot, "A longer context may not fit.")
            await pilot.press("down")
            await until_shown(pilot, "It ended at ")
            await pilot.press("escape")
            await until(pilot, lambda: "began" not in one.text)
        one.watch.close()
    with watched(state=tmp_path) as again:
        async with again.rig.app.run_test(size=size, notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            await pilot.press("!")
            await until_shown(pilot, "memory used 99 %"[: 16 if size[0] > 100 else 8])
            rows = [line for line in again.text.splitlines() if "GPU 1  " in line]
            assert len(rows) == 2
            assert "firing" not in again.text
            assert "since gputui ended" in again.text


async def test_a_replay_counts_in_its_own_time() -> None:
    with watched() as one:
        one.rig.app.services.clock = lambda: START * 2
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            one.pass_time(45, temperature_gpu=87.0)
            await pilot.press("!")
            await until_shown(pilot, "firing 00:14")


async def test_a_list_longer_than_the_screen_can_be_walked(tmp_path: Path) -> None:
    with watched(state=tmp_path) as one:
        async with one.rig.app.run_test(size=(80, 24), notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            for _ in range(30):
                one.pass_time(31, temperature_gpu=87.0)
                one.pass_time(61)
            await pilot.press("!")
            await until_shown(pilot, "▸")
            await until(pilot, lambda: one.text.count("temperature") > 8)
            first = one.text
            await pilot.press("end")
            await until(pilot, lambda: one.text != first)
            await pilot.press("pageup", "home")
            await until(pilot, lambda: "▸" in one.text.splitlines()[3])


async def test_the_list_is_in_the_palette_and_among_the_keys() -> None:
    with watched(replace_config(CONFIG, keys={"view.events": "f7"})) as one:
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            titles = [c.title for c in one.rig.app.get_system_commands(one.rig.app.screen)]
            assert "Events" in titles
            one.pass_time(31, temperature_gpu=87.0)
            await until_shown(pilot, "f7 lists all")
            await pilot.press("f7")
            await until_shown(pilot, "began")


async def test_a_slow_first_token_of_the_chat_is_an_alert() -> None:
    async with server(answers(chunk(content="late"), END)) as url:
        port = int(url.rpartition(":")[2].removesuffix("/v1"))
        instance = InstanceConfig(
            name="slow", model="m.gguf", port=port, targets=TargetsConfig(ttft_seconds=1e-6)
        )
        with watched(
            Config(instances=(instance,)), (status("slow", State.READY, None, port),)
        ) as one:
            async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
                await until_shown(pilot, "ready")
                await pilot.press("c", "h", "i", "ctrl+t", "enter")
                await until_shown(pilot, "late")
                await until_shown(pilot, "▲ warning: slow TTFT", "ready ▲ TTFT")


async def test_what_goes_wrong_with_the_alerts_is_told_once(tmp_path: Path) -> None:
    config = replace_config(CONFIG, on_alert=("/no/such/program", "{message}"))
    with watched(config, state=tmp_path) as one:
        async with one.rig.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "RTX 5090")
            one.pass_time(31, temperature_gpu=87.0)
            told: Callable[[], int] = lambda: sum(  # noqa: E731
                "cannot be run" in one.title for one in pilot.app._notifications
            )
            await until(pilot, lambda: one.pass_time(1, temperature_gpu=87.0) or told() == 1)
            one.pass_time(100)
            await pilot.pause()
            assert told() == 1
