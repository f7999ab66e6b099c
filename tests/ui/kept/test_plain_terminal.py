"""An answer plain on a real terminal's normal screen, while the program goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Turn
from tests.support.tmux import Tmux

LONG = "a line that is wider than the terminal " * 5


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Tmux]:
    config = tmp_path / "config.toml"
    config.write_text("")
    store = Store(tmp_path / "gputui.db")
    turn = store.new_turn(store.new_conversation(1e9), Turn("asked", 1e9, {}))
    store.save_answer(turn, Answer("A", "n", "m", f"# plain *text*\n\n{LONG}"))
    store.close()
    command = (sys.executable, "-m", "gputui", "--config", str(config), "--source", "simulated")
    made = Tmux(command, (100, 30), {"GPUTUI_STATE": str(tmp_path)})
    yield made
    made.close()


def test_shown_as_it_is_until_enter_or_an_interrupt(terminal: Tmux) -> None:
    terminal.until_shown("palette")
    terminal.press("o")
    terminal.until_shown("last prompt")
    terminal.until_shown("asked")
    terminal.press("Enter")
    terminal.until(lambda screen: "last prompt" not in screen, "the chat")
    terminal.until_shown("plain text")
    terminal.until_shown("enter Send")  # by now the prompt has the focus
    terminal.press("Escape")
    terminal.until_shown("Start/stop")
    terminal.press("Left")
    for end in ("Enter", "C-c"):
        terminal.until_shown("y Copy")
        terminal.press("u")
        terminal.until_shown("# plain *text*")
        terminal.until_shown("enter goes back")
        screen = terminal.screen()
        assert LONG.rstrip() in screen.replace("\n", ""), (
            "wrapped by the terminal, and by nobody else"
        )
        assert "Instances" not in screen
        terminal.press(end)
    terminal.until_shown("Instances")
    terminal.press("q")
    terminal.until(lambda _: terminal.ended, "its end")
