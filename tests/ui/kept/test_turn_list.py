"""Long conversations on the screen: few widgets, and nothing that jumps under the reader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from gputui.chat.conversation import Conversation
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.kept.turn_list import MOST, PAGE, Edge, TurnList
from gputui.ui.chat.panel import ChatPanel
from tests.chat.saying import turns
from tests.ui.harness import Rig, make_rig, screen_text, until, until_shown

LONG = 10_000


@asynccontextmanager
async def long_conversation(
    count: int = LONG, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Rig, Pilot[str | None], TurnList]]:
    """A dashboard with ``count`` turns taken up, and the list of side A, which has the focus."""
    one = make_rig(conversation=Conversation(None))
    async with one.app.run_test(size=size) as pilot:
        await until_shown(pilot, "A")
        one.conversation.take_up(turns(count), None)
        panel = one.app.screen.query_one(ChatPanel)
        panel.refresh_sides()
        panel.go_to("A")
        await until_shown(pilot, f"answer {count - 1} of A")
        yield one, pilot, panel.pane("A").turns


def shown(list_: TurnList) -> list[str]:
    """The prompts of the turns that are widgets, in the order in which they lie."""
    return [str(view._prompt) for view in list_.query(FinishedAnswer)]


def first_seen(list_: TurnList) -> tuple[FinishedAnswer, int]:
    """The first turn of which the reader sees something, and where its first line is."""
    for view in list_.query(FinishedAnswer):
        if view.virtual_region.bottom > list_.scroll_y:
            return view, view.virtual_region.y - round(list_.scroll_y)
    raise AssertionError("no turn is seen")


async def test_only_the_newest_turns_are_widgets_one_each() -> None:
    async with long_conversation() as (one, pilot, a):
        both = one.app.screen.query(FinishedAnswer)
        assert len(both) == 2 * PAGE
        assert shown(a) == [f"question {n}" for n in range(LONG - PAGE, LONG)]
        before = len(one.app.screen.query(".side *"))
        one.conversation.take_up(turns(PAGE), None)
        one.app.screen.query_one(ChatPanel).refresh_sides()
        await until_shown(pilot, f"answer {PAGE - 1} of A")
        assert len(one.app.screen.query(".side *")) == before, "as many as for a page"


async def test_older_turns_come_by_the_page_and_what_is_read_stays_where_it_is() -> None:
    async with long_conversation() as (_, pilot, a):
        await until(pilot, lambda: a.is_vertical_scroll_end)
        a.scroll_to(y=3, animate=False)
        await pilot.pause()
        view, above = first_seen(a)
        a.scroll_to(y=0, animate=False)
        await until(pilot, lambda: a.first == LONG - 2 * PAGE)
        await until(pilot, lambda: view.virtual_region.y - round(a.scroll_y) == above + 3)
        assert f"{LONG - 2 * PAGE:,}".replace(",", " ") not in screen_text(pilot.app)  # type: ignore[arg-type]
        assert not a.follows


async def test_widgets_stay_bounded_however_far_one_reads_and_both_ends_say_what_is_beyond() -> (
    None
):
    async with long_conversation() as (_, pilot, a):
        for page in range(2, 8):
            a.scroll_to(y=0, animate=False)
            await until(pilot, lambda page=page: a.first == LONG - page * PAGE)  # type: ignore[misc]
            await until(pilot, lambda: a.scroll_y > 0)
            assert len(a.query(FinishedAnswer)) == len(a.views) == min(page * PAGE, MOST)
        assert not a.at_newest
        older, newer = (str(edge.content) for edge in a.query(Edge))
        assert older == "… 9 930 older turns: scroll up, home for the first"
        assert newer == "… 40 newer turns: scroll down, end for the last"
        await pilot.press("end")
        await until_shown(pilot, f"answer {LONG - 1} of A")
        assert shown(a) == [f"question {n}" for n in range(LONG - PAGE, LONG)]
        assert a.follows


async def test_home_is_the_first_turn_and_reading_on_from_there_finds_every_turn() -> None:
    count = 5 * PAGE
    async with long_conversation(count) as (_, pilot, a):
        await pilot.press("home")
        await until_shown(pilot, "question 0")
        assert a.first == 0
        seen = set(shown(a))
        while not a.at_newest:
            last = shown(a)[-1]
            a.scroll_to(y=a.max_scroll_y, animate=False)
            await until(pilot, lambda last=last: shown(a)[-1] != last)  # type: ignore[misc]
            seen |= set(shown(a))
            assert len(a.views) <= MOST
        assert seen == {f"question {n}" for n in range(count)}


async def test_any_turn_can_be_gone_to() -> None:
    async with long_conversation() as (_, pilot, a):
        assert a.turns[5000].prompt == "question 5000"
        for place in (5000, 5003, 4, LONG - 1):
            await a.reveal(place)
            await until_shown(pilot, f"question {place}")
            view = a.views[place - a.first]
            if place < LONG - 1:
                await until(pilot, lambda view=view: view.virtual_region.y == round(a.scroll_y))  # type: ignore[misc]


async def test_a_new_turn_costs_what_is_new_and_a_reader_is_left_in_peace() -> None:
    count = 2 * PAGE
    async with long_conversation(count) as (one, pilot, a):
        panel, side = one.app.screen.query_one(ChatPanel), one.conversation.sides["A"]

        def say(more: int) -> None:
            side.take_up([*side.finished, *turns(more, len(side.finished))])
            panel.refresh_sides()

        known = list(a.views)
        say(1)
        assert list(a.views)[:-1] == known, "nothing is made again"
        await until_shown(pilot, f"answer {count} of A")
        a.scroll_to(y=4, animate=False)
        await until(pilot, lambda: not a.follows)
        here = first_seen(a)
        for _ in range(MOST // 10):
            say(10)
        await until(pilot, lambda: not a.at_newest)
        assert first_seen(a) == here
        assert len(a.views) <= MOST
        await pilot.press("end")
        last = len(side.finished)
        await until_shown(pilot, f"answer {last - 1} of A")
        for _ in range(MOST // 10):
            say(10)
        await until_shown(pilot, f"answer {last + MOST - 1} of A")
        assert shown(a) == [f"question {n}" for n in range(last, last + MOST)], "the oldest went"


async def test_older_turns_that_are_read_later_leave_the_widgets_as_they_are() -> None:
    async with long_conversation(PAGE) as (one, pilot, a):
        side = one.conversation.sides["A"]
        known = list(a.views)
        side.take_up([*turns(500, -500), *side.finished])
        one.app.screen.query_one(ChatPanel).refresh_sides()
        assert list(a.views) == known
        assert a.first == 500
        await until(pilot, lambda: a.is_vertical_scroll_end)


async def test_a_window_that_a_page_does_not_fill_takes_more() -> None:
    async with long_conversation(size=(120, 110)) as (_, pilot, a):
        await until(pilot, lambda: a.max_scroll_y > 0 and a.first < LONG - PAGE)
        assert len(a.views) <= MOST
