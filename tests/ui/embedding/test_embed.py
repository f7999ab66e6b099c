"""Comparing texts by an embedding model on the screen."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from gputui.config import Config, InstanceConfig
from gputui.instances.status import State
from gputui.ui.chat.embedding.screen import MatrixView
from tests.chat.embedding.test_client import by_length
from tests.chat.raw_server import serve
from tests.ui.harness import DEEPSEEK, Rig, make_rig, screen_text, status, until, until_shown

NEAR = InstanceConfig(name="near", model="/m.gguf", port=8090, role="embedding")


def embed_rig(url: str, state: State = State.READY) -> Rig:
    near = replace(status("near", state, None, 8090), role="embedding", url=url, owned=False)
    chats = status("deepseek", State.READY, 0, 8080)
    return make_rig(Config(instances=(DEEPSEEK, NEAR)), statuses=(chats, near))


def heading(view: MatrixView) -> list[str]:
    """The numbers of the columns that are shown."""
    lines = view.lines(view.content_size.width)
    words = ["".join(text for text, _ in line.runs).split() for line in lines]
    return words[len(lines) - view.rows - 1]


async def test_two_texts_and_a_file_of_lines_become_matrices(tmp_path: Path) -> None:
    file = tmp_path / "many.txt"
    file.write_text("\n".join("x" * number for number in range(1, 31)))
    async with serve(by_length) as server:
        one = embed_rig(server.url)
        async with one.app.run_test(size=(100, 30), notifications=True) as pilot:
            await until_shown(pilot, "near")
            one.app.screen.action_chat("embed")  # type: ignore[attr-defined]
            await until_shown(pilot, "Compared by near")
            await pilot.press("a", "enter", *"bbbb", "enter")
            await until_shown(pilot, "nearest: 1 and 2, 0.86")
            text = screen_text(one.app)
            assert "1  a" in text
            assert "2  bbbb" in text
            assert text.count("1.00") == 2
            assert "1.00▓" not in text, "a text with itself has no shade"
            assert "server: 5 tok" in text
            await pilot.press("escape")
            one.app.screen.action_chat("embed", "near")  # type: ignore[attr-defined]
            await until_shown(pilot, "Compared by near")
            await pilot.press("tab", "tab", *str(file), "enter")
            await until_shown(pilot, "30 texts")
            view = one.app.screen.query_one(MatrixView)
            assert "22 more columns" in screen_text(one.app)
            assert heading(view)[:2] == ["1", "2"]
            await pilot.press("right")
            await until(pilot, lambda: heading(view)[0] == "9")
            for _ in range(5):
                await pilot.press("right")
            await until(pilot, lambda: heading(view)[-1] == "30")
            await pilot.press("left", "left", "left")
            await until(pilot, lambda: heading(view)[0] == "1")


async def test_what_cannot_be_asked_is_told(tmp_path: Path) -> None:
    one = embed_rig("http://127.0.0.1:9", State.STOPPED)
    async with one.app.run_test(size=(100, 30), notifications=True) as pilot:
        await until_shown(pilot, "near")
        for name, words in (
            ("", "near is stopped"),
            ("deepseek", "deepseek chats: it makes no embeddings"),
            ("nobody", '"nobody" is no instance'),
        ):
            one.app.screen.action_chat("embed", name)  # type: ignore[attr-defined]
            await until_shown(pilot, words)


async def test_what_is_no_file_of_text_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    one = embed_rig("http://127.0.0.1:9")
    async with one.app.run_test(size=(100, 30), notifications=True) as pilot:
        await until_shown(pilot, "near")
        for name, words in (
            (f"{tmp_path}/pipe", "is a pipe"),
            ("~nosuchuser/x", "~nosuchuser/x is no path"),
        ):
            one.app.screen.action_chat("embed", "near")  # type: ignore[attr-defined]
            await until_shown(pilot, "Compared by near")
            await pilot.press("tab", "tab", *name, "enter")
            await until_shown(pilot, words)
