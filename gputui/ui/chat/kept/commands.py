"""Commands for what was said: kept conversations, and answers taken out of the chat."""

from __future__ import annotations

from collections.abc import Iterator

from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer
from gputui.ui.chat.kept import keeping, taking


def _open(chatting: Chatting, argument: str) -> None:
    from gputui.ui.chat.kept.screen import ConversationsScreen  # not needed for the first picture

    dashboard = chatting.screen

    def show_keys() -> None:
        dashboard.run_worker(dashboard.run_action("keys"))

    dashboard.app.push_screen(ConversationsScreen(chatting, show_keys, argument))


def _copies(chatting: Chatting) -> Iterator[Offer]:
    for side in chatting.conversation.sides:
        yield f"Copy answer {side}", side
    for side in chatting.conversation.sides:
        yield f"Copy last code block of {side}", f"{side} code"


def _saves(chatting: Chatting) -> Iterator[Offer]:
    yield "Save answer to a file", ""
    for side in chatting.conversation.sides:
        yield f"Save answer {side} to a file", side
    yield "Save conversation to a file", "all"


def _plains(chatting: Chatting) -> Iterator[Offer]:
    for side in chatting.conversation.sides:
        yield f"Show answer {side} plain", side


def _exports(_chatting: Chatting) -> Iterator[Offer]:
    yield "Export conversation", ""


def _copy(chatting: Chatting, argument: str) -> None:
    chatting.copying.copy(chatting, argument)


KEPT_COMMANDS = (
    ChatCommand("open", "Conversations", "all that are kept: search, open, delete", _open),
    ChatCommand("search", "Search conversations", "in all that was said", _open, "TEXT"),
    ChatCommand("rename", "Rename conversation", "give it a title", keeping.rename, "TITLE"),
    ChatCommand("delete", "Delete conversation", "the one on the screen", keeping.delete),
    ChatCommand(
        "export",
        "Export conversation",
        "with numbers and settings",
        keeping.export,
        "[md|json|jsonl] [FILE]",
        _exports,
    ),
    ChatCommand("copy", "Copy answer", "to the clipboard", _copy, "[A|B] [code]", _copies),
    ChatCommand(
        "save",
        "Save answer",
        "to a file; all: the conversation",
        taking.save,
        "[A|B|all] [FILE]",
        _saves,
    ),
    ChatCommand(
        "plain",
        "Show answer plain",
        "for the terminal's selection",
        taking.plain,
        "[A|B]",
        _plains,
    ),
)
