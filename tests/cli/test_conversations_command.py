"""gputui conversations, as a user calls it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Attachment, Figure, Measurement, Sampling, Settings, Turn
from gputui.cli.compose import make_store
from gputui.cli.root import group
from gputui.config import state_dir
from gputui.errors import GputuiError
from tests.support.hostile import assert_clean
from tests.support.pty_terminal import PtyTerminal

HOSTILE = "[@click=app.quit]x[/] \x1b]52;c;aGk=\x07\x1b[31mred\u202e"


@pytest.fixture(autouse=True)
def kept() -> None:
    store = make_store()
    for number in range(3):
        conversation = store.new_conversation(1e9 + number)
        file = Attachment("cat.png", "image/png", b"12345")
        for place in range(2):
            asked = Turn(
                f"prompt {number}.{place} {HOSTILE}", 1e9 + number, {}, attachments=(file,)
            )
            turn = store.new_turn(conversation, asked)
            numbers = Measurement(0.5, generation_tokens_per_second=Figure(31, "server"))
            settings = Settings("Be brief.", Sampling(seed=42))
            for side, name in (("A", "deepseek"), ("B", "coder")):
                said = f"heron {number}.{place} {HOSTILE}"
                store.save_answer(
                    turn,
                    Answer(side, name, "R1", said, "why", "stop", numbers, settings=settings),
                )
    store.close()


def run(*arguments: str, code: int = 0) -> str:
    """What it prints; a GputuiError's words where it ends so."""
    result = CliRunner().invoke(group, arguments)
    if isinstance(result.exception, GputuiError):
        assert code == 1
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


def prompts(conversation: int) -> list[str]:
    store = Store(state_dir() / "gputui.db")
    found = [turn.prompt for turn in store.turns(conversation)]
    store.close()
    return found


def test_the_list_and_its_json() -> None:
    lines = run("conversations").splitlines()
    assert lines[0].split() == ["id", "changed", "turns", "answered", "by", "title"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert "deepseek, coder" in lines[1]
    assert "prompt 2.0" in lines[1]
    assert_clean("\n".join(lines))
    shape = json.loads(run("conversations", "--limit", "1", "--offset", "1", "--json"))
    (one,) = shape["conversations"]
    assert list(one) == [
        *("id", "title", "title_given", "created_at", "changed_at", "turn_count"),
        *("names", "models"),
    ]
    assert (one["id"], one["turn_count"], one["names"]) == (2, 2, ["deepseek", "coder"])


def test_a_search_says_where_and_what() -> None:
    lines = run("conversations", "--search", "heron 1.1").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("2  turn 2  ")
    assert lines[1].startswith("    heron 1.1 ")
    assert_clean("\n".join(lines))
    shape = json.loads(run("conversations", "--search", "heron", "--limit", "2", "--json"))
    assert shape["query"] == "heron"
    first, second = shape["matches"]
    assert (first["conversation_id"], first["turn"], second["turn"]) == (3, 2, 1)
    assert [first["snippet"][start:end] for start, end in first["marks"]] == ["heron"] * 2
    assert run("conversations", "--search", 'no" such (') == "nothing was found\n"
    assert "--offset is for the list" in run(
        "conversations", "--search", "x", "--offset", "1", code=2
    )


def test_one_is_shown_with_its_numbers() -> None:
    shown = run("conversations", "show", "2")
    for part in (
        "prompt 1.0",
        "prompt 1.1",
        "── A deepseek R1",
        "heron 1.1",
        "31.0 tok/s (server)",
    ):
        assert part in shown
    for part in ("settings: seed 42", "system prompt: Be brief.", "cat.png (image/png, 5 B)"):
        assert part in shown
    assert_clean(shown)
    alone = run("conversations", "show", "2", "--turn", "2")
    assert "prompt 1.0 " not in alone.split("\n", 2)[2]
    assert "\n2 · " in alone
    assert "has no turn 3: it has 2" in run("conversations", "show", "2", "--turn", "3", code=1)
    assert "no conversation 99 is kept" in run("conversations", "show", "99", code=1)
    (one,) = json.loads(run("conversations", "show", "2", "--json"))["conversations"]
    assert [turn["turn"] for turn in one["turns"]] == [1, 2]


def test_an_export_goes_to_stdout_or_to_a_file(tmp_path: Path) -> None:
    assert run("conversations", "export", "1").startswith("# prompt 0.0 ")
    assert len(run("conversations", "export", "1", "--format", "jsonl").splitlines()) == 4
    file = tmp_path / "all.json"
    said = run("conversations", "export", "--all", "--output", str(file))
    assert said == f"{file}: 3 conversations\n"
    whole = json.loads(file.read_text())["conversations"]
    assert [one["id"] for one in whole] == [1, 2, 3]
    assert whole[0]["turns"][0]["attachments"][0]["size_bytes"] == 5
    assert "is there already" in run("conversations", "export", "2", "--output", str(file), code=1)
    assert json.loads(file.read_text())["conversations"] == whole
    run("conversations", "export", "2", "--output", str(file), "--format", "md", "--force")
    assert file.read_text().startswith("# prompt 1.0 ")
    missing = tmp_path / "no" / "such" / "x.md"
    assert f"{missing.parent} does not exist" in run(
        "conversations", "export", "1", "--output", str(missing), code=1
    )
    for wrong in ((), ("1", "--all"), ("1", "--format", "xml")):
        run("conversations", "export", *wrong, code=2)
    assert "no conversation 9" in run(
        "conversations", "export", "9", "--output", str(file), "--force", code=1
    )
    assert file.read_text().startswith("# prompt 1.0 "), "it is not touched"
    link = tmp_path / "link.md"
    link.symlink_to(file)
    file.chmod(0o644)
    run("conversations", "export", "1", "--output", str(link), "--force")
    assert link.is_symlink()
    assert file.read_text().startswith("# prompt 0.0 ")
    assert file.stat().st_mode & 0o777 == 0o644
    assert "no regular file" in run(
        "conversations", "export", "1", "--output", "/dev/null", "--force", code=1
    )
    run("conversations", "export", "1", "--output", str(tmp_path / "new.md"), "--force")
    assert (tmp_path / "new.md").read_text() == file.read_text()


def test_a_title_is_given() -> None:
    assert run("conversations", "rename", "1", f"Herons {HOSTILE}").startswith("1: Herons [@click")
    assert "Herons" in run("conversations").splitlines()[3]
    (title, *_) = run("conversations", "--search", "Herons [@click").splitlines()
    assert title.startswith("1  title  ")


def test_deleting_asks_and_looking_only_changes_nothing() -> None:
    assert "nobody to ask: give --yes" in run("conversations", "delete", "1", code=2)
    assert "--readonly" in run("--readonly", "conversations", "delete", "1", "--yes", code=1)
    assert "--readonly" in run("conversations", "--readonly", "rename", "1", "x", code=1)
    assert "no conversation 9" in run("conversations", "delete", "1", "9", "--yes", code=1)
    assert len(prompts(1)) == 2
    said = run("conversations", "delete", "1", "3", "1", "--yes")
    assert [line.split(" (")[0] for line in said.splitlines()] == ["1: deleted", "3: deleted"]
    assert (prompts(1), len(prompts(2))) == ([], 2)


def test_on_a_terminal_it_asks() -> None:
    command = (sys.executable, "-m", "gputui", "conversations", "delete", "2")
    for answer, left in (("n", 2), ("y", 0)):
        terminal = PtyTerminal(command, (100, 24), dict(os.environ) | {"TERM": "xterm-256color"})
        try:
            terminal.until(lambda screen: "Delete this conversation?" in screen, "the question")
            assert "prompt 1.0" in terminal.screen()
            terminal.type(f"{answer}\r")
            assert terminal.until_ended() == (1 if answer == "n" else 0)
        finally:
            terminal.close()
        assert len(prompts(2)) == left


def test_nothing_is_kept_yet_and_a_damaged_database(tmp_path: Path) -> None:
    run("conversations", "delete", "1", "2", "3", "--yes")
    assert run("conversations") == "no conversation is kept\n"
    assert run("conversations", "export", "--all") == ""
    for left in state_dir().glob("gputui.db*"):
        left.unlink()
    (state_dir() / "gputui.db").write_bytes(b"no database " * 100)
    said = run("conversations", code=1)
    assert "not a database: kept conversations cannot be read" in said
