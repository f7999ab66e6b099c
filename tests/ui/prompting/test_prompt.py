"""The prompt as it is typed into: commands, completion, history, several lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.events import Key, Paste
from textual.pilot import Pilot

from gputui.chat.conversation import Conversation
from gputui.chat.keeping.store import Store
from gputui.chat.model import Turn
from gputui.config import config_dir
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.commands import COMMANDS, GROUPS
from gputui.ui.chat.prompt import Prompt
from gputui.ui.chat.prompting.menu import MenuView
from gputui.ui.commands import chat_commands
from gputui.ui.dialogs import TextScreen
from tests.ui.harness import Rig, rig, screen_text, until, until_shown

Pilots = Pilot[str | None]


def prompt_of(one: Rig) -> Prompt:
    return one.app.screen.query_one(Prompt)


def chatting_of(one: Rig) -> Chatting:
    found: Any = one.app.screen
    chatting: Chatting = found.chatting
    return chatting


async def until_text(pilot: Pilots, one: Rig, text: str) -> None:
    await until(pilot, lambda: prompt_of(one).text == text)


def burst(one: Rig, *keys: str) -> None:
    """Keys as they come over SSH: all at once, none of them waited for."""
    for key in keys:
        names = {" ": "space", "/": "slash", "\n": "enter"}
        name = names.get(key, key)
        one.app.post_message(Key(name, key if len(key) == 1 and key != "\n" else None))


def library(**files: str) -> None:
    for name, text in files.items():
        path = config_dir() / "prompts" / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def test_a_slash_shows_the_commands_and_they_narrow_as_one_types() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        menu = one.app.screen.query_one(MenuView)
        await pilot.press("c", "slash")
        await until(pilot, lambda: menu.display)
        await until_shown(pilot, f"1 of {len(COMMANDS)}")
        await pilot.press(*"hel")
        await until_shown(pilot, "/help")
        assert "/attach" not in screen_text(one.app)
        await pilot.press("tab")
        assert prompt_of(one).text == "/help"
        await pilot.press("escape")
        await until(pilot, lambda: not menu.display)
        assert isinstance(one.app.focused, Prompt), "escape closes the list first"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(one.app.screen, TextScreen))
        for command in GROUPS["Ask"][:5]:
            assert f"/{command.name}" in screen_text(one.app)


async def test_up_and_down_choose_while_the_list_is_open_and_enter_takes_it() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c", *"/model ")
        await until_shown(pilot, "Choose model B")
        await pilot.press("down", "enter")
        await until_shown(pilot, "Who answers on side B?")
        await pilot.press("escape")
        assert prompt_of(one).text == ""
        await pilot.press(*"/reta", "backspace", "enter")
        assert prompt_of(one).text == "/retry ", "half a name is completed, never carried out"
        await pilot.press("ctrl+u", *"/nosuchthing", "enter")
        await until_shown(pilot, "/nosuchthing is no command of the chat")
        assert prompt_of(one).text == "/nosuchthing", "what was refused comes back"


async def test_commands_and_prompts_typed_in_one_burst_are_taken_in_their_order() -> None:
    library(code__review="Review {{this}}")
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        chatting = chatting_of(one)
        tags: list[str] = []
        send = one.conversation.send
        one.conversation.send = lambda *parts: (tags.append(one.conversation.tag), send(*parts))[1]  # type: ignore[method-assign, assignment, func-returns-value]
        chatting.seating.prepare = lambda _side: None  # type: ignore[method-assign]
        chatting.panel._prepare = lambda _side: None
        burst(one, "c", *"/tag a\n", *"/insert review\n", *"it\n", *"/tag b\n", *"rest")
        await until_text(pilot, one, "rest")
        assert tags == ["code"]
        assert one.conversation.tag == "b"
        assert one.conversation.sides["A"].prompt == "Review it"
        assert not one.app.screen.query_one(MenuView).display
        one.conversation.stop()
        await one.conversation.wait()


@pytest.mark.parametrize("word", ["insert", "tag"])
async def test_what_a_command_offers_is_completed(word: str) -> None:
    library(explain="Explain", code__review="Review")
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c", *f"/{word} ")
        await until_shown(pilot, "Prompt: code/review" if word == "insert" else "Tag: code")
        await pilot.press("c", "tab")
        await until_text(pilot, one, f"/{word} {'code/review' if word == 'insert' else 'code'}")


async def test_a_prompt_of_the_library_goes_to_the_cursor_and_the_cursor_to_its_placeholder() -> (
    None
):
    library(explain="Explain {{what}}\nto {{whom}}.")
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c")
        prompt = prompt_of(one)
        prompt.show("Please: \nthanks")
        prompt.move_cursor((0, 8))
        chatting_of(one).run("insert", "explain")  # as the palette does it
        await until_text(pilot, one, "Please: Explain {{what}}\nto {{whom}}.\nthanks")
        await pilot.press(*"tides")
        assert prompt.text == "Please: Explain tides\nto {{whom}}.\nthanks"
        chatting_of(one).run("insert", "nothing")
        await until_shown(pilot, "There is no prompt nothing")
        chatting_of(one).run("library")
        await until_shown(pilot, "explain")
        assert "prompts" in screen_text(one.app)


async def test_up_on_the_first_line_walks_through_what_was_sent_and_down_comes_back(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "db")
    for number, text in enumerate(("of long ago", "/stop it")):
        store.new_turn(store.new_conversation(1.0 + number), Turn(text, 1.0 + number, {}))
    one = rig(conversation=Conversation(store))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        chatting_of(one).drafting.history.add("of now")
        await pilot.press("c", *"draft", "up")
        assert prompt_of(one).text == "of now"
        await pilot.press("up")
        assert prompt_of(one).text == " /stop it", "as it must be typed to be sent"
        await pilot.press("up", "up")
        assert prompt_of(one).text == "of long ago"
        await pilot.press("down", "down", "down")
        assert prompt_of(one).text == "draft"


async def test_several_lines_are_edited_and_pasted_as_they_are() -> None:
    one = rig()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        prompt = prompt_of(one)
        await pilot.press("c", *"one two", "ctrl+j", *"three")
        await pilot.press("up", "home", "ctrl+right", "shift+end", "x")
        assert prompt.text == "onex\nthree"
        await pilot.press("ctrl+z")
        assert prompt.text == "one two\nthree"
        await pilot.press("ctrl+y", "down", "end")
        one.app.post_message(Paste("\r\nlines\x1b[31m\nkept\n" + "more\n" * 20))
        await until(pilot, lambda: len(prompt.text.split("\n")) > 20)
        assert prompt.text.startswith("onex\nthree\nlines\nkept\nmore\n")
        await until(pilot, lambda: prompt.size.height == 8)


async def test_every_command_is_in_the_prompt_and_in_the_palette() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        chatting = chatting_of(one)
        suggested = {entry.label.split()[0] for entry in chatting.drafting.suggest("/").shown}
        assert suggested == {f"/{command.name}" for command in COMMANDS}
        entries: dict[str, list[str]] = {}
        for command in COMMANDS:
            only: Any = [command]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("gputui.ui.commands.COMMANDS", only)
                entries[command.name] = [entry.title for entry in chat_commands(chatting)]
        assert all(entries.values()), entries


async def test_a_command_that_must_be_told_more_is_begun_from_the_palette() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        (begin,) = [
            one for one in chat_commands(chatting_of(one)) if one.title == "Attach a file …"
        ]
        begin.callback()
        await until_text(pilot, one, "/attach ")
        await pilot.press("enter")
        await until_shown(pilot, "Which file?")


async def test_the_editor_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press("c", *"/edit kept", "enter")
        await until_shown(pilot, "No editor is set")
        assert prompt_of(one).text == "kept"
        monkeypatch.setenv("EDITOR", "true")
        await pilot.press("ctrl+u", *"/edit", "enter")
        await until_shown(pilot, "cannot be given to an editor")
