"""Answers taken out of the chat, and a database that keeps nothing."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from gputui.chat.conversation import Conversation
from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Turn
from gputui.config import Config, EndpointConfig
from gputui.text import clean
from gputui.ui.chat.kept.taking import CLIPBOARD_LIMIT, within_tmux
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.prompt import Prompt
from tests.support.hostile import HOSTILE
from tests.ui.harness import Rig, make_rig, rig, screen_text, until, until_shown
from tests.ui.test_chat import END, answers, chunk, server

CODE = "Like this:\n\n```sh\nls -l\n```\n\nor\n\n```python\nprint(1)\n```\n\nDone."


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUTUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "state"


@asynccontextmanager
async def answered(
    a: str = CODE, b: str = "brief", size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Rig, Pilot[str | None]]]:
    """A dashboard on which both sides have answered; side A has the focus."""
    one = rig()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "1 of 2 ready")
        said = {"A": Answer("A", "deepseek", "m", a), "B": Answer("B", "qwen-coder", "m", b)}
        one.conversation.take_up([Turn("asked", 1e9, said)], None)
        panel = one.app.screen.query_one(ChatPanel)
        panel.refresh_sides()
        await until(pilot, lambda: all(len(pane.turns.views) == 1 for pane in panel.panes))
        panel.go_to("A")
        yield one, pilot


async def command(pilot: Pilot[str | None], text: str) -> None:
    pilot.app.screen.set_focus(pilot.app.screen.query_one(Prompt))
    pilot.app.screen.query_one(Prompt).text = text
    await pilot.press("enter")


async def test_the_newest_answer_or_its_code_is_copied_and_tmux_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "tmux-256color")
    async with answered() as (one, pilot):
        await pilot.press("y")
        await until_shown(pilot, "Copied the answer of A")
        await until_shown(pilot, "set -g set-clipboard on")
        assert one.app.clipboard == CODE
        one.app.clear_notifications()
        await command(pilot, "/copy code")
        await until_shown(pilot, "Copied the last code block of A")
        assert one.app.clipboard == "print(1)"
        assert "set-clipboard" not in screen_text(one.app)
        await command(pilot, "/copy b")
        await until(pilot, lambda: one.app.clipboard == "brief")


@pytest.mark.parametrize(
    ("term", "tmux", "within"),
    [
        ("xterm-256color", None, False),
        ("xterm-256color", "/tmp/t,1,0", True),
        ("screen-256color", None, True),
    ],
)
def test_tmux_is_known_by_its_variable_and_by_the_terminal(
    monkeypatch: pytest.MonkeyPatch, term: str, tmux: str | None, within: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("TMUX", raising=False)
    if tmux:
        monkeypatch.setenv("TMUX", tmux)
    assert within_tmux() is within


async def test_what_is_told_twice_is_up_once() -> None:
    async with answered(size=(80, 24)) as (one, pilot):
        one.app.screen.action_chat("alone")  # type: ignore[attr-defined]
        await until_shown(pilot, "The terminal is narrow")
        one.app.screen.action_chat("alone")  # type: ignore[attr-defined]
        await command(pilot, "/plain x")  # a toast that comes after both
        await until_shown(pilot, "not know")
        titles = [toast.title for toast in one.app._notifications]
        assert sum("narrow" in title for title in titles) == 1


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/copy B code", "has no code block"),
        ("/copy all", "does not know"),
        ("/plain x", "not know"),
    ],
)
async def test_what_cannot_be_taken_is_said(typed: str, words: str) -> None:
    async with answered() as (_, pilot):
        await command(pilot, typed)
        await pilot.press("escape")
        await until_shown(pilot, words)


async def test_what_terminals_would_drop_is_not_copied() -> None:
    async with answered("x" * (CLIPBOARD_LIMIT + 1)) as (one, pilot):
        one.app.copy_to_clipboard("before")
        await pilot.press("y")
        await until_shown(pilot, "more than terminals take")
        assert one.app.clipboard == "before"


async def test_nothing_is_taken_where_nothing_was_said() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "1 of 2 ready")
        for typed in ("/copy", "/save", "/save all", "/plain"):
            one.app.clear_notifications()
            await command(pilot, typed)
            await pilot.press("escape")
            await until_shown(
                pilot, "said nothing yet" if "all" not in typed else "Nothing was said"
            )


async def test_an_answer_is_saved_where_it_is_proposed_private_and_nothing_is_overwritten(
    tmp_path: Path, state: Path
) -> None:
    async with answered() as (_, pilot):
        await pilot.press("f")
        await until_shown(pilot, "~/state/saved/answer-A-")
        await pilot.press("enter")
        await until(pilot, lambda: state.exists() and len(list((state / "saved").iterdir())) == 1)
        (file,) = (state / "saved").iterdir()
        await until(pilot, lambda: file.read_text() == CODE + "\n")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        (tmp_path / "mine.md").write_text("mine")
        await command(pilot, "/save ~/mine.md")
        await until_shown(pilot, "Replace it?")
        await pilot.press("enter")
        await until(pilot, lambda: "Replace it?" not in screen_text(pilot.app))  # type: ignore[arg-type]
        assert (tmp_path / "mine.md").read_text() == "mine"
        await command(pilot, "/save b")
        await until_shown(pilot, "~/state/saved/answer-B-")
        await pilot.press("escape")
        await command(pilot, "/save ~/missing/a.md")
        await until_shown(pilot, "does not exist")


async def test_the_answer_is_shown_plain_where_the_terminal_cannot_be_left() -> None:
    text = clean("\n".join(text for _, text in HOSTILE[:17])) + "\nthe end of it"
    async with answered(text, size=(80, 24)) as (one, pilot):
        await pilot.press("u")
        await until_shown(pilot, "enter goes back")
        await pilot.press("end")
        await until_shown(pilot, "the end of it")
        assert "deepseek" not in screen_text(one.app)
        assert all("│" not in line for line in screen_text(one.app).splitlines()[-3:])
        await pilot.press("enter")
        await until_shown(pilot, "deepseek")


async def test_a_database_that_keeps_nothing_never_stops_the_chat(
    tmp_path: Path, state: Path
) -> None:
    """Damaged, then locked by another program, then whole again: told, seen, saved by hand, kept."""
    path = tmp_path / "gputui.db"
    path.write_bytes(b"this is no database" * 100)
    store = Store(path)
    store._database._patience = 0.05
    async with (
        server(answers(chunk(content="Hello you"), END)) as a,
        server(answers(chunk(content="Good day"), END)) as b,
    ):
        config = Config(
            endpoints=(EndpointConfig(name="left", url=a), EndpointConfig(name="right", url=b))
        )
        one = make_rig(config, conversation=Conversation(store))
        async with one.app.run_test(size=(120, 40), notifications=True) as pilot:
            await until_shown(pilot, "B  right")
            assert "not kept" not in screen_text(one.app)
            await pilot.press("c", *"hi", "enter")
            await until_shown(pilot, "Good day")
            await until_shown(pilot, "Turns are not being kept")
            await until_shown(pilot, "not kept: /save all")
            await command(pilot, "/save all ~/whole.md")
            whole = tmp_path / "whole.md"
            await until(pilot, lambda: whole.exists() and "tok/s" in whole.read_text())
            assert "Hello you" in whole.read_text()
            assert "Good day" in whole.read_text()

            path.unlink()
            other = sqlite3.connect(path)
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("CREATE TABLE theirs (x)")
            other.execute("BEGIN IMMEDIATE")
            await until(pilot, lambda: "locked" in (one.conversation.store_problem or ""))
            await command(pilot, "again")
            await until(pilot, lambda: len(one.conversation.sides["B"].finished) == 2)
            await until_shown(pilot, "not kept: /save all")
            other.rollback()
            other.close()
            await until(pilot, lambda: "not kept" not in screen_text(one.app))
            kept = store.turns(one.conversation.id or 0)
            assert [turn.prompt for turn in kept] == ["hi", "again"]
