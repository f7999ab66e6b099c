"""The text of ``/help``, and what is said of a command that does not exist."""

from __future__ import annotations

import pytest

from gputui.errors import GputuiError
from gputui.ui.chat.commands import COMMANDS, GROUPS, command_of
from gputui.ui.chat.prompting.help import help_text


def test_the_groups_have_every_command_once() -> None:
    grouped = [one.name for commands in GROUPS.values() for one in commands]
    assert sorted(grouped) == sorted(one.name for one in COMMANDS)


@pytest.mark.parametrize("width", [20, 69, 100, 200])
def test_no_line_is_wider_than_the_frame_and_none_of_an_entry_begins_at_its_edge(
    width: int,
) -> None:
    text = help_text(width)
    assert max(map(len, text.splitlines())) <= max(48, min(100, width))
    _, entries = text.split("\nAsk\n")
    body = entries.rsplit("\n\n", 1)[0]
    at_the_edge = {line for line in body.splitlines() if line and not line.startswith("  ")}
    assert at_the_edge == set(GROUPS) - {"Ask"}
    assert all(f"/{one.name}" in text for one in COMMANDS)


def test_only_a_close_match_is_suggested() -> None:
    with pytest.raises(GputuiError) as far:
        command_of("nonsense")
    assert "mean" not in (far.value.hint or "")
    with pytest.raises(GputuiError) as near:
        command_of("setings")
    assert "/settings" in (near.value.hint or "")
