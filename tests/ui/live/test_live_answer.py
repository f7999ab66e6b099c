"""What a streaming answer costs: counted in characters looked at, cells drawn, layouts and scrolls."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from gputui.chat.model import Answer, Figure, Measurement, Turn
from gputui.themes import load_themes, shipped_dir
from gputui.ui.cells import Line
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.kept.turn_list import TurnList
from gputui.ui.chat.live.answer import LiveAnswer
from gputui.ui.chat.live.lines import THOUGHT_LINES, LiveLines
from gputui.ui.palette import Look, Palette
from tests.ui.harness import until

PALETTE = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
WIDTH, HEIGHT = 60, 24
BARE = Answer("A", "left", "m", "")
THOUGHT = Measurement(ttft_seconds=0.5, reasoning_tokens=Figure(7, "server"))


def words(count: int) -> list[str]:
    """Tokens of prose: paragraphs, with a line's end now and then."""
    chance = random.Random(5)  # noqa: S311
    return ["end.\n\n" if chance.random() < 0.02 else "token " for _ in range(count)]


def text(line: Line) -> str:
    return "".join(part for part, _ in line.runs)


def rows(lines: LiveLines) -> list[str]:
    return [text(lines.row(y)) for y in range(len(lines))]


def applied(before: list[str], lines: LiveLines, changes: Sequence[object]) -> list[str]:
    """What a screen shows that only draws the changes that it is told of."""
    screen = list(before)
    for change in changes:
        y, after = change.y, [text(line) for line in change.after]  # type: ignore[attr-defined]
        assert [text(line) for line in change.before] == screen[y : y + len(change.before)]  # type: ignore[attr-defined]
        screen[y : y + len(change.before)] = after  # type: ignore[attr-defined]
    return screen


PIECES = st.lists(
    st.tuples(st.sampled_from(["thought", "text", "unfold", "prompt"]), st.text("ab \n日", max_size=40)),
    max_size=12,
)  # fmt: skip


@given(pieces=PIECES, width=st.integers(2, 30))
def test_the_changes_told_are_all_that_changed(pieces: list[tuple[str, str]], width: int) -> None:
    lines, screen = LiveLines(width, PALETTE), list[str]()
    prompt, answer, unfolded = "why", replace(BARE, measurement=THOUGHT), False
    for kind, piece in pieces:
        if kind == "thought":
            answer = replace(answer, reasoning=answer.reasoning + piece)
        elif kind == "text":
            answer = replace(answer, text=answer.text + piece)
        elif kind == "prompt":
            prompt, answer = f"{prompt}?", replace(answer, text="", reasoning="")
        unfolded ^= kind == "unfold"
        screen = applied(screen, lines, lines.take(prompt, answer, unfolded=unfolded))
        anew = LiveLines(width, PALETTE)
        anew.take(prompt, answer, unfolded=unfolded)
        assert screen == rows(lines)
        if answer.text.strip() or unfolded:
            assert screen == rows(anew), "as if all had come at once"


def test_a_token_costs_its_line_however_long_the_answer_is() -> None:
    lines, so_far = LiveLines(WIDTH, PALETTE), ""
    told = 0
    for token in words(4000):
        so_far += token
        told += sum(len(c.after) for c in lines.take("go", replace(BARE, text=so_far)))
    assert lines.anew == 1, "at the first token, and never again"
    assert lines.measured <= 4000 * (WIDTH + 6)
    assert told <= 4000 + len(lines)


def test_reasoning_is_shown_by_its_last_lines_a_few_at_a_time_until_the_answer_comes() -> None:
    lines, thought = LiveLines(WIDTH, PALETTE), ""
    seen = set()
    for number in range(40):
        thought += f"step {number}\n"
        lines.take("go", replace(BARE, reasoning=thought, measurement=THOUGHT))
        shown = [row for row in rows(lines) if row.startswith("step")]
        assert shown[-1] == f"step {number}"
        assert len(shown) <= THOUGHT_LINES
        seen.add(shown[0])
    assert len(seen) <= 40 // (THOUGHT_LINES // 2) + 1, "the lines stand still meanwhile"
    lines.take("go", replace(BARE, reasoning=thought, text="so", measurement=THOUGHT))
    assert rows(lines)[2].startswith("▸ reasoning 7 tokens")
    assert rows(lines)[3:] == ["", "so"]


class Pane(App[None]):
    """The turns of one side, alone on the screen."""

    CSS = ".turns { height: 1fr; } .turn, .live { height: auto; width: 1fr; } .turn { margin-bottom: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self.look = Look(PALETTE)

    def compose(self) -> ComposeResult:
        yield TurnList(self.look, "A")

    @property
    def turns(self) -> TurnList:
        return self.query_one(TurnList)

    @property
    def live(self) -> LiveAnswer:
        return self.query_one(LiveAnswer)

    def say(self, so_far: str) -> None:
        self.live.display = True
        self.live.update_answer("go", replace(BARE, text=so_far))


@asynccontextmanager
async def pane() -> AsyncIterator[tuple[Pane, Pilot[None]]]:
    app = Pane()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        yield app, pilot


def bottom(app: Pane) -> str:
    """The last line that is not blank."""
    strips = app.screen._compositor.render_strips(app.size)
    return [line for line in (strip.text[: WIDTH - 2].rstrip() for strip in strips) if line][-1]


async def test_a_pane_is_laid_out_and_scrolled_once_for_several_lines_and_shows_the_newest() -> (
    None
):
    async with pane() as (app, pilot):
        so_far, places = "", list[float]()
        for number in range(120):
            so_far += f"line {number}\n"
            app.say(so_far)
            await until(pilot, lambda n=number: bottom(app) == f"line {n}")  # type: ignore[misc]
            places.append(app.turns.scroll_y)
        assert app.turns.follows
        assert len(set(places)) <= 2 + (120 - HEIGHT) // (HEIGHT // 3)
        assert app.live.rooms <= 3 + 120 // (HEIGHT // 3)


async def test_what_is_drawn_is_the_tail_of_a_line_and_new_lines_as_wide_as_their_text() -> None:
    async with pane() as (app, pilot):
        app.say("one")
        await until(pilot, lambda: bottom(app) == "one")
        before = app.live.scheduled
        app.say("one two")
        assert app.live.scheduled - before == len(" two")
        app.say("one two\nthree")
        assert app.live.scheduled - before == len(" two") + len("three")


async def test_of_an_answer_of_a_thousand_tokens_each_cell_is_drawn_about_once() -> None:
    async with pane() as (app, pilot):
        app.say("one")
        await until(pilot, lambda: bottom(app) == "one")
        so_far, before = "one ", app.live.scheduled
        for token in words(1000):
            so_far += token
            app.say(so_far)
        assert app.live.scheduled - before <= 1.2 * len(so_far)


async def test_who_scrolled_back_reads_on_in_peace_and_end_follows_again() -> None:
    async with pane() as (app, pilot):
        so_far = "".join(f"line {number}\n" for number in range(80))
        app.say(so_far)
        await until(pilot, lambda: bottom(app) == "line 79")
        app.turns.scroll_to(y=10, animate=False)
        await until(pilot, lambda: app.turns.scroll_y == 10)
        drawn = list[Region]()
        app.live.refresh, refresh = _noting(app.live, drawn), app.live.refresh  # type: ignore[method-assign]
        for number in range(80, 140):
            so_far += f"line {number}\n"
            app.say(so_far)
            await pilot.pause()
        assert app.turns.scroll_y == 10
        app.live.refresh = refresh  # type: ignore[method-assign]
        assert all(region.y > 10 + HEIGHT for region in drawn)
        app.turns.action_scroll_end()
        await until(pilot, lambda: bottom(app) == "line 139")
        assert app.turns.follows


def _noting(live: LiveAnswer, drawn: list[Region]):  # type: ignore[no-untyped-def]
    refresh = live.refresh

    def noted(*regions: Region, **more: bool) -> LiveAnswer:
        drawn.extend(regions)
        return refresh(*regions, **more)

    return noted


CODE = "".join(f"```python\nvalue_{n} = call({n})\n```\n\nSo much for {n}.\n\n" for n in range(60))


async def test_a_long_answer_is_plain_at_first_and_then_markdown_and_keeps_the_readers_place() -> (
    None
):
    async with pane() as (app, pilot):
        app.say(CODE)
        await until(pilot, lambda: bottom(app) == "So much for 59.")
        half = app.turns.max_scroll_y // 2
        app.turns.scroll_to(y=half, animate=False)
        await until(pilot, lambda: app.turns.scroll_y == half)
        top = app.screen._compositor.render_strips(app.size)[0].text
        near = int("".join(filter(str.isdigit, top)) or 30)
        app.live.display = False
        app.turns.show([Turn("go", 1.0, {"A": replace(BARE, text=CODE, finish_reason="stop")})])

        def is_markdown() -> bool:
            views = app.query(FinishedAnswer)
            return bool(views) and "```" not in _all(app) and "So much" in _all(app)

        await until(pilot, is_markdown)
        numbers = [int(n) for n in _all(app).replace(".", " ").split() if n.isdigit()]
        assert min(numbers) - 6 <= near <= max(numbers) + 6


async def test_to_be_laid_out_twice_in_one_go_leaves_no_work_unawaited() -> None:
    async with pane() as (app, pilot):
        app.turns.show([Turn("go", 1.0, {"A": replace(BARE, text=CODE, finish_reason="stop")})])
        await until(pilot, lambda: bool(app.query(FinishedAnswer)) and "So much" in _all(app))
        view = app.query_one(FinishedAnswer)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for width in (WIDTH - 8, WIDTH - 9, WIDTH - 10):
                view._laid_out.incomplete = width
                view.get_content_height(view.size, app.size, width)
            await pilot.pause()
            gc.collect()
        assert not [str(one.message) for one in caught if "never awaited" in str(one.message)]


def _all(app: Pane) -> str:
    return "\n".join(s.text for s in app.screen._compositor.render_strips(app.size))


async def test_another_width_wraps_anew_and_the_theme_is_followed() -> None:
    async with pane() as (app, pilot):
        app.say("word " * 60)
        await until(pilot, lambda: "word word" in bottom(app))
        high = app.live.size.height
        await pilot.resize_terminal(WIDTH // 2, HEIGHT)
        await until(pilot, lambda: app.live.size.height > high)
        app.live.restyle()
        await until(pilot, lambda: "word word" in _all(app))
