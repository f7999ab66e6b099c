"""The commands of the prompt: help, attachments, the library, tags, the user's editor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gputui.chat.asking.paths import completions
from gputui.chat.asking.reading import shown
from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer
from gputui.ui.chat.prompt import Prompt
from gputui.ui.chat.prompting.attaching import patiently
from gputui.ui.chat.prompting.editor import edit
from gputui.ui.chat.prompting.help import help_text
from gputui.ui.dialogs import TextScreen

_TAG_CHARACTERS = 40
_FRAME = 6
"""Cells that border, padding and scroll bar of a text take of its 92 % of the screen."""


def _prompt(chatting: Chatting) -> Prompt:
    prompt = chatting.screen.query_one(Prompt)
    chatting.screen.set_focus(prompt)
    return prompt


# ── help ─────────────────────────────────────────────────────────────────────────────────────


def _help(chatting: Chatting, _argument: str) -> None:
    app = chatting.screen.app

    async def read() -> str:
        return help_text(app.size.width * 92 // 100 - _FRAME)

    app.push_screen(TextScreen("Commands of the chat", read))


# ── attachments ──────────────────────────────────────────────────────────────────────────────


def _attach(chatting: Chatting, argument: str) -> None:
    if not argument:
        raise GputuiError("Which file?", "/attach PATH; tab completes it.")

    async def read() -> None:
        chatting.drafting.tell_notes(await chatting.drafting.attaching.read(argument))

    _prompt(chatting)
    chatting.drafting.in_turn(read())


async def _files(_chatting: Chatting, typed: str) -> Sequence[str]:
    return await patiently(lambda: completions(typed), clean_line(typed, 200))


def _detach(chatting: Chatting, argument: str) -> None:
    chatting.drafting.attaching.detach(argument)
    chatting.panel.redraw_prompt()


def _attached(chatting: Chatting) -> Iterator[Offer]:
    attached = chatting.drafting.attaching.attached
    if attached:
        yield "Detach all", ""
    for number, one in enumerate(attached, 1):
        yield f"Detach {one.words}", str(number)


# ── library and tags ─────────────────────────────────────────────────────────────────────────


def _insert(chatting: Chatting, argument: str) -> None:
    if not argument:
        raise GputuiError("Which prompt?", "/insert NAME; /library lists them.")

    async def insert() -> None:
        found, text = await chatting.drafting.shelf.read(argument)
        if found.tag:
            chatting.conversation.tag = found.tag
        _prompt(chatting).insert_prompt(text)

    chatting.drafting.in_turn(insert())


def _prompts(chatting: Chatting) -> Iterator[Offer]:
    for one in chatting.drafting.shelf.at_hand.prompts:
        yield f"Prompt: {one.name}", one.name


async def _prompt_names(chatting: Chatting, typed: str) -> Sequence[str]:
    library = await chatting.drafting.shelf.now()
    return [one.name for one in library.prompts if one.name.startswith(typed)]


def _library(chatting: Chatting, _argument: str) -> None:
    async def read() -> str:
        try:
            library = await chatting.drafting.shelf.now()
        except GputuiError as error:
            return str(error)
        names = [f"  {one.name}" for one in library.prompts]
        folder = shown(library.folder)
        return "\n".join(
            [
                f"Files of {folder}: NAME.md or NAME.txt; in a folder, its name is the prompt's tag.",
                "/insert NAME puts one into the prompt, at the first {{placeholder}} of it.",
                "",
                *(names or ["  (none yet)"]),
                *(["", *library.problems] if library.problems else []),
            ]
        )

    chatting.screen.app.push_screen(TextScreen("Prompt library", read))


def _tag(chatting: Chatting, argument: str) -> None:
    tag = clean_line(argument, _TAG_CHARACTERS).removeprefix("#").strip()
    chatting.conversation.tag = tag
    chatting.panel.redraw_prompt()


def _tags(chatting: Chatting) -> Iterator[Offer]:
    if chatting.conversation.tag:
        yield "Tag: none", ""
    for tag in chatting.drafting.shelf.at_hand.tags:
        yield f"Tag: {tag}", tag


# ── the user's editor ────────────────────────────────────────────────────────────────────────


def _whole(_chatting: Chatting) -> Iterator[Offer]:
    yield "Edit prompt", ""


def _edit(chatting: Chatting, argument: str) -> None:
    prompt = _prompt(chatting)

    async def change() -> None:
        before = argument or prompt.text
        if before:
            prompt.show(before)
        prompt.show(await edit(chatting.screen.app, before))

    chatting.drafting.in_turn(change())


PROMPT_COMMANDS = (
    ChatCommand("help", "Chat commands", "all that can be typed", _help),
    ChatCommand("attach", "Attach a file", "a picture or a text", _attach, "PATH", complete=_files),
    ChatCommand("detach", "Detach", "take off what is attached", _detach, "[N]", _attached),
    ChatCommand(
        "insert",
        "Insert a prompt",
        "of your library, at the cursor",
        _insert,
        "NAME",
        _prompts,
        _prompt_names,
    ),
    ChatCommand("library", "Prompt library", "its prompts, and where it is", _library),
    ChatCommand(
        "tag", "Tag", "the kind of question, by which votes count", _tag, "[NAME]", _tags, free=True
    ),
    ChatCommand("edit", "Edit prompt", "in your own editor", _edit, "[TEXT]", _whole),
)
"""What one does while writing a prompt."""
