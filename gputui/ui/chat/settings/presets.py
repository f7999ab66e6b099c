"""A preset written into the user's configuration."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from gputui.chat.asking import choosing
from gputui.config import default_path, edit, user_file
from gputui.config.edit_presets import save_preset as with_preset
from gputui.errors import ConfigError, GputuiError
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.settings.dialog import ValueDialog


def ask_name(chatting: Chatting) -> None:
    """Ask for the name, and write it."""
    dialog = ValueDialog(
        "Save the settings of both as a preset",
        "letters, digits, dot, dash, underscore; one of that name is replaced",
        "",
        partial(save_preset, chatting),
        chatting.look,
    )
    chatting.screen.app.push_screen(dialog)


def save_preset(chatting: Chatting, name: str) -> None:
    """Write the settings of both under that name. Raises GputuiError where that cannot be."""
    if chatting.services.readonly:
        raise GputuiError(f"Preset {name} was not saved", "gputui runs with --readonly.")
    values = choosing.preset_values(chatting.conversation, name)
    chatting.carry_out(_write(chatting, values))


async def _write(chatting: Chatting, values: dict[str, Any]) -> None:
    file = chatting.services.config_file or default_path()

    def write() -> None:
        before = user_file.read(file)
        try:
            text = edit.HEADER if before is None else before.decode()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file}: is not UTF-8", "Save it as UTF-8.") from error
        after = with_preset(text, values)
        try:
            edit.check(after, file)
        except ConfigError as error:  # in a toast: the file itself is as it was
            raise GputuiError(error.message, error.hint) from error
        user_file.write(file, before, after.encode())

    await asyncio.to_thread(write)
    words = f"Preset {values['name']} is in {file}"
    chatting.screen.notify(chatting.look.text(words), title="Saved", markup=False, timeout=6)
