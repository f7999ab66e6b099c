"""The screen of processes: what it shows, how it is ordered, and what may be done to a process."""

from __future__ import annotations

from textual.events import Key, Paste
from textual.widgets import Input

from gputui.config import Config
from gputui.gpu.sample import GpuProcess, Snapshot
from gputui.text import clean
from gputui.ui.processes.table import ProcessTable
from tests.support.hostile import HOSTILE
from tests.ui.harness import (
    GIB,
    gpu_sample,
    make_rig,
    screen_text,
    until,
    until_shown,
)
from tests.ui.processes import (
    FOREIGN,
    SIZES,
    cursor_pid,
    lines_of,
    processes,
    shown_pids,
    some,
    taken,
    with_instance,
)
from tests.ui.test_hostile import assert_harmless


@SIZES
async def test_all_processes_on_all_gpus(size: tuple[int, int]) -> None:
    one = with_instance()
    async with processes(one, size) as pilot:
        await until_shown(pilot, "deepseek")
        text = screen_text(one.app)
        assert shown_pids(one) == [12080, 40211, FOREIGN, 40211, 40500]
        for part in ("61.0 GiB", "92", "310", "llama-server", "python3", "not visible here"):
            assert part in text
        assert all(len(line) <= size[0] for line in text.splitlines())
        if size[0] >= 120:
            for part in ("bob", "C+G", "2 h 00", "3.0 GiB"):
                assert part in text
        await pilot.press("escape")
        await until_shown(pilot, "Instances")


async def test_the_screen_follows_the_samples_and_the_instances() -> None:
    one = with_instance()
    async with processes(one) as pilot:
        await until_shown(pilot, "deepseek")
        one.sampler.take(taken(*some(tick=5)))
        await until_shown(pilot, " 87 ")
        one.sampler.take(taken(()))
        await until_shown(pilot, "No process has a context on a GPU.")


@SIZES
async def test_processes_that_cannot_be_listed_are_not_none(size: tuple[int, int]) -> None:
    one = with_instance()
    hidden = gpu_sample(1, processes_problem="no permission")
    note = "Processes on GPU 1 are not known: no permission."
    async with processes(one, size) as pilot:
        for listed in (some()[0], ()):
            gpus = (gpu_sample(0, processes=listed), hidden)
            one.sampler.take(Snapshot("nvml", 1e9, gpus, "999.1"))
            await until_shown(pilot, note)
            assert "No process has a context" not in screen_text(one.app)
            assert ("llama-server" in screen_text(one.app)) == bool(listed)


@SIZES
async def test_sorting_by_any_column(size: tuple[int, int]) -> None:
    one = with_instance()
    async with processes(one, size) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        assert "GPU▴" in screen_text(one.app)
        for _ in range(20):
            if "SM %▾" in screen_text(one.app):
                break
            await pilot.press("greater_than_sign")
        assert shown_pids(one) == [12080, 40500, 40211, 40211, FOREIGN], "not known comes last"
        await pilot.press("r")
        assert "SM %▴" in screen_text(one.app)
        assert shown_pids(one) == [40211, 40211, 40500, 12080, FOREIGN], "then too"
        await pilot.press("less_than_sign")
        assert "GPU memory▾" in screen_text(one.app)
        assert shown_pids(one) == [12080, 40211, 40211, FOREIGN, 40500]


async def test_the_cursor_stays_on_its_process() -> None:
    one = with_instance()
    async with processes(one) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("end")
        assert cursor_pid(one) == 40500
        await pilot.press("r")
        assert cursor_pid(one) == 40500
        assert shown_pids(one)[1] == 40500
        first, second = some()
        more = tuple(GpuProcess(pid, "", 70 * GIB) for pid in range(5_000_000, 5_000_060))
        one.sampler.take(taken((*more, *first), second))
        await until_shown(pilot, "Processes: 64")
        assert cursor_pid(one) == 40500
        assert 40500 in shown_pids(one), "the table scrolled to it"
        one.sampler.take(taken(first))
        await until_shown(pilot, "Processes: 3")
        assert cursor_pid(one) in {12080, 40211, FOREIGN}, "it is gone; its place is not"


async def test_moving_through_many() -> None:
    many = tuple(GpuProcess(pid, "", pid) for pid in range(5_000_300, 5_000_000, -1))
    one = make_rig(snapshots=[taken(many)])
    async with processes(one, (80, 24)) as pilot:
        await until_shown(pilot, "Processes: 300")
        assert cursor_pid(one) == 5_000_300
        await pilot.press("pagedown")
        page = 5_000_300 - cursor_pid(one)
        assert 10 < page < 24
        await pilot.press("pagedown", "down", "up", "pageup")
        assert cursor_pid(one) == 5_000_300 - page
        await pilot.press("end")
        assert shown_pids(one)[-1] == cursor_pid(one) == 5_000_001
        await pilot.press("home")
        assert shown_pids(one)[0] == cursor_pid(one) == 5_000_300


async def test_letters_typed_right_after_the_filters_key_are_the_filters() -> None:
    one = with_instance()
    async with processes(one, (120, 30)) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        for key in ("slash", *"kte", "slash"):
            one.app.post_message(Key(key, "/" if key == "slash" else key))
        await until(pilot, lambda: one.app.screen.query_one(Input).value == "kte/")
        assert "Leave it" not in screen_text(one.app)


async def test_what_is_pasted_into_the_filter_is_cleaned() -> None:
    one = with_instance()
    async with processes(one, (120, 30)) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("slash")
        box = one.app.screen.query_one(Input)
        for _, text in HOSTILE:
            first = (clean(text[:150]).splitlines() or [""])[0]
            one.app.post_message(Paste(text[:150]))
            await until(pilot, lambda first=first: box.value == first)  # type: ignore[misc]
            assert_harmless(one.app)
            box.value = ""


@SIZES
async def test_the_filter_is_live_and_escape_clears_it(size: tuple[int, int]) -> None:
    one = with_instance()
    async with processes(one, size) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("slash", *"bob tr")
        await until(pilot, lambda: shown_pids(one) == [40211, 40211])
        assert "Processes: 1 of 4" in screen_text(one.app)
        await pilot.press("down", "enter")
        assert one.app.screen.query_one(Input).display, "it still shows what it keeps"
        await pilot.press("escape")
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("slash", *"k]qt", "escape")
        assert len(shown_pids(one)) == 5, "letters in the filter are no keys"
        await pilot.press("slash", *"zzz")
        await until_shown(pilot, "No process matches the filter.")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "Instances")


async def test_one_gpu_alone_needs_no_gpu_column() -> None:
    one = with_instance()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        dashboard = one.app.screen
        uuid = gpu_sample(1).identity.uuid
        table = ProcessTable(one.app.look, dashboard.process_actions, uuid=uuid)  # type: ignore[attr-defined]
        await dashboard.mount(table, before=0)
        table.update_processes(taken(*some()), {})
        await until_shown(pilot, "game", "Processes: 2")
        text = screen_text(one.app)
        assert "40500" in text
        assert "12080" not in text
        assert "GPU▴" not in text
        table.show_gpu(gpu_sample(0).identity.uuid)
        await until_shown(pilot, "Processes: 3")
        assert "12080" in screen_text(one.app)
        table.show_gpu(None)
        await until_shown(pilot, "Processes: 4")
        assert "■1" in screen_text(one.app)


@SIZES
async def test_the_details_of_a_gpu_show_its_processes(size: tuple[int, int]) -> None:
    one = with_instance()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("g")
        await until_shown(pilot, "Utilization")
        for _ in range(9):  # three parts, one after the other where they do not fit
            if "Processes: 3" in screen_text(one.app):
                break
            await pilot.press("tab")
            await pilot.pause(0.3)
        await until_shown(pilot, "GPU memory▾")
        text = screen_text(one.app)
        assert "12080" in text
        assert "deepseek" in text
        assert "40500" not in text
        await pilot.press("right_square_bracket")
        await until_shown(pilot, "40500")
        assert "12080" not in screen_text(one.app)


async def test_without_unicode_all_is_ascii() -> None:
    one = with_instance(ascii_only=True)
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "deepseek")
        await pilot.press("t", "r")
        await until_shown(pilot, "GPUv")
        table = [line for line in lines_of(one) if "#" in line]
        assert len(table) == 5
        assert all(line.isascii() for line in table), table


async def test_the_keys_are_listed_with_their_ids_and_can_be_changed() -> None:
    one = make_rig(
        Config(keys={"view.processes": "f9", "processes.tree": "f8"}), snapshots=[taken(*some())]
    )
    async with one.app.run_test(size=(120, 300), notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("f9")
        await until_shown(pilot, "Processes: 4")
        await pilot.press("f8")
        await until_shown(pilot, "tree")
        await pilot.press("question_mark")
        for part in ("processes.signal", "processes.filter", "view.processes", "f9"):
            await until_shown(pilot, part)
