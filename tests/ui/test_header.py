"""The header: what it says, what it leaves out, and how little of it is painted again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Region
from textual.widget import Widget

from gputui.config import PowerConfig
from gputui.gpu.sample import GpuSample, Problem, Snapshot
from gputui.host import Disk, HostSample
from gputui.identity import GpuIdentity
from gputui.instances.status import State
from gputui.power.meter import PowerMeter, PowerReport
from gputui.ui.header import Header
from gputui.ui.header_fields import GAP, Field, Place, fields, fitting
from tests.ui.harness import CONFIG, GIB, Rig, rig, screen_text, snapshot, status, until_shown

HOST = HostSample(
    12.4, 41 * GIB, 128 * GIB, 0, 8 * GIB, (1.25, 1, 1), (Disk("/m", 412 * GIB, 900 * GIB),)
)
POWER = PowerConfig(psu_watts=2000, price_per_kwh=0.15, currency="$")


def report(*draws: float, seconds: int = 0) -> PowerReport:
    meter = PowerMeter()
    for at in range(seconds + 1):
        gpus = tuple(
            GpuSample(GpuIdentity(i, f"GPU-{i}", "x", ""), {"power_draw": watts})
            for i, watts in enumerate(draws)
        )
        meter.sampled(Snapshot("nvml", 1e9 + at, gpus))
    return meter.report()


def words(*found: Field) -> list[str]:
    return ["".join(text for text, _ in field.parts) for field in found]


def of_host(**changes: object) -> list[str]:
    one = replace(snapshot(), host=replace(HOST, **changes))  # type: ignore[arg-type]
    return words(*(f for f in fields(one, (), PowerReport(), POWER) if f.place is Place.HOST))


def test_the_host() -> None:
    assert of_host() == ["CPU  12 %", "RAM  41/128 GiB", "load  1.25", "models 412 GiB free"]
    small = of_host(memory_used=int(1.26 * GIB), memory_total=4 * GIB)
    assert small[1] == "RAM 1.3/4.0 GiB"


def test_what_is_not_known_of_the_host_is_left_out() -> None:
    nothing = HostSample()
    one = replace(snapshot(), host=nothing)
    assert [f for f in fields(one, (), PowerReport(), POWER) if f.place is Place.HOST] == []


def test_used_swap_and_a_full_disk_stand_out_in_words() -> None:
    assert "▲ 3.0 GiB in swap" in of_host(swap_used=3 * GIB)
    assert not any("swap" in text for text in of_host(swap_used=GIB // 100))
    full = (Disk("/", 300 * GIB, 900 * GIB), Disk("/models", 2 * GIB, 900 * GIB))
    assert "▲ /models almost full: 2.0 GiB free" in of_host(disks=full)
    one = replace(snapshot(), host=replace(HOST, disks=full, swap_used=3 * GIB))
    kept = fitting(fields(one, (), report(400, 442), POWER), 60)
    assert words(*kept) == ["▲ 3.0 GiB in swap", "▲ /models almost full: 2.0 GiB free"]


def test_of_several_file_systems_the_one_with_the_least_room_by_name() -> None:
    two = (Disk("/a", 300 * GIB, 900 * GIB), Disk("/b", 40 * GIB, 900 * GIB))
    assert "/b 40 GiB free" in of_host(disks=two)


def test_power_cost_and_the_session() -> None:
    found = fields(None, (), report(400, 442, seconds=3600), POWER)
    assert words(*found) == [" 842 / 2000 W", "$0.13/h", "session 842.0 Wh   $0.13"]
    assert words(*fields(None, (), report(400), PowerConfig())) == [" 400 W"]


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=6),
    st.lists(st.integers(0, 128 * GIB), min_size=2, max_size=6),
    st.lists(st.floats(0, 99), min_size=2, max_size=6),
    st.lists(st.floats(0, 999), min_size=2, max_size=6),
)
def test_numbers_do_not_jump(
    cpu: list[float], used: list[int], load: list[float], draws: list[float]
) -> None:
    """Whatever the readings are, no field changes its width, so none moves another."""
    widths = set()
    for percent, memory, average, draw in zip(cpu, used, load, draws, strict=False):
        host = replace(
            HOST, cpu_percent=percent, memory_used=memory, load_average=(average, 0.0, 0.0)
        )
        one = replace(snapshot(), host=host)
        found = fields(one, (), report(draw), POWER)
        widths.add(tuple(field.width for field in found))
    assert len(widths) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), max_size=12), st.integers(0, 200))
def test_what_fits(wanted: list[tuple[int, int]], width: int) -> None:
    found = [
        Field(Place.HOST, rank, ((f"{number}" + "x" * length, "dim"),))
        for number, (rank, length) in enumerate(wanted)
    ]
    chosen = fitting(found, width)
    assert sum(field.width + GAP for field in chosen) <= width
    assert [field for field in found if field in chosen] == chosen
    free = width - sum(field.width + GAP for field in chosen)
    for field in found:
        assert field in chosen or field.width + GAP > free


def header_line(made: Rig) -> str:
    return screen_text(made.app).splitlines()[0]


SNAPSHOTS = [replace(snapshot(tick=tick), host=HOST) for tick in range(4)]


@pytest.mark.parametrize(
    ("size", "shown", "left_out"),
    [
        (
            (160, 45),
            ("gputui  rig01", "CPU  12 %", "RAM  41/128 GiB", "W", "€", "412 GiB free"),
            (),
        ),
        ((120, 30), ("gputui  rig01", "CPU  12 %", "RAM  41/128 GiB", "/ 2000 W"), ("session",)),
        ((80, 24), ("rig01", "CPU  12 %", "RAM  41/128 GiB", "/ 2000 W"), ("gputui", "load")),
        ((60, 20), ("rig01", "/ 2000 W"), ("412",)),
    ],
)
async def test_what_is_shown_at_each_width(
    size: tuple[int, int], shown: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    made = rig(snapshots=SNAPSHOTS, host="rig01")
    async with made.app.run_test(size=size) as pilot:
        await until_shown(pilot, "/ 2000 W")
        line = header_line(made)
        assert all(text in line for text in shown), line
        assert not any(text in line for text in left_out), line
        assert line.rstrip()[-6] == ":", "the time ends the line"
        assert len(line) <= size[0]


async def test_a_second_paints_a_few_cells_and_not_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1e9]
    made = rig(snapshots=SNAPSHOTS, host="rig01", clock=lambda: now[0])
    async with made.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        await pilot.pause()
        header = made.app.screen.query_one(Header)
        painted: list[Region] = []
        plain = Widget.refresh

        def refresh(self: Widget, *regions: Region, **more: bool) -> Widget:
            if header in self.ancestors_with_self:
                painted.extend(regions or [Region(0, 0, *self.size)])
            return plain(self, *regions, **more)

        monkeypatch.setattr(Widget, "refresh", refresh)
        for tick in range(4, 24):
            now[0] += 1
            host = replace(HOST, cpu_percent=10.0 + tick, load_average=(tick / 10, 1, 1))
            made.sampler.take(replace(snapshot(tick=tick), host=host))
            await pilot.pause()
        assert 0 < sum(region.area for region in painted) / 20 < 60, painted


async def test_what_is_old_is_no_draw_of_now() -> None:
    meter = PowerMeter()
    made = rig(snapshots=SNAPSHOTS, host="rig01")
    async with made.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "/ 2000 W")
        hung = replace(SNAPSHOTS[-1], problem=Problem("the driver has not answered for 9 s"))
        made.sampler.take(hung)
        await until_shown(pilot, "   – / 2000 W")
    assert meter.report().draw is None


async def test_failed_instances_are_counted_in_words() -> None:
    made = rig(
        snapshots=SNAPSHOTS,
        statuses=(
            status("deepseek", State.READY, 0, 8080),
            status("qwen-coder", State.FAILED, 1, 8081, last_error="died"),
        ),
    )
    async with made.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "1 of 2 ready, 1 failed")


def test_every_place_is_in_order() -> None:
    one = replace(snapshot(source="simulated"), host=HOST)
    found = fields(one, (status("a", State.READY, 0, 1),), report(1, 2), CONFIG.power)
    assert all(a.place <= b.place for a, b in pairwise(found))
