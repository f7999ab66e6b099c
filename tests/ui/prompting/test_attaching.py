"""Files attached in the prompt: by command and by paste, sent, refused, taken off."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from textual.events import Paste

from gputui.chat.model import Endpoint
from tests.support.pictures import png
from tests.ui.harness import BOTH, Rig, rig, screen_text, until, until_shown
from tests.ui.prompting.test_prompt import burst, chatting_of, prompt_of, until_text
from tests.ui.test_chat import END, answers, chat_rig, chunk, server


def files(folder: Path) -> tuple[Path, Path]:
    picture, text = folder / "my cat.png", folder / "notes.txt"
    picture.write_bytes(png(64, 48))
    text.write_text("one\ntwo\n")
    return picture, text


def attached(one: Rig) -> list[str]:
    return [file.name for file in chatting_of(one).drafting.attaching.attachments]


async def test_a_pasted_path_is_attached_shown_and_undone(tmp_path: Path) -> None:
    picture, text = files(tmp_path)
    one = rig()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c", *"Look: ")
        one.app.post_message(Paste(f"'{picture}'"))
        await until_shown(pilot, "1 my cat.png")
        assert "64×48" in screen_text(one.app)
        assert prompt_of(one).text == "Look: "
        await pilot.press("ctrl+z")
        await until_text(pilot, one, f"Look: '{picture}'")
        assert attached(one) == []
        prompt_of(one).clear()
        one.app.post_message(Paste(f"{picture}\nfile://{text}\n"))
        await until(pilot, lambda: attached(one) == ["my cat.png", "notes.txt"])
        await pilot.press(*"/detach 1", "enter")
        await until(pilot, lambda: attached(one) == ["notes.txt"])
        await pilot.press(*"/detach 7", "enter")
        await until_shown(pilot, "There is no attachment 7")
        await pilot.press("ctrl+u", *"/detach", "enter")
        await until(pilot, lambda: attached(one) == [])


async def test_what_is_pasted_and_cannot_be_attached_is_text(tmp_path: Path) -> None:
    picture, text = files(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    large = tmp_path / "large.png"
    large.write_bytes(png())
    os.truncate(large, 9 << 20)
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c")
        for pasted in (
            f"{tmp_path}/pipe",
            f"{tmp_path}",
            f"{tmp_path}/none.png",
            f"{picture} is it",
        ):
            one.app.post_message(Paste(pasted))
            await until_text(pilot, one, pasted)
            prompt_of(one).clear()
        one.app.post_message(Paste(str(large)))
        await until_shown(pilot, "large.png has 9.0 MiB, and a picture may have 8.0 MiB")
        await until_text(pilot, one, str(large))
        prompt_of(one).show("/attach ")
        one.app.post_message(Paste(str(text)))
        await until_text(pilot, one, f"/attach {text}")  # a command's path is the command's
        assert attached(one) == []
        await pilot.press("enter")
        await until(pilot, lambda: attached(one) == ["notes.txt"])


async def test_tab_completes_a_path(tmp_path: Path) -> None:
    files(tmp_path)
    (tmp_path / "my dog.png").write_bytes(png())
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c")
        prompt_of(one).show(f"/attach {tmp_path}/m")
        await pilot.press("tab")
        assert prompt_of(one).text == f"/attach {tmp_path}/my "
        await until_shown(pilot, "my dog.png")
        await pilot.press("d", "tab", "enter")
        await until(pilot, lambda: attached(one) == ["my dog.png"])


async def test_an_instance_that_sees_nothing_is_not_sent_a_picture(tmp_path: Path) -> None:
    picture, _ = files(tmp_path)
    one = rig(statuses=(replace(BOTH[0], sees=False), BOTH[1]))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "1 of 2 ready")
        await pilot.press("c", "ctrl+t")
        burst(one, *f"/attach {picture}\nhi\n")
        await until_shown(pilot, "deepseek takes no pictures: start it with mmproj")
        assert prompt_of(one).text == "hi"
        assert attached(one) == ["my cat.png"], "nothing is lost"
        assert not one.conversation.busy


async def test_they_go_with_the_next_prompt_alone_and_stand_in_its_turn(tmp_path: Path) -> None:
    picture, text = files(tmp_path)
    async with server(answers(chunk(content="a cat"), END)) as url:
        one = chat_rig(url, url)
        async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            burst(one, "c", *f"/attach {picture}\n/attach {text}\nhi\n")
            await until_shown(pilot, "a cat")
            await until_shown(pilot, "+ my cat.png")
            assert screen_text(one.app).count("+ notes.txt 8 B") == 2
            for name, side in one.conversation.sides.items():
                (turn,) = side.finished
                assert [file.name for file in turn.attachments] == ["my cat.png", "notes.txt"], name
            assert attached(one) == []


async def test_a_side_that_sees_nothing_is_told_of_earlier_pictures_in_words(
    tmp_path: Path,
) -> None:
    picture, _ = files(tmp_path)
    async with server(answers(chunk(content="a cat"), END)) as url:
        one = chat_rig(url, url)
        async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            burst(one, "c", *f"/attach {picture}\nhi\n")
            await until_shown(pilot, "a cat")
            side = one.conversation.sides["A"]
            side.choose(Endpoint("blind", url, sees=False))
            await pilot.press(*"and now?", "enter")
            await until(pilot, lambda: len(side.finished) == 2)
            assert side.finished[1].answers["A"].error is None
