"""The user's own editor, in a true terminal."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from tests.support.pty_terminal import PtyTerminal

EDITOR = """
import os, stat, sys
path = sys.argv[-1]
open({facts!r}, "w").write(f"{{stat.S_IMODE(os.stat(path).st_mode):o}} {{path}} {{open(path).read()}}")
input("the editor is here")
sys.exit(3) if os.path.exists({fails!r}) else open(path, "w").write("first\\nsecond\\n")
"""


def test_a_prompt_is_edited_in_the_users_editor(tmp_path: Path) -> None:
    facts, fails, config = tmp_path / "facts", tmp_path / "fails", tmp_path / "config.toml"
    (tmp_path / "editor.py").write_text(EDITOR.format(facts=str(facts), fails=str(fails)))
    config.write_text('source = "simulated"\n')
    command = (sys.executable, "-m", "gputui", "--config", str(config))
    editor = f"'{sys.executable}' {tmp_path}/editor.py"
    environment = {**os.environ, "VISUAL": editor, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    terminal = PtyTerminal(command, (100, 30), environment)
    try:
        terminal.until(lambda screen: "to A and B" in screen, "the prompt")
        terminal.type("c/edit a draft\r")
        terminal.until(lambda screen: "the editor is here" in screen, "the editor")
        mode, path, text = facts.read_text().split(" ", 2)
        assert mode == f"{stat.S_IRUSR | stat.S_IWUSR:o}"
        assert text == "a draft"
        terminal.type("\r")
        terminal.until(
            lambda screen: "› first" in screen and "second" in screen, "the edited prompt"
        )
        assert not Path(path).exists()
        fails.touch()
        terminal.type("!\x15\x7f\x15/edit again\r")
        terminal.until(lambda screen: "the editor is here" in screen, "the editor")
        terminal.type("\r")
        terminal.until(lambda screen: "ended with 3" in screen, "why nothing changed")
        terminal.type("\x11")
        terminal.until_ended()
    finally:
        terminal.close()
