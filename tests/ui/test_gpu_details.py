"""A GPU's details as their user works them: keys in, screen out."""

from __future__ import annotations

import gc
import re
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from gputui.gpu.metrics import METRICS, Kind
from gputui.gpu.sample import GpuSample, Problem, Snapshot
from gputui.text import clean_line
from gputui.ui.chart_view import ChartView, title_of
from gputui.ui.dashboard import Dashboard
from gputui.ui.gpu_details import DetailsMemory, GpuDetails
from gputui.ui.messages import SamplesTaken
from tests.support.hostile import HOSTILE
from tests.ui.harness import (
    Rig,
    gpu_sample,
    identity,
    make_rig,
    rig,
    screen_text,
    snapshot,
    until,
    until_shown,
)
from tests.ui.test_hostile import assert_harmless

SIZES = [(160, 45), (120, 30), (80, 24)]
NAMED = {metric.name: metric for metric in METRICS}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The charts say the clock's time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def full_sample(index: int, tick: int = 0) -> GpuSample:
    """A GPU that says everything."""
    sample = gpu_sample(index, tick)
    values = {metric.name: 1.0 + number for number, metric in enumerate(METRICS)}
    return replace(sample, values=values | dict(sample.values), unavailable={})


def full_snapshot(tick: int = 0, gpus: int = 2) -> Snapshot:
    samples = tuple(full_sample(index, tick) for index in range(gpus))
    return Snapshot("nvml", 1e9 + tick, samples, "570.86", cuda_version="12.8")


async def open_details(one: Rig, pilot: Pilot[str | None]) -> GpuDetails:
    await until_shown(pilot, "Instances")
    await pilot.press("g")
    await until(pilot, lambda: isinstance(one.app.screen, GpuDetails))
    await pilot.pause()
    assert isinstance(one.app.screen, GpuDetails)
    return one.app.screen


def lines_of(one: Rig) -> list[str]:
    return screen_text(one.app).splitlines()


def part(one: Rig, name: str) -> list[str]:
    """The lines of one part of the screen, without its border."""
    region = one.app.screen.query_one(f"#details-{name}").content_region
    rows = lines_of(one)[region.y : region.bottom]
    return [row.ljust(region.right)[region.x : region.right] for row in rows]


async def charts(one: Rig, pilot: Pilot[str | None]) -> str:
    """The charts, which a small terminal shows after tab."""
    if not one.app.screen.query_one("#details-charts").display:
        await pilot.press("tab")
        await pilot.pause()
    return "\n".join(part(one, "charts"))


async def test_every_reading_is_on_the_screen_at_160_columns() -> None:
    one = rig(snapshots=[full_snapshot(tick) for tick in range(5)])
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        rows = part(one, "facts")
        sample = full_sample(0, 4)
        for metric in METRICS:
            shown = f"{metric.label} .*{re.escape(metric.show(sample.values[metric.name]))} "
            assert any(re.search(shown, row) for row in rows), metric.name
        gpu, text = sample.identity, "\n".join(rows)
        for words in (gpu.uuid, gpu.pci_bus_id, "driver 570.86, CUDA 12.8"):
            assert words in text
        assert all(word in text for word in gpu.name.split())


@pytest.mark.parametrize("size", SIZES)
async def test_every_reading_and_every_reason_is_reached_by_the_arrows(
    size: tuple[int, int],
) -> None:
    one = rig()
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        seen: dict[str, str] = {}
        for _ in range(len(METRICS) + 4):
            (marked,) = [row for row in part(one, "facts") if row.startswith(("▸", ">"))]
            seen[marked[16:].strip()] = marked
            await pilot.press("down")
        sample = gpu_sample(0, 89)
        for metric in METRICS:
            value = metric.show(sample.values.get(metric.name))
            value = sample.unavailable.get(metric.name, value)
            shown = f"{re.escape(metric.label)}( +{re.escape(value)})?"
            assert any(re.fullmatch(shown, row) for row in seen), metric.name
        assert any(row.startswith("software") or "CUDA" in row for row in seen)
        assert all(len(line) <= size[0] for line in lines_of(one))


@pytest.mark.parametrize("size", SIZES)
async def test_the_charts_say_what_when_and_how_much(size: tuple[int, int]) -> None:
    one = rig()
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        text = await charts(one, pilot)
        for words in (
            "Utilization · GPU", "Memory used", "Power · draw", "Temperature and fan · GPU",
            "100 %", "95.6 GiB", "600 W", "0 W", "−10 min", "−5 min", "now 01:48:09", "01:38:09",
        ):  # fmt: skip
            assert words in text, words
        assert all(len(line) <= size[0] for line in lines_of(one))
        blank = [row for row in part(one, "charts") if not row.strip()]
        assert len(blank) <= 1  # the room is used


async def test_zoom_goes_from_a_minute_to_a_day() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        assert "last 10 min" in screen_text(one.app)
        before = await charts(one, pilot)
        for key, words in (("plus", "5 min"), ("plus", "2 min"), ("plus", "1 min")):
            await pilot.press(key)
            await until_shown(pilot, f"last {words}")
            assert f"−{words}" in await charts(one, pilot)
        assert await charts(one, pilot) != before
        await pilot.press("plus", *["minus"] * 9)
        await until_shown(pilot, "last 24 h")
        await pilot.press("minus")
        assert "last 24 h" in screen_text(one.app)


async def test_pan_stays_in_its_time_and_comes_back() -> None:
    one = rig(snapshots=[snapshot(tick=tick) for tick in range(1500)])
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        await pilot.press("left", "left")
        await until_shown(pilot, "−5 min 02:06:39")  # half of the ten minutes back
        held = part(one, "charts")[1:-1]
        for tick in range(1500, 1530):
            one.sampler.take(snapshot(tick=tick))
        await until_shown(pilot, "−5.5 min 02:06:39")
        drawn = [row for row in part(one, "charts")[1:-1] if "┤" in row or "│" in row]
        assert drawn == [row for row in held if "┤" in row or "│" in row]
        await pilot.press("right")
        await until_shown(pilot, "−3 min 02:09:09")
        await pilot.press("0")
        await until_shown(pilot, "now 02:12:09")
        await pilot.press(*["left"] * 20)
        await until_shown(pilot, "01:46:40 −25.5 min")  # the oldest there is, and no further
        await pilot.press("home")
        await until_shown(pilot, "now 02:12:09")


async def test_space_puts_a_reading_into_the_charts_and_out() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await open_details(one, pilot)
        await pilot.press("space")
        await until(pilot, lambda: "Utilization · GPU" not in screen_text(one.app))
        await pilot.press("down", "space")
        await until_shown(pilot, "Utilization · memory controller")
        assert "■ memory controller" in screen_text(one.app)
        assert "□ GPU" in screen_text(one.app)
        await pilot.press(*["down"] * 4, "space")  # the memory there is: it does not move
        await until_shown(pilot, "memory: no history is kept")
        one.app.clear_notifications()


async def test_what_is_not_supported_says_so_where_it_is_charted() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        await pilot.press("down", "down", "space")
        await until_shown(pilot, "Utilization · encoder")
        (title,) = [row for row in part(one, "charts") if "encoder" in row]
        assert "not supported" in title


async def test_without_any_chosen_reading_the_charts_say_how_to_choose() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        details = await open_details(one, pilot)
        for metric in NAMED.values():
            if metric.name in details._memory.charts.metrics:
                details._memory.charts = details._memory.charts.toggled(metric.name)
        one.sampler.take(snapshot(tick=90))
        await until_shown(pilot, "No reading is chosen")


@pytest.mark.parametrize("size", SIZES)
async def test_more_charts_than_fit_are_reached_by_the_arrows(size: tuple[int, int]) -> None:
    one = rig(snapshots=[full_snapshot(tick) for tick in range(30)])
    async with one.app.run_test(size=size) as pilot:
        details = await open_details(one, pilot)
        gauges = [metric for metric in METRICS if metric.kind is Kind.GAUGE]
        details._memory.charts = replace(
            details._memory.charts, metrics=tuple(metric.name for metric in gauges)
        )
        await pilot.press("tab")
        one.sampler.take(full_snapshot(30))
        await until(pilot, lambda: bool(re.search(r"\d+ more: up and", screen_text(one.app))))
        seen = set[str]()
        for _ in gauges:
            text = "\n".join(part(one, "charts"))
            seen |= {metric.name for metric in gauges if title_of(metric) in text}
            assert "now" in text
            await pilot.press("down")
            await pilot.pause()
        assert seen == {metric.name for metric in gauges}


@pytest.mark.parametrize("size", SIZES)
async def test_the_other_gpus_come_and_go_with_a_legend(size: tuple[int, int]) -> None:
    one = rig(snapshots=[snapshot(3, tick) for tick in range(90)])
    async with one.app.run_test(size=size) as pilot:
        await open_details(one, pilot)
        alone = await charts(one, pilot)
        await pilot.press("o")
        await until(pilot, lambda: "■2" in "\n".join(part(one, "charts")))
        together = part(one, "charts")
        assert all(f"■{number}" in together[0] for number in range(3))
        assert sum(map(len, re.findall("[⠁-⣿]", "\n".join(together)))) > sum(
            map(len, re.findall("[⠁-⣿]", alone))
        )
        for number in "012":
            assert any(row.rstrip().endswith(f" {number}") for row in together)
        await pilot.press("o")
        await until(pilot, lambda: "■2" not in "\n".join(part(one, "charts")))
        assert "\n".join(part(one, "charts")) == alone


async def test_a_gap_in_time_is_a_gap_in_every_chart() -> None:
    taken = [snapshot(tick=tick) for tick in range(600) if not 200 <= tick < 300]
    one = rig(snapshots=taken)
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        rows = [row[11:] for row in part(one, "charts") if row[10:11] in ("│", "┤")]
        blank = {
            column for column in range(len(rows[0])) if all(row[column] == " " for row in rows)
        }
        width = len(rows[0])
        third, half = round(width * 0.34) + 1, round(width * 0.49) - 1
        assert set(range(third, half)) <= blank
        assert len(blank) < (half - third) + 12


async def test_the_next_gpu_and_round_again() -> None:
    one = rig(snapshots=[snapshot(3, tick) for tick in range(5)])
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        for key, title in (
            ("]", "1  RTX 5090 · 21:00.0"),
            ("]", "2  RTX PRO 6000 Blackwell · 41:00.0"),
            ("]", "0  RTX PRO 6000 Blackwell · 01:00.0"),
            ("[", "2  RTX PRO 6000 Blackwell · 41:00.0"),
        ):
            await pilot.press(key)
            await until_shown(pilot, f"─ {title} ─")
            assert identity(int(title[0])).uuid in screen_text(one.app)


@pytest.mark.parametrize(("key", "index"), [("]", 0), ("[", 2)])
async def test_from_a_gpu_that_is_gone_to_the_first_or_the_last(key: str, index: int) -> None:
    three = snapshot(3)
    one = rig(snapshots=[three])
    async with one.app.run_test(size=(120, 30)) as pilot:
        await open_details(one, pilot)
        await pilot.press("]")
        one.sampler.take(replace(three, taken_at=1e9 + 1, gpus=three.gpus[::2]))
        await until_shown(pilot, "GPU 1 is gone")
        await pilot.press(key)
        await until_shown(pilot, f"─ {index}  RTX PRO 6000 Blackwell")
        assert "is gone" not in screen_text(one.app)


async def test_what_was_looked_at_is_there_again() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 45)) as pilot:
        await open_details(one, pilot)
        await pilot.press("]", "o", "plus", "space")
        await pilot.pause()
        for key in ("escape", "g", "q"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(one.app.screen, Dashboard))
            await pilot.press("g")
            await until_shown(pilot, "─ 1  RTX 5090 · 21:00.0 ─")
            assert "last 5 min" in screen_text(one.app)
            assert "■1" in screen_text(one.app)
            assert "Utilization · GPU" not in screen_text(one.app)


LOST = gpu_sample(0, values={}, unavailable={}, problem=Problem("GPU 0 is lost", "Reboot."))


@pytest.mark.parametrize(
    ("then", "words", "size"),
    [
        (Snapshot("nvml", 1e9 + 90, (LOST, gpu_sample(1, 90))), "GPU 0 is lost Reboot.", (160, 45)),
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
        details.post_message(SamplesTaken(then))
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


class Tally(Widget, can_focus=True):
    """Stands where the processes will."""

    def __init__(self) -> None:
        super().__init__(id="tally")
        self.snapshots: list[Snapshot] = []

    def render(self) -> str:
        return "PROCESSES"

    def show_gpu(self, uuid: str | None) -> None:
        assert uuid is not None

    def update_processes(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


@pytest.mark.parametrize("size", SIZES)
async def test_the_processes_have_their_place_at_every_size(size: tuple[int, int]) -> None:
    one = rig()
    async with one.app.run_test(size=size) as pilot:
        await until_shown(pilot, "Instances")
        services, look, history = one.app.services, one.app.look, one.sampler.history
        tally = Tally()
        details = GpuDetails(services, look, history, DetailsMemory(), snapshot(tick=89), tally)
        one.app.push_screen(details)
        await until_shown(pilot, "driver's reserve")
        assert ("PROCESSES" in screen_text(one.app)) == (size == (160, 45))
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
        one.sampler.take(snapshot(tick=90))
        await until(pilot, lambda: tally.snapshots[-1].taken_at == 1e9 + 90)


PARTS = {"facts": "driver's reserve", "charts": "Power · draw", "processes": "PROCESSES"}


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
            await until(pilot, lambda tick=tick: details._snapshot.taken_at == 1e9 + tick)  # type: ignore[misc,union-attr]
            cells.append(sum(region.area for region in regions))
        assert sorted(cells)[5] <= 4 * 40  # the titles' numbers
        assert {region.height for region in regions} <= {1}


async def test_the_dashboard_beneath_repaints_nothing_of_it() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        details = await open_details(one, pilot)
        await pilot.pause()
        painted = 0
        display = one.app._display

        def count(screen: object, renderable: object) -> None:
            nonlocal painted
            painted += renderable is not None
            display(screen, renderable)  # type: ignore[arg-type]

        one.app._display = count  # type: ignore[method-assign,assignment]
        dashboard = one.app.screen_stack[-2]
        for _ in range(3):
            dashboard.query_one("#instances").refresh()
            await pilot.pause(0.1)
        assert painted == 0
        details.query_one("#details-facts").refresh()
        await until(pilot, lambda: painted > 0)


async def test_the_theme_can_change_while_it_is_open() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        details = await open_details(one, pilot)
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
            assert all(len(line) <= size[0] for line in lines_of(one))
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
        await until_shown(pilot, "gpu.details")
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
