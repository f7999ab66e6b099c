"""What a text in the prompt is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.ui.chat.commands import COMMANDS
from gputui.ui.chat.prompting.suggestions import common_start
from gputui.ui.chat.prompting.typed import as_sent, as_typed, command_in

TEXTS = st.text(st.sampled_from("/ ab\n.-")) | st.text()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/stop", ("stop", "")),
        ("/stop ", ("stop", "")),
        ("/Retry  B ", ("retry", "B")),
        ("/attach /home/x/my cat.png", ("attach", "/home/x/my cat.png")),
        ("/edit two\nlines", ("edit", "two\nlines")),
        ("/home/x/cat.png", None),
        ("/home/x/cat.png what is this?", None),
        ("/etc/", None),
        ("/cat.png", None),
        ("//stop", None),
        (" /stop", None),
        ("/ stop", None),
        ("/", None),
        ("stop", None),
    ],
)
def test_a_command_is_a_name_behind_a_slash(text: str, meant: tuple[str, str] | None) -> None:
    assert command_in(text) == meant


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("//stop", "/stop"),
        (" /stop now", "/stop now"),
        ("  /stop", " /stop"),
        ("// a comment", "// a comment"),
        (" indented", " indented"),
        ("/home/x/cat.png", "/home/x/cat.png"),
    ],
)
def test_a_prompt_can_begin_with_a_slash(typed: str, sent: str) -> None:
    assert as_sent(typed) == sent


@given(TEXTS)
def test_each_prompt_can_be_typed(prompt: str) -> None:
    typed = as_typed(prompt)
    assert command_in(typed) is None
    assert as_sent(typed) == prompt


@given(TEXTS)
def test_a_command_has_a_name_that_a_command_can_have(text: str) -> None:
    found = command_in(text)
    assert found is None or (text.startswith("/") and found[0] and found[1] == found[1].strip())


def test_every_command_has_a_name_that_can_be_typed_and_its_own() -> None:
    names = [command.name for command in COMMANDS]
    assert all(command_in(f"/{name}") == (name, "") for name in names)
    assert len(set(names)) == len(names)


@given(st.lists(st.text("ab/", max_size=5), min_size=1))
def test_what_all_begin_with(texts: list[str]) -> None:
    start = common_start(texts)
    assert all(text.startswith(start) for text in texts)
    longer = {text[: len(start) + 1] for text in texts}
    assert len(longer) > 1 or longer == {start}
