"""``gputui chat`` in a terminal and under Ctrl-C: how far it is, and what came is not lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from gputui.chat.keeping.store import Store
from gputui.config import state_dir
from tests.chat.raw_server import Responder, reply, reply_then
from tests.chat.talking import PIECE
from tests.chat.test_chat_command import configured, run, served
from tests.support.hostile import completion
from tests.support.pty_terminal import PtyTerminal

CONTROL_C = "\x03"


def hanging() -> Responder:
    """One piece of an answer, and then nothing."""
    return reply_then(PIECE, wait=asyncio.Event())


def command(config: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "gputui", "--config", config, "chat", *arguments]


def test_a_terminal_sees_how_far_both_are_and_keeps_what_came(tmp_path: Path) -> None:
    with served(hanging()) as one, served(reply(completion("all of it"))) as two:
        words = command(
            configured(tmp_path, one=one.url, two=two.url), "--a", "one", "--b", "two", "hi"
        )
        terminal = PtyTerminal(words, (100, 30), os.environ)
        try:
            terminal.until(lambda screen: "A 1 tok · B done" in screen, "the state of both sides")
            terminal.type(CONTROL_C)
            assert terminal.until_ended() == 130
            screen = terminal.screen()
        finally:
            terminal.close()
    assert "── A  one  m\nfirst piece\nstopped · " in screen
    assert "all of it" in screen
    assert "B done\n" not in screen, "the line is gone"
    store = Store(state_dir() / "gputui.db")
    (turn,) = store.turns(store.conversations()[0])
    store.close()
    assert turn.answers["A"].text == "first piece"


def test_one_answer_interrupted_ends_where_it_stands(tmp_path: Path) -> None:
    with served(hanging()) as server:
        process = subprocess.Popen(
            command(configured(tmp_path, one=server.url), "--a", "one", "hi"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        came = process.stdout.read(len("first piece"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert came + out == b"first piece\n"
    assert err.startswith(b"stopped \xc2\xb7 ")
    assert process.returncode == 130


def test_json_is_whole_after_control_c(tmp_path: Path) -> None:
    with served(hanging()) as server:
        config = configured(tmp_path, one=server.url)
        words = " ".join(command(config, "--a", "one", "--json", "hi"))
        file = tmp_path / "answers.json"
        terminal = PtyTerminal(["sh", "-c", f"exec {words} > {file}"], (100, 30), os.environ)
        try:
            terminal.until(lambda screen: "A 1 tok" in screen, "the state of the answer")
            terminal.type(CONTROL_C)
            assert terminal.until_ended() == 130
        finally:
            terminal.close()
    (answer,) = json.loads(file.read_text())["answers"]
    assert (answer["text"], answer["finish_reason"]) == ("first piece", "stopped")


def test_without_a_terminal_no_line_is_drawn(tmp_path: Path) -> None:
    with served(reply(completion("a"))) as one, served(reply(completion("b"))) as two:
        config = configured(tmp_path, one=one.url, two=two.url)
        result = run(config, "--a", "one", "--b", "two", "hi")
    assert result.exit_code == 0
    assert result.stderr == ""
