"""The names of ``[[presets]]``: each once, and none that a command takes for something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gputui.config.tables import PresetConfig
from gputui.errors import ConfigError

TAKEN = ("save", "default")
"""Words of the chat's ``/preset``, beside the letters of the sides."""


def check_presets(presets: Sequence[PresetConfig], file: Path) -> None:
    """Raise ConfigError where a preset could not be named, or two answer to one name."""
    seen: set[str] = set()
    for preset in presets:
        where = f'{file}: [[presets]] {preset.name}: name = "{preset.name}"'
        if preset.name.lower() in seen:
            raise ConfigError(
                f"{where} stands there twice", "Every preset needs a name of its own."
            )
        if is_taken(preset.name):
            raise ConfigError(f"{where} is a word of the chat's /preset", "Choose a longer one.")
        seen.add(preset.name.lower())


def is_taken(name: str) -> bool:
    """Whether ``/preset`` takes this word for something else than a preset."""
    return name.lower() in TAKEN or (len(name) == 1 and name.isalpha())
