"""What the user chooses for a conversation: settings, presets, the order, turns to leave out.

``side`` None is both. Each says in words what holds from now on. A prompt in work is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from gputui.chat.asking.context import turn_tokens
from gputui.chat.asking.parameters import parameter_of, shown, value_of, with_value
from gputui.chat.asking.settings import at_once_of, followed, settings_of
from gputui.chat.conversation import Conversation
from gputui.chat.model import Settings
from gputui.config import ChatConfig, PresetConfig
from gputui.config.presets import is_taken
from gputui.errors import GputuiError
from gputui.text import clean_line, nearest

DEFAULT, NONE = "default", "none"
"""What a system prompt may be instead of a text: as for both (or none), and none."""


def settings_for(conversation: Conversation, side: str | None) -> Settings:
    """The settings of both, or a side's own."""
    return conversation.settings if side is None else conversation.sides[side].settings


def choose_settings(conversation: Conversation, side: str | None, settings: Settings) -> None:
    """Have these from the next prompt on. Raises GputuiError where a side's own would tell it."""
    check_alike(conversation, side)
    if side is None:
        conversation.settings = settings
    else:
        conversation.sides[side].settings = settings
    for one in conversation.sides.values():
        one.touch()


def check_alike(conversation: Conversation, side: str | None) -> None:
    """Raises GputuiError in blind mode for what is of one side alone: both are asked alike there."""
    if side is not None and conversation.blind.on:
        raise GputuiError(
            "In blind mode both sides are asked alike",
            "Choose it for both: name no side. /blind off ends it.",
        )


def choose_value(conversation: Conversation, side: str | None, name: str, text: str) -> str:
    """Set a parameter. Raises GputuiError for a name or a value that there is not."""
    parameter = parameter_of(name)
    value = value_of(parameter, text)
    settings = settings_for(conversation, side)
    sampling = with_value(settings.sampling, parameter, value)
    choose_settings(conversation, side, replace(settings, sampling=sampling))
    return f"{_who(side)}: {parameter.name} {_value_words(side, shown(value))}"


def choose_system(conversation: Conversation, side: str | None, text: str) -> str:
    """Set the system prompt: a text, "none" or "default"."""
    word = text.strip().lower()
    system: str | None = text
    if word == DEFAULT:
        system = None
    elif word == NONE:
        system = None if side is None else ""
    settings = replace(settings_for(conversation, side), system=system)
    choose_settings(conversation, side, settings)
    if word == DEFAULT and side is not None:
        return f"{_who(side)}: system prompt as for both"
    return f"{_who(side)}: " + (
        f"system prompt: {clean_line(system, 60)}" if system else "no system prompt"
    )


def choose_preset(conversation: Conversation, side: str | None, preset: PresetConfig) -> str:
    """Ask as a preset says, and as nothing else did: for both, the sides' own settings go, too."""
    if side is None:
        for one in conversation.sides.values():
            one.settings = Settings()
        if preset.order is not None:
            conversation.at_once = at_once_of(preset.order)
    choose_settings(conversation, side, settings_of(preset))
    return f"{_who(side)}: preset {preset.name}"


def choose_configured(conversation: Conversation, side: str | None, config: ChatConfig) -> str:
    """As the file's ``[chat]`` says; a side: as both."""
    if side is not None:
        choose_settings(conversation, side, Settings())
        return f"{_who(side)}: as for both"
    for one in conversation.sides.values():
        one.settings = Settings()
    conversation.at_once = at_once_of(config.order)
    choose_settings(conversation, None, settings_of(config))
    return "both: as configured"


def follow(conversation: Conversation, before: ChatConfig, now: ChatConfig) -> None:
    """The file is another: what it changed holds from now on, what the user chose here stays."""
    if before == now:
        return
    if before.order != now.order:
        conversation.at_once = at_once_of(now.order)
    choose_settings(conversation, None, followed(conversation.settings, before, now))


def choose_order(conversation: Conversation, word: str) -> str:
    """ "together" or "one". Raises GputuiError for another."""
    if word not in ("together", "one"):
        raise GputuiError(
            "The sides answer together or one after the other", "/order together, /order one"
        )
    conversation.at_once = 1 if word == "one" else None
    return order_words(conversation)


def order_words(conversation: Conversation) -> str:
    """Together, or one after the other."""
    limit = conversation.at_once
    if limit is None:
        return "together"
    return "one after the other" if limit == 1 else f"{limit} at a time"


def drop(conversation: Conversation, side: str | None, text: str) -> str:
    """Leave out so many of the oldest turns from the next prompt on. Raises GputuiError."""
    if not text.isdecimal() or len(text) > 6:
        raise GputuiError(
            "How many of the oldest turns are to be left out?", "/drop 3, or /drop 0 for none."
        )
    check_alike(conversation, side)
    names = list(conversation.sides) if side is None else [side]
    tokens = 0
    for name in names:
        one = conversation.sides[name]
        one.drop(int(text))
        tokens = max(tokens, sum(turn_tokens(one.finished[: one.dropped], name)))
    count = max(conversation.sides[name].dropped for name in names)
    if count == 0:
        return f"{_who(side)}: all turns are sent"
    which = "the oldest turn is" if count == 1 else f"the {count} oldest turns are"
    return f"{_who(side)}: {which} not sent any more (about {tokens} tokens)"


def preset_named(presets: Sequence[PresetConfig], name: str) -> PresetConfig:
    """The preset of that name. Raises GputuiError."""
    for preset in presets:
        if preset.name.lower() == name.lower():
            return preset
    near = nearest(name, [preset.name for preset in presets])
    known = ", ".join(preset.name for preset in presets)
    hint = f"Did you mean {near}?" if near else f"There are {known}." if known else ""
    raise GputuiError(
        f"There is no preset {clean_line(name, 60)}",
        hint or "/preset save NAME writes the settings of now into the configuration.",
    )


def preset_values(conversation: Conversation, name: str) -> dict[str, Any]:
    """The settings of both as a table of the file. Raises GputuiError for a name that it cannot have."""
    if is_taken(name):
        raise GputuiError(
            f"A preset cannot be named {clean_line(name, 60)}", "Choose a longer name."
        )
    settings = conversation.settings
    order = "one" if conversation.at_once == 1 else None
    return {"name": name, "system": settings.system, **asdict(settings.sampling), "order": order}


def name_of(settings: Settings, presets: Sequence[PresetConfig]) -> str:
    """The preset that says just this, "" for none."""
    return next((one.name for one in presets if settings_of(one) == settings), "")


def _who(side: str | None) -> str:
    return "both" if side is None else side


def _value_words(side: str | None, value: str) -> str:
    return value or ("as by default" if side is None else "as for both")
