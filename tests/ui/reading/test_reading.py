"""Reading two answers with keys: together, alone, from turn to turn, searched, compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual.pilot import Pilot

from gputui.chat.conversation import Conversation
from gputui.chat.model import Answer, Endpoint, Figure, Measurement, Turn
from gputui.ui.chat.kept.turn_list import TurnList
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.prompt import Prompt
from gputui.ui.chat.reading.difference_screen import DifferenceScreen
from tests.ui.harness import Rig, make_rig, screen_text, until, until_shown
from tests.ui.test_chat import END, answers, chat_rig, chunk, server

THOUGHT = Measurement(0.2, 3.3, 9.0, reasoning_tokens=Figure(412, "server"))


def lines(name: str, count: int) -> str:
    return "\n\n".join(f"{name} line {number}" for number in range(count))


def turn(number: int, left: str, right: str, reasoning: str = "") -> Turn:
    said = {
        side: Answer(side, f"model-{side}", "m", text, reasoning, "stop", THOUGHT)
        for side, text in (("A", left), ("B", right))
    }
    return Turn(f"prompt {number}", float(number), said)


LONG = (
    turn(1, lines("a1", 10), lines("b1", 40)),
    turn(2, lines("a2", 60), lines("b2", 20)),
    turn(3, lines("a3", 30), lines("b3", 30)),
)


@dataclass
class Read:
    """A dashboard with a conversation on it; side A has the focus."""

    rig: Rig
    pilot: Pilot[str | None]
    panel: ChatPanel

    @property
    def text(self) -> str:
        return screen_text(self.rig.app)

    def turns(self, side: str) -> TurnList:
        return self.panel.pane(side).turns

    def prompt_in_view(self, side: str) -> str:
        reach = self.turns(side).reach()
        assert reach is not None
        asked_at = self.panel.pane(side).asked_at(reach.view)
        return next(one.prompt for one in self.turns(side).turns if one.created_at == asked_at)

    def share(self, side: str) -> float:
        reach = self.turns(side).reach()
        assert reach is not None
        return reach.share

    def top_line(self, side: str) -> str:
        """What stands on top of the turns of a side."""
        region = self.turns(side).region
        row = self.text.splitlines()[region.y]
        return row[region.x : region.right].strip(" █▁▂▃▄▅▆▇▊▉▋▍▎▏")


@asynccontextmanager
async def reading(
    turns: Sequence[Turn] = LONG, size: tuple[int, int] = (160, 40)
) -> AsyncIterator[Read]:
    one = make_rig(conversation=Conversation(None))
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "A")
        one.conversation.take_up(turns, None)
        panel = one.app.screen.query_one(ChatPanel)
        panel.refresh_sides()
        panel.go_to("A")
        list_ = panel.pane("A").turns
        await until(pilot, lambda: len(list_.views) == len(turns) and list_.is_vertical_scroll_end)
        yield Read(one, pilot, panel)


async def test_together_one_side_leads_the_other_to_the_same_turn_and_share() -> None:
    async with reading() as read:
        await read.pilot.press("s")
        await until_shown(read.pilot, "s: together")
        a, b = read.turns("A"), read.turns("B")
        for y in (0, a.max_scroll_y // 3, a.max_scroll_y // 2, a.max_scroll_y):
            a.scroll_to(y=y, animate=False)
            await until(read.pilot, lambda y=y: a.scroll_y == y)  # type: ignore[misc]
            assert read.prompt_in_view("A") == read.prompt_in_view("B")
            assert abs(read.share("A") - read.share("B")) < 0.1
            assert a.scroll_y == y, "what follows leads nobody"
        b.scroll_to(y=0, animate=False)
        await until(read.pilot, lambda: a.scroll_y == 0)
        await read.pilot.press("s")
        await until(read.pilot, lambda: "s: together" not in read.text)
        b.scroll_to(y=30, animate=False)
        await until(read.pilot, lambda: b.scroll_y == 30)
        assert a.scroll_y == 0


async def test_together_while_one_streams_nobody_is_pulled_to_its_end() -> None:
    stop = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        while not stop.is_set():
            writer.write(chunk(content="more words " * 5 + "\n\n"))
            await writer.drain()
            await asyncio.sleep(0.02)

    long = answers(chunk(content=lines("b", 60)), END)
    async with server(endless) as left, server(long) as right:
        one = chat_rig(left, right)
        async with one.app.run_test(size=(160, 40), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            panel = one.app.screen.query_one(ChatPanel)
            a, b = panel.pane("A").turns, panel.pane("B").turns
            await until(pilot, lambda: a.max_scroll_y > 20 and bool(b.views) and b.scroll_y > 0)
            panel.go_to("B")
            await pilot.press("s")
            b.scroll_to(y=0, animate=False)
            await until(pilot, lambda: a.scroll_y == 0 and b.scroll_y == 0)
            grown = a.max_scroll_y + 40
            await until(pilot, lambda: a.max_scroll_y > grown)
            assert (a.scroll_y, b.scroll_y) == (0, 0)
            b.scroll_to(y=b.max_scroll_y, animate=False)
            await until(pilot, lambda: a.follows and a.scroll_y > grown)
            stop.set()


async def test_in_a_narrow_terminal_the_hidden_side_comes_along() -> None:
    async with reading(size=(80, 24)) as read:
        await read.pilot.press("s")
        a = read.turns("A")
        a.scroll_to(y=a.max_scroll_y // 2, animate=False)
        await until(read.pilot, lambda: a.scroll_y == a.max_scroll_y // 2)
        prompt, share = read.prompt_in_view("A"), read.share("A")
        await read.pilot.press("ctrl+o")
        await until(
            read.pilot,
            lambda: (
                bool(read.turns("B").size)
                and read.prompt_in_view("B") == prompt
                and abs(read.share("B") - share) < 0.15
            ),
        )


async def test_one_side_alone_and_both_again() -> None:
    async with reading() as read:
        await read.pilot.press("m")
        await until(read.pilot, lambda: "b3 line 29" not in read.text and "m: both" in read.text)
        assert "a3 line 29" in read.text
        await read.pilot.press("right")
        await until(read.pilot, lambda: "b3 line 29" in read.text and "a3" not in read.text)
        await read.pilot.press("m")
        await until(read.pilot, lambda: "a3 line 29" in read.text and "b3 line 29" in read.text)
        assert "m: both" not in read.text


async def test_from_turn_to_turn_the_prompt_is_on_top() -> None:
    async with reading() as read:
        await read.pilot.press("left_square_bracket")
        await until(read.pilot, lambda: read.top_line("A") == "› prompt 3")
        await read.pilot.press("left_square_bracket")
        await until(read.pilot, lambda: read.top_line("A") == "› prompt 2")
        await read.pilot.press("right_square_bracket")
        await until(read.pilot, lambda: read.top_line("A") == "› prompt 3")
        await read.pilot.press("s", "c", *"/turn 2", "enter")
        await until(read.pilot, lambda: read.top_line("A") == "› prompt 2")
        await until(read.pilot, lambda: read.top_line("B") == "› prompt 2")
        read.panel.query_one(Prompt).clear()
        await read.pilot.press(*"/turn 9", "enter")
        await until_shown(read.pilot, "There is no turn 9")


async def test_differences_are_of_the_turn_that_one_went_to() -> None:
    turns = (
        turn(1, lines("a1", 40), lines("b1", 40)),
        turn(2, "short two", "short two"),
        turn(3, lines("a3", 30), lines("b3", 30)),
    )
    async with reading(turns) as read:
        for number in (3, 2):
            await read.pilot.press("left_square_bracket")
            await until(read.pilot, lambda n=number: read.top_line("A") == f"› prompt {n}")  # type: ignore[misc]
        await read.pilot.press("d")
        await until_shown(read.pilot, "turn 2/3", "100 % of words in both")
    async with reading((turn(1, "one", "two"), turn(2, "same", "same"))) as read:
        await read.pilot.press("left_square_bracket")  # both are seen, and nothing can be scrolled
        await until(read.pilot, lambda: read.turns("A").gone_to is not None)
        await read.pilot.press("d")
        await until_shown(read.pilot, "turn 1/2")


async def test_who_answered_stands_before_the_figures_where_another_sits_there_now() -> None:
    async with reading((turn(1, "said", "said"),)) as read:
        side = read.rig.conversation.sides["A"]
        side.choose(Endpoint("model-A", "http://127.0.0.1:9/v1"))
        read.panel.refresh_sides()
        await until(read.pilot, lambda: "model-B  client: TTFT" in read.text)
        assert "model-A  client" not in read.text
        side.choose(Endpoint("another", "http://127.0.0.1:9/v1"))
        read.panel.refresh_sides()
        await until_shown(read.pilot, "model-A  client: TTFT")


async def test_words_are_found_on_both_sides_and_in_folded_reasoning() -> None:
    turns = (
        turn(1, "a cat sat", "nothing"),
        turn(2, lines("x", 60), "```py\ncat = 1\n```", "the Cat thinks"),
    )
    async with reading(turns) as read:
        await read.pilot.press("slash", *"cat")
        await until_shown(read.pilot, "/ cat")
        await read.pilot.press("enter")
        await until_shown(read.pilot, "2/4")
        await until_shown(read.pilot, "the Cat thinks")
        await read.pilot.press("n")
        await until_shown(read.pilot, "3/4")
        assert read.panel.side == "B"
        await read.pilot.press("n", "n")
        await until_shown(read.pilot, "1/4   from the top again")
        await until_shown(read.pilot, "a cat sat")
        await read.pilot.press("N")
        await until_shown(read.pilot, "4/4   from the end again")
        await read.pilot.press("escape")
        await until(read.pilot, lambda: "/4" not in read.text)
        await read.pilot.press("c", *"/find Cat", "enter")
        await until_shown(read.pilot, "1/2")


async def test_the_reasoning_of_the_turn_in_view_is_unfolded_and_stays_in_sight() -> None:
    thought = lines("thought", 50)
    turns = (turn(1, lines("a", 50), "b", "first idea"), turn(2, lines("a", 50), "b", thought))
    async with reading(turns) as read:
        assert "thought" not in read.text
        await read.pilot.press("e")
        await until_shown(read.pilot, "▾ reasoning 412 tokens, 3.1 s · TTFO 3.3 s")
        await until_shown(read.pilot, "thought line 0")
        read.turns("A").scroll_to(y=0, animate=False)
        await until(read.pilot, lambda: read.turns("A").scroll_y == 0)
        await read.pilot.press("e")
        await until_shown(read.pilot, "first idea")
        await read.pilot.press("e")
        await until(read.pilot, lambda: "first idea" not in read.text)


async def test_an_answer_that_still_thinks_shows_how_much_and_the_end_of_it() -> None:
    go = asyncio.Event()

    async def thinking(writer: asyncio.StreamWriter) -> None:
        writer.write(chunk(reasoning_content="beginning " + "x" * 2000 + " newest thought"))
        await writer.drain()
        await go.wait()
        await answers(chunk(content="the answer"), END)(writer)

    async with server(thinking) as left, server(answers(chunk(content="b"), END)) as right:
        one = chat_rig(left, right)
        async with one.app.run_test(size=(160, 40)) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "newest thought")
            assert "▾ reasoning 1 token (client), " in screen_text(one.app)
            assert "beginning" not in screen_text(one.app)
            go.set()
            await until_shown(pilot, "the answer")


async def test_two_answers_are_compared_by_words() -> None:
    turns = (
        turn(1, "Only once.", ""),
        turn(2, "The quick brown fox.\n\nThe end.", "The quick red fox.\n\nThe end."),
        turn(3, "All the same.", "All the same."),
    )
    async with reading(turns) as read:
        await read.pilot.press("d")
        await until_shown(read.pilot, "no difference · 100 % of words in both · only A 0, only B 0")
        await read.pilot.press("left_square_bracket")
        await until_shown(read.pilot, "1 difference (n) · ")
        assert "turn 1/2" in read.text
        assert "only A 1, only B 1" in read.text
        assert "83 %" in read.text or "86 %" in read.text
        await read.pilot.press("n")
        await until_shown(read.pilot, "difference 1/1")
        row = next(line for line in read.text.splitlines() if "brown" in line)
        assert "-The quick brown fox." in row
        assert "+The quick red fox." in row
        await read.pilot.press("escape")
        await until(read.pilot, lambda: not isinstance(read.rig.app.screen, DifferenceScreen))


async def test_what_cannot_be_compared_is_told() -> None:
    async with reading((turn(1, "alone", ""),)) as read:
        await read.pilot.press("d")
        await until_shown(read.pilot, "no two answers to compare")
