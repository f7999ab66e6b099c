"""The commands of the chat's settings."""

from __future__ import annotations

from collections.abc import Iterator

from gputui.chat.asking import choosing
from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.chat.arguments import side_first
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.command import ChatCommand, Offer
from gputui.ui.chat.settings.presets import ask_name, save_preset
from gputui.ui.chat.settings.screen import SettingsScreen
from gputui.ui.chat.settings.telling import tell


def _set(chatting: Chatting, argument: str) -> None:
    side, rest = side_first(chatting, argument)
    name, _, value = rest.replace("=", " ").partition(" ")
    if not name:
        raise GputuiError(
            "Which parameter, and what value?", "/set temperature 0.2, /set A top_k 20"
        )
    if not value.strip():
        value = ""
    tell(chatting, choosing.choose_value(chatting.conversation, side, name, value))


def _system(chatting: Chatting, argument: str) -> None:
    # In lower case an a is a word of the prompt rather than a side.
    side, text = side_first(chatting, argument, lower=False)
    if not text:
        raise GputuiError(
            "What is the system prompt?", "/system TEXT, /system none, /system A TEXT"
        )
    tell(chatting, choosing.choose_system(chatting.conversation, side, text))


def _order(chatting: Chatting, argument: str) -> None:
    words = choosing.choose_order(chatting.conversation, argument.strip().lower())
    tell(chatting, f"The sides answer {words}")


def _drop(chatting: Chatting, argument: str) -> None:
    side, count = side_first(chatting, argument)
    conversation = chatting.conversation

    def drop() -> None:
        tell(chatting, choosing.drop(conversation, side, count))

    async def drop_of_all() -> None:
        await conversation.whole()  # the oldest are those that are still being read
        drop()

    if conversation.is_whole:
        drop()
    else:
        chatting.work(drop_of_all(), "drop")


def _preset(chatting: Chatting, argument: str) -> None:
    word, _, name = argument.strip().partition(" ")
    if word.lower() == "save":
        if name.strip():
            save_preset(chatting, name.strip())
        else:
            ask_name(chatting)
        return
    side, name = side_first(chatting, argument)
    config, conversation = chatting.services.config, chatting.conversation
    if name.lower() == choosing.DEFAULT:
        tell(chatting, choosing.choose_configured(conversation, side, config.chat))
        return
    preset = choosing.preset_named(config.presets, clean_line(name, 80))
    tell(chatting, choosing.choose_preset(conversation, side, preset))


def _settings(chatting: Chatting, _argument: str) -> None:
    chatting.screen.app.push_screen(SettingsScreen(chatting))


def _orders(_chatting: Chatting) -> Iterator[Offer]:
    yield "Answer together", "together"
    yield "Answer one after the other", "one"


def _presets(chatting: Chatting) -> Iterator[Offer]:
    for preset in chatting.services.config.presets:
        yield f"Preset: {preset.name}", preset.name
    yield "Preset: as configured", choosing.DEFAULT
    yield "Save preset", "save"


SETTINGS_COMMANDS = (
    ChatCommand("settings", "Chat settings", "parameters, presets, order", _settings),
    ChatCommand("set", "Set parameter", "for both or one side", _set, "[A|B] NAME VALUE|default"),
    ChatCommand(
        "system", "System prompt", "for both or one side", _system, "[A|B] TEXT|none|default"
    ),
    ChatCommand("order", "Order", "at once, or fair on one GPU", _order, "together|one", _orders),
    ChatCommand("drop", "Leave out turns", "the oldest; 0 takes all back in", _drop, "[A|B] N"),
    ChatCommand(
        "preset", "Preset", "of the configuration", _preset, "[A|B] NAME | save NAME", _presets
    ),
)
