"""A GPU's details as their user works them: keys in, screen out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gputui.gpu.metrics import METRICS, Kind
from gputui.ui.dashboard import Dashboard
from gputui.ui.gpus.chart_view import title_of
from tests.ui.details import SIZES, charts, full_sample, full_snapshot, lines_of, open_details, part
from tests.ui.harness import (
    gpu_sample,
    identity,
    rig,
    screen_text,
    snapshot,
    until,
    until_shown,
)

pytestmark = pytest.mark.usefixtures("utc")

NAMED = {metric.name: metric for metric in METRICS}


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
