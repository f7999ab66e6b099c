"""A GPU's details where something is wrong, odd or small; and what they cost."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest
from textual.geometry import Region
from textual.widget import Widget

from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import Problem, Snapshot
from gputui.text import clean_line
from gputui.ui.dashboard import Dashboard
from gputui.ui.gpus.chart_view import ChartView
from gputui.ui.messages import SamplesTaken
from gputui.ui.overlay import Seen
from tests.support.hostile import HOSTILE
from tests.ui.details import SIZES, charts, lines_of, open_details, part
from tests.ui.harness import (
    GIB,
    gpu_sample,
    identity,
    make_rig,
    process,
    rig,
    screen_text,
    snapshot,
    until,
    until_shown,
)
from tests.ui.test_hostile import assert_harmless

pytestmark = pytest.mark.usefixtures("utc")

LOST = gpu_sample(0, values={}, unavailable={}, problem=Problem("GPU 0 is lost", "Reboot."))


@pytest.mark.parametrize(
    ("then", "words", "size"),
    [
        (
            Snapshot("nvml", 1e9 + 90, (LOST, gpu_sample(1, 90))),
            "GPU 0 is lost. Reboot.",
            (160, 45),
        ),
        (Snapshot("nvml", 1e9 + 90, (gpu_sample(1, 90),)), "GPU 0 is gone: the driver", (80, 24)),
        (
            replace(snapshot(tick=89), problem=Problem("the driver has not answered for 9 s")),
            "the driver has not answered for 9 s",
            (120, 30),
        ),
        (
            Snapshot("nvml", 1e9 + 90, problem=Problem("no driver", "Install it.")),
            "Install it.",
            (80, 24),
        ),
    ],
)
async def test_what_is_wrong_is_said_and_history_stays(
    then: Snapshot, words: str, size: tuple[int, int]
) -> None:
    one = rig()
    async with one.app.run_test(size=size) as pilot:
        details = await open_details(one, pilot)
        before = "\n".join(part(one, "facts"))
        details.take(Seen(then, {}))
        await until_shown(pilot, words)
        facts = "\n".join(part(one, "facts"))
        assert "GPU 0 is lost" in facts if then.gpus[:1] == (LOST,) else facts[:400] == before[:400]
        text = await charts(one, pilot)
        assert len(re.findall("[⠁-⣿]", text)) > 20
        await pilot.press("[", "]", "plus", "left", "o", "0")
        one.sampler.take(snapshot(tick=91))
        await until(pilot, lambda: words not in screen_text(one.app))


@pytest.mark.parametrize(
    ("ready", "words", "size"),
    [
        ([], "waiting for the first sample", (80, 24)),
        ([Snapshot("nvml", 1.0)], "No GPU here.", (120, 30)),
        ([Snapshot("nvml", 1.0, problem=Problem("x", "Install it."))], "Install it.", (160, 45)),
    ],
)
async def test_without_a_gpu_it_says_so_and_no_key_breaks_it(
    ready: Sequence[Snapshot], words: str, size: tuple[int, int]
) -> None:
    one = rig(snapshots=ready)
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, words)
        await pilot.press("down", "space", "tab", "plus", "minus", "left", "0", "o", "[", "]", "up")
        assert words in screen_text(one.app)
        one.sampler.take(snapshot(tick=5))
        await until_shown(pilot, "▸0  RTX PRO 6000 Blackwell")
        await until_shown(pilot, "now 01:46:45")
        assert words not in screen_text(one.app)


@pytest.mark.parametrize("size", [(120, 30), (80, 24)])
async def test_an_ascii_terminal_gets_ascii(size: tuple[int, int]) -> None:
    one = rig(ascii_only=True, snapshots=[snapshot(3, tick) for tick in range(300)])
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        await pilot.press("o")
        text = await charts(one, pilot)
        assert text.isascii()
        assert "#1" in text
        assert "*" in text
        await pilot.press("tab")
        assert all(row.isascii() for row in lines_of(one)[:-1])  # the footer is Textual's


@pytest.mark.parametrize("size", [(160, 45), (80, 24)])
async def test_hostile_names_are_drawn_and_never_obeyed(size: tuple[int, int]) -> None:
    one = make_rig(snapshots=[hostile_snapshot("")])
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        await pilot.press("o")
        for name in ("colours", "action", "closing tag", "bidi", "emoji", "combining", "empty"):
            one.sampler.take(hostile_snapshot(clean_line(dict(HOSTILE)[name], 200)))
            await pilot.press("tab")
            assert_harmless(one.app)
            await pilot.press("pagedown", "up")
            assert_harmless(one.app)
        assert one.app.is_running


def hostile_snapshot(text: str) -> Snapshot:
    """As the rooms hand it over: through the cleaning function."""
    gpu = gpu_sample(0)
    odd = replace(
        gpu,
        identity=replace(gpu.identity, name=text, pci_bus_id=text),
        unavailable={metric.name: text for metric in METRICS},
    )
    problem = Problem(text, text)
    gpus = (odd, gpu_sample(1))
    return Snapshot("nvml", 1.0, gpus, text, cuda_version=text, problem=problem)


PARTS = {"facts": "driver's reserve", "charts": "Power · draw", "processes": "PID"}


@pytest.mark.parametrize("size", SIZES)
async def test_the_processes_have_their_place_at_every_size(size: tuple[int, int]) -> None:
    one = rig(snapshots=[with_processes(89)])
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, "driver's reserve")
        assert ("PID" in screen_text(one.app)) == (size == (160, 45))
        seen = []
        for _ in range(3):
            await pilot.press("tab")
            await pilot.pause()
            text = screen_text(one.app)
            seen.append([name for name, words in PARTS.items() if words in text])
        assert all("facts" in shown for shown in seen) == (size[0] >= 120)
        assert {name for shown in seen for name in shown} == set(PARTS)
        if size == (80, 24):
            assert seen == [["charts"], ["processes"], ["facts"]]
        if size == (160, 45):
            assert seen == [list(PARTS)] * 3


async def test_the_processes_are_those_of_the_gpu_and_of_now() -> None:
    one = rig(snapshots=[with_processes(89)])
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        await until_shown(pilot, " 4100 ")
        assert " 4101 " not in screen_text(one.app)
        await pilot.press("right_square_bracket")
        await until_shown(pilot, " 4101 ")
        assert " 4100 " not in screen_text(one.app)
        one.sampler.take(with_processes(90, first=5200))
        await until_shown(pilot, " 5201 ")


async def test_the_limit_is_asked_for_where_the_gpu_is_looked_at() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        details = await open_details(one, pilot)
        asked: list[str] = []
        details._power.request_limit = lambda sample: asked.append(sample.identity.uuid)  # type: ignore[method-assign]
        await pilot.press("P", "right_square_bracket", "P")
        await until(pilot, lambda: asked == [identity(0).uuid, identity(1).uuid])


def with_processes(tick: int, first: int = 4100) -> Snapshot:
    """A process a GPU."""
    taken = snapshot(tick=tick)
    gpus = (replace(gpu, processes=(process(first + n, GIB),)) for n, gpu in enumerate(taken.gpus))
    return replace(taken, gpus=tuple(gpus))


async def test_a_key_that_changes_the_charts_shows_them() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24)) as pilot:
        await open_details(one, pilot)
        assert "Power · draw" not in screen_text(one.app)
        await pilot.press("plus")
        await until_shown(pilot, "Power · draw")
        assert "last 5 min" in screen_text(one.app)
        await pilot.press("shift+tab")
        await until_shown(pilot, "driver's reserve")


async def test_nothing_is_left_behind_when_it_is_closed() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "Instances")
        left: list[weakref.ref[Widget]] = []
        for _ in range(3):
            details = await open_details(one, pilot)
            left += [weakref.ref(widget) for widget in details.walk_children(Widget)]
            del details
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(one.app.screen, Dashboard))
            one.sampler.take(snapshot(tick=100 + len(left)))
            await pilot.pause()
        assert len(one.app.screen_stack) == 2  # Textual's own, and the dashboard

        def gone() -> bool:
            gc.collect()
            return sum(widget() is not None for widget in left) <= len(left) // 3

        await until(pilot, gone)  # Textual may keep the last


def spy(widget: Widget) -> list[Region]:
    """The regions that are repainted from now on."""
    regions: list[Region] = []
    original = widget.refresh

    def refresh(*given: Region, **more: bool) -> Widget:
        regions.extend(given or [widget.region])
        return original(*given, **more)

    widget.refresh = refresh  # type: ignore[method-assign,assignment]
    return regions


async def test_over_a_day_a_sample_changes_next_to_nothing() -> None:
    one = rig(snapshots=[snapshot(tick=tick) for tick in range(0, 3000, 3)])
    async with one.app.run_test(size=(160, 45)) as pilot:
        details = await open_details(one, pilot)
        await pilot.press(*["minus"] * 6)
        await until_shown(pilot, "last 24 h")
        cells = []
        regions = spy(details.query_one(ChartView))
        for tick in range(3000, 3030, 3):
            regions.clear()
            one.sampler.take(snapshot(tick=tick))
            await until(pilot, lambda tick=tick: details._seen.snapshot.taken_at == 1e9 + tick)  # type: ignore[misc,union-attr]
            cells.append(sum(region.area for region in regions))
        assert sorted(cells)[5] <= 4 * 40  # the titles' numbers
        assert {region.height for region in regions} <= {1}


async def test_the_theme_can_change_while_it_is_open() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        details = await open_details(one, pilot)
        await until_shown(pilot, "more below")
        before = details._compositor.render_strips(one.app.size)
        one.app.theme = "paper"
        await pilot.pause()
        await pilot.pause()
        after = details._compositor.render_strips(one.app.size)
        assert [strip.text for strip in after] == [strip.text for strip in before]
        palette = one.app.look.palette
        assert palette.theme.name == "paper"
        styles = {
            segment.style.color
            for strip in after
            for segment in strip
            if segment.style and set(segment.text) & set("⠉⠒⠤⣀")
        }
        assert palette.hue(0).color in styles


async def test_resizing_while_it_is_open_keeps_everything_in_sight() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        for size in (*SIZES[::-1], (60, 20), (160, 45)):
            await pilot.resize_terminal(*size)
            await until_shown(pilot, "driver's reserve")
            await until(pilot, lambda size=size: max(map(len, lines_of(one))) <= size[0])  # type: ignore[misc]
            if size[0] >= 120:
                await until_shown(pilot, "now 01:48:09")


async def test_every_action_is_in_the_palette_and_every_key_in_the_help() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "Instances")
        titles = [command.title for command in one.app.get_system_commands(one.app.screen)]
        assert "GPU details" in titles
        details = await open_details(one, pilot)
        commands = {c.title: c.callback for c in one.app.get_system_commands(details)}
        commands["Zoom in"]()
        commands["Next GPU"]()
        await until_shown(pilot, "─ 1  RTX 5090 · 21:00.0 ─")
        assert "last 5 min" in screen_text(one.app)
        await pilot.press("question_mark")
        await until_shown(pilot, "details.zoom_in")
        help_text = str(one.app.screen.query_one("Static").render())
        for name in (
            "gpu.details",
            "details.zoom_in",
            "details.overlay",
            "facts.choose",
            "charts.up",
        ):
            assert name in help_text
        await pilot.press("escape")
        commands["Close the details"]()
        await until(pilot, lambda: isinstance(one.app.screen, Dashboard))


@pytest.mark.parametrize("key", ["gpu_details", "processes", "power"])
async def test_a_sample_that_comes_while_a_screen_is_opened_is_no_trouble(key: str) -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "Instances")
        dashboard = one.app.screen
        assert isinstance(dashboard, Dashboard)
        for tick in range(90, 93):
            getattr(dashboard, f"action_{key}")()
            dashboard.samples_taken(SamplesTaken(lambda tick=tick: snapshot(tick=tick)))  # type: ignore[misc]
            await until(
                pilot, lambda: one.app.screen is not dashboard and one.app.screen.is_mounted
            )
            await pilot.press("escape")
            await until(pilot, lambda: one.app.screen is dashboard)
