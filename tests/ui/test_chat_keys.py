"""What the footer and the list of keys say of the chat, and where the next prompt goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gputui.instances.status import State
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.panel import ChatPanel
from tests.ui.harness import BOTH, Rig, rig, screen_text, until, until_shown
from tests.ui.reading.test_reading import reading, turn
from tests.ui.test_chat import END, answers, chat_rig, chunk, server


def footer(one: Rig) -> str:
    """The last line of the screen."""
    return screen_text(one.app).splitlines()[-1]


async def test_on_a_side_the_footer_shows_the_keys_there_is_something_for() -> None:
    async with reading((turn(1, "left", "right", "thought"),), (80, 24)) as read:
        one, pilot = read.rig, read.pilot
        await until(pilot, lambda: footer(one).startswith(" v Vote  d Diff  / Find  e Thinking"))
        assert " ? Keys▏" in footer(one), "and none is cut"
        assert " x " not in footer(one)
        assert " m " not in footer(one), "one side is shown anyhow"
        await pilot.resize_terminal(160, 40)
        await until(pilot, lambda: " m Alone" in footer(one))


async def test_keys_that_the_footer_hides_on_a_side_do_nothing_else_there() -> None:
    one = rig(statuses=(BOTH[0], replace(BOTH[1], state=State.READY)))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "2 of 2 ready")
        await pilot.press("left")
        await until(pilot, lambda: footer(one).startswith(" d Diff"))
        assert " e " not in footer(one)
        await pilot.press("x", "e")
        await pilot.pause()
        assert not one.supervisor.asked, "x stops no instance"
        assert one.app.screen.query(ChatPanel), "e opens no form"


async def test_the_footer_says_stop_and_vote_while_they_can_be_done() -> None:
    go = asyncio.Event()

    async def waiting(writer: asyncio.StreamWriter) -> None:
        writer.write(chunk(content="begun"))
        await writer.drain()
        await go.wait()
        await answers(END)(writer)

    async with server(waiting) as left, server(answers(chunk(content="b"), END)) as right:
        one = chat_rig(left, right)
        async with one.app.run_test(size=(160, 40)) as pilot:
            await until_shown(pilot, "B  right")
            await pilot.press("c")
            await until(pilot, lambda: "esc Leave" in footer(one))
            assert "enter Send  / Commands" in footer(one)
            assert "up Earlier" in footer(one)
            await pilot.press(*"hi", "enter")
            await until(pilot, lambda: "esc Stop" in footer(one))
            one.app.screen.query_one(ChatPanel).go_to("A")
            await until(pilot, lambda: footer(one).startswith(" x Stop  d Diff"))
            go.set()
            await until(pilot, lambda: footer(one).startswith(" v Vote  d Diff"))


async def test_the_list_of_keys_begins_with_those_that_hold_here() -> None:
    async with reading((turn(1, "left", "right"),)) as read:
        await read.pilot.press("question_mark")
        await until_shown(read.pilot, "On a side")
        assert "side.vote" in read.text
        assert "In the table" not in read.text.split("On a side")[0]
        assert read.text.count("side.stop") == 1
        await read.pilot.press("escape", "d", "question_mark")
        await until_shown(read.pilot, "Among the differences")


async def test_a_target_that_is_not_everyone_strikes_the_eye() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "to A and B")
        target = one.app.screen.query_one("#target")
        quiet = target.rich_style
        await pilot.press("c", "ctrl+t")
        await until(pilot, lambda: bool(target.rich_style.bold))
        assert target.rich_style.color != quiet.color
        await pilot.press("ctrl+t", "ctrl+t")
        await until(pilot, lambda: target.rich_style == quiet)


async def test_a_side_at_rest_names_its_model_and_an_endpoint_its_address() -> None:
    one = rig()
    async with one.app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: screen_text(one.app).count("R1-Distill-Qwen-32B Q4_K_M") == 4)
    async with server(answers(END)) as left, server(answers(END)) as right:
        far = chat_rig(left, right)
        async with far.app.run_test(size=(160, 40)) as pilot:
            await until_shown(pilot, left, right)


async def test_an_own_prompt_is_not_dimmer_than_its_answer() -> None:
    async with reading((turn(1, "left", "right"),)) as read:
        view = read.rig.app.screen.query(FinishedAnswer).first()
        line = view.render_line(0)
        styles = {segment.text.strip(): segment.style for segment in line}
        dim = read.panel.pane("A").look.palette.dim
        asked = styles["prompt 1"]
        assert asked is not None
        assert asked.bold
        assert asked.color != dim.color


async def test_ascii_terminals_get_no_blocks_in_the_chat() -> None:
    one = rig(ascii_only=True)
    async with one.app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "to A and B")
        one.conversation.take_up([turn(n, "x\n\n" * 40, "y") for n in range(1, 4)], None)
        panel = one.app.screen.query_one(ChatPanel)
        panel.refresh_sides()
        await until(pilot, lambda: panel.pane("A").turns.max_scroll_y > 0)
        await pilot.press("c")
        await until(pilot, lambda: "enter Send" in footer(one))
        assert all(line.isascii() for line in screen_text(one.app).splitlines())
