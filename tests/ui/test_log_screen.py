"""The log view: following, moving, searching, filtering; what changes under it; what it sends."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from gputui.instances.log.reader import Change, LogFile, Page
from gputui.llama.growing import older
from gputui.ui.log.screen import LogScreen
from gputui.ui.log.view import LogView
from gputui.ui.log.window import MOST_LINES
from tests.ui.harness import Rig, rig, screen_text, until, until_shown
from tests.ui.test_hostile import assert_harmless

SIZES = [(160, 45), (120, 30), (80, 24)]
LETTERS = "IIIIWIIIIE"


def line(number: int) -> str:
    return f"0.00.{number:06} {LETTERS[number % 10]} srv  step: number {number} of many"


def log_of(*numbers: int) -> str:
    return "".join(f"{line(number)}\n" for number in range(*numbers))


async def open_log(one: Rig, pilot: Pilot[str | None], text: str, last: str) -> LogView:
    one.supervisor.log_text = text
    await until_shown(pilot, "ready")
    await pilot.press("l")
    await until(pilot, lambda: isinstance(one.app.screen, LogScreen))
    await until_shown(pilot, last)
    return one.app.screen.query_one(LogView)


def log_file(one: Rig) -> Path:
    return one.supervisor.log_folder / "deepseek.log"


def add(one: Rig, text: str) -> None:
    with log_file(one).open("a") as file:
        file.write(text)


async def idle(pilot: Pilot[str | None], view: LogView) -> None:
    await until(pilot, lambda: not view.busy)


@pytest.mark.parametrize("size", SIZES)
async def test_it_follows_until_one_scrolls_up_and_again_from_the_end(
    size: tuple[int, int],
) -> None:
    one = rig()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(1000), "number 999 of")
        await until_shown(pilot, "following")
        add(one, "0.1 I srv  half a")
        await until_shown(pilot, "half a")
        add(one, " line\n" + log_of(1000, 1010))
        await until_shown(pilot, "number 1009 of")
        assert screen_text(one.app).count("half a line") == 1
        await pilot.press("up")
        await until_shown(pilot, "not following")
        before = screen_text(one.app).splitlines()[1:-1]
        add(one, log_of(1010, 1020))
        await until(
            pilot, lambda: view.file is not None and view.file.size == log_file(one).stat().st_size
        )
        await idle(pilot, view)
        assert screen_text(one.app).splitlines()[1:-1] == before
        await pilot.press("G")
        await until_shown(pilot, "number 1019 of")
        await until_shown(pilot, " following")
        await pilot.press("pageup", "pagedown", "pagedown")
        await until(pilot, lambda: view.follow)


async def test_what_is_read_has_one_size_and_what_came_meanwhile_is_shown_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, looking, go_on = rig(), threading.Event(), threading.Event()
    within: list[bool] = []
    refresh, lines_from = LogFile.refresh, LogFile.lines_from

    def slow(file: LogFile) -> Change:
        looking.set()
        go_on.wait(60)
        found = refresh(file)
        looking.clear()
        return found

    def watched(file: LogFile, *more: Any) -> Page:
        within.append(looking.is_set())
        return lines_from(file, *more)

    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(1000), "number 999 of")
        monkeypatch.setattr(LogFile, "lines_from", watched)
        monkeypatch.setattr(LogFile, "refresh", slow)
        add(one, log_of(1000, 1010))
        await until(pilot, looking.is_set)
        await pilot.press("g")
        await pilot.press("G")
        assert view.busy
        go_on.set()
        await until_shown(pilot, "number 1009 of")
        assert not any(within)


async def test_every_line_can_be_reached_and_few_are_kept() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 60), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(1600), "number 1599 of")
        seen: set[str] = set()
        for _ in range(1600):
            seen |= {row.strip() for row in screen_text(one.app).splitlines()[1:-1]}
            if line(0) in seen:
                break
            await pilot.press("pageup")
            await idle(pilot, view)
            await pilot.pause()
            assert len(view._window.lines) <= MOST_LINES + 60
        assert seen >= {line(number) for number in range(1600)}
        await pilot.press("g", "G", "g")
        await until_shown(pilot, line(0))
        await pilot.press("down")
        await until(pilot, lambda: line(0) not in screen_text(one.app))


async def test_levels_are_filtered_by_a_key() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(300) + "what belongs to it\n", "belongs to it")
        await pilot.press("f", "f")
        await until_shown(pilot, "warnings+")
        await idle(pilot, view)
        text = screen_text(one.app)
        assert " I srv" not in text
        assert "number 294 of" in text
        await pilot.press("f")
        await until_shown(pilot, "errors")
        await idle(pilot, view)
        text = screen_text(one.app)
        assert " W srv" not in text
        assert text.index("number 299 of") < text.index("what belongs to it")
        add(one, line(300) + "\n" + line(309) + "\n")
        await until_shown(pilot, "number 309 of")
        assert "number 300 of" not in screen_text(one.app)
        await pilot.press("f")
        await until_shown(pilot, "number 300 of")


async def test_words_are_found_round_the_end_and_marked() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        text = log_of(2000) + "0.1 I srv  the Needle\n" + log_of(2000, 4000) + "a second needle\n"
        view = await open_log(one, pilot, text, "a second needle")
        await pilot.press("g", *["slash", *"needle", "enter"])
        await until_shown(pilot, "▸0.1 I srv  the Needle")
        assert "/needle" in screen_text(one.app)
        await pilot.press("n")
        await until_shown(pilot, "▸a second needle")
        await pilot.press("n")
        await until_shown(pilot, "from the top again")
        await until_shown(pilot, "▸0.1 I srv  the Needle")
        await pilot.press("N")
        await until_shown(pilot, "from the end again")
        await until_shown(pilot, "▸a second needle")
        reversed_ = [
            segment.text
            for y in range(view.size.height)
            for segment in view.render_line(y)
            if segment.style and segment.style.reverse
        ]
        assert reversed_ == ["needle"]
        await pilot.press("slash", "home", "shift+end", "delete", *"nowhere", "enter")
        await until_shown(pilot, "not found")
        await pilot.press("escape")
        await until(pilot, lambda: "/nowhere" not in screen_text(one.app))
        await pilot.press("slash", *"q", "escape")
        assert isinstance(one.app.screen, LogScreen), "letters are the search's"
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(one.app.screen, LogScreen))


async def test_a_long_search_tells_how_far_it_is_and_ends_by_escape() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(100), "number 99 of")
        assert view.file is not None
        real = view.file.lines_from

        def slowly(start: int, count: int, wanted: object, stop: object) -> object:
            while not stop(view.file.size // 2) and one.app.is_running:  # type: ignore[operator, union-attr]
                time.sleep(0.01)  # the screen needs the interpreter, too
            return real(start, 0, wanted, stop)  # type: ignore[arg-type]

        view.file.lines_from = slowly  # type: ignore[method-assign, assignment]
        await pilot.press("slash", *"zzz", "enter")
        await until_shown(pilot, "looking, at 50 % (esc ends it)")
        await pilot.press("escape")
        await until_shown(pilot, "search ended")
        assert isinstance(one.app.screen, LogScreen)


async def test_long_lines_are_wrapped_or_cut_and_moved_sideways() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        long = "".join(f"<{number:03}>" for number in range(60))
        await open_log(one, pilot, f"{long}\n日本語{'漢字' * 60}終\n", "<059>")
        assert "終" in screen_text(one.app)
        await pilot.press("w")
        await until_shown(pilot, "no wrap")
        assert "<059>" not in screen_text(one.app)
        assert "…" in screen_text(one.app)
        await pilot.press("right", "right")
        await until_shown(pilot, f"from column {80 // 2 * 2 - 1}")
        assert "<000>" not in screen_text(one.app)
        await pilot.press("left", "left")
        await until_shown(pilot, "<000>")
        await pilot.press("w")
        await until_shown(pilot, "<059>")


async def test_a_line_of_megabytes_and_rubbish_are_shown() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        view = await open_log(one, pilot, "x" * 3_000_000 + "\nthe end\n", "the end")
        log_file(one).write_bytes(os.urandom(300_000) + b"\n\x1b[2J[bold]done[/bold]\n")
        await until_shown(pilot, "[bold]done[/bold]")
        assert_harmless(one.app)
        await pilot.press("pageup", "pageup", "f", "f", "w", "g")
        await idle(pilot, view)
        assert_harmless(one.app)


async def test_a_log_that_is_cut_or_begun_anew_goes_on() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(500), "number 499 of")
        log = log_file(one)
        older(log, 1).write_bytes(log.read_bytes())
        os.truncate(log, 0)
        add(one, "0.2 I srv  after the cut\n")
        await until_shown(pilot, "after the cut")
        await until_shown(pilot, "it was too large: [ shows what was before")
        await pilot.press("left_square_bracket")
        await until_shown(pilot, "number 499 of")
        await until_shown(pilot, "deepseek.log.1")
        await pilot.press("left_square_bracket")
        await until_shown(pilot, "there is no older log")
        await pilot.press("right_square_bracket")
        await until_shown(pilot, "after the cut")
        log.replace(older(log, 2))
        log.write_text("0.0 I srv  a new process\n")
        await until_shown(pilot, "the server started anew")
        await until_shown(pilot, "a new process")
        assert "after the cut" not in screen_text(one.app)
        await pilot.press("right_square_bracket")
        await until_shown(pilot, "this is the newest log")
        await idle(pilot, view)


async def test_what_one_reads_stays_where_it_is_cut_meanwhile() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(900), "number 899 of")
        await pilot.press("pageup")
        await until_shown(pilot, "not following")
        before = screen_text(one.app).splitlines()[1:-1]
        log = log_file(one)
        older(log, 1).write_bytes(log.read_bytes())
        os.truncate(log, 0)
        await until_shown(pilot, "deepseek.log.1")
        assert screen_text(one.app).splitlines()[1:-1] == before
        for _ in range(10):
            await pilot.press("pageup")
            await idle(pilot, view)
        await until_shown(pilot, "number 575 of")


async def test_no_log_is_said_and_one_that_comes_is_shown() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_log(one, pilot, "", "never started here")
        log_file(one).write_text("0.0 I srv  it begins\n")
        await until_shown(pilot, "it begins")


async def test_a_new_line_sends_little_and_a_still_log_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The view alone repaints, and of it only what moved; without news nothing does."""
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        view = await open_log(one, pilot, log_of(10), "number 9 of")
        await idle(pilot, view)
        painted: list[int] = []
        refresh = view.refresh

        def spy(*regions: object, **more: object) -> object:
            painted.append(len(regions))
            return refresh(*regions, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(view, "refresh", spy)
        for _ in range(3):
            await pilot.pause(0.3)
        assert painted == []
        add(one, line(10) + "\n")
        await until_shown(pilot, "number 10 of")
        assert painted == [1], "the one new row"


async def test_ascii_terminals_get_ascii() -> None:
    one = rig(ascii_only=True)
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_log(one, pilot, "0.0 E srv  größer – ▸\n" + "x" * 200 + "\n", "srv")
        await pilot.press("w", "slash", *"srv", "enter")
        await until_shown(pilot, ">0.0 E srv")
        body = screen_text(one.app).splitlines()[:-1]
        assert all(row.isascii() for row in body), body
