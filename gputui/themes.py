"""Theme files: colours by role, and one hue for each GPU. Read here, drawn in ``ui/``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gputui.config import config_dir
from gputui.errors import ConfigError
from gputui.text import nearest

DEFAULT_THEME = "midnight"

ANSI_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}|ansi_default|ansi_(bright_)?(" + "|".join(ANSI_NAMES) + r")")
_COLOR_HELP = 'A colour is "#rrggbb", "ansi_default", or "ansi_" and one of: ' + ", ".join(
    (*ANSI_NAMES, "bright_" + ANSI_NAMES[0], "…")
)


class Colors(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A theme's colours by role. ``accent`` is focus alone; warning and error are alerts alone."""

    background: str
    surface: str
    foreground: str
    dim: str
    border: str
    accent: str
    success: str
    warning: str
    error: str


class Theme(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One theme file. ``gpus`` are the hues of GPU 0, 1, …, used again from the start after the last."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    dark: bool = True
    colors: Colors
    gpus: Annotated[tuple[str, ...], Meta(min_length=2)]

    @property
    def ansi(self) -> bool:
        """True where the terminal's own 16 colours are used."""
        return self.colors.foreground.startswith("ansi_")


@dataclass(frozen=True, slots=True)
class Themes:
    """All themes by name, and what was wrong with the files that could not be read."""

    by_name: dict[str, Theme]
    problems: tuple[ConfigError, ...] = ()

    def choose(self, name: str) -> Theme:
        """The theme of that name. Raises ConfigError with the nearest name."""
        if name in self.by_name:
            return self.by_name[name]
        near = nearest(name, self.by_name)
        known = f"Themes: {', '.join(sorted(self.by_name))}."
        hint = f'Did you mean "{near}"? {known}' if near else known
        raise ConfigError(f'theme = "{name}": there is no such theme', hint)


def shipped_dir() -> Path:
    """The themes in the wheel, or in a source checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "theme_files"
    return inside if inside.is_dir() else package.parent / "themes"


def load_themes(folders: Iterable[Path] | None = None) -> Themes:
    """Every theme of the folders (shipped, then the user's own, which may replace by name)."""
    by_name: dict[str, Theme] = {}
    problems: list[ConfigError] = []
    for folder in folders or (shipped_dir(), config_dir() / "themes"):
        for file in sorted(folder.glob("*.toml")):
            try:
                theme = read_theme(file)
            except ConfigError as error:
                problems.append(error)
            else:
                by_name[theme.name] = theme
    return Themes(by_name, tuple(problems))


def read_theme(file: Path) -> Theme:
    """One theme file. Raises ConfigError naming file, key and value."""
    try:
        theme = msgspec.toml.decode(file.read_bytes(), type=Theme)
    except OSError as error:
        raise ConfigError(f"theme {file}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = str(error).replace("$.", "").replace("`", '"')
        raise ConfigError(
            f"theme {file}: {what}", "See the shipped themes for an example."
        ) from error
    named = [(field, getattr(theme.colors, field)) for field in Colors.__struct_fields__]
    for key, value in [*named, *((f"gpus[{n}]", hue) for n, hue in enumerate(theme.gpus))]:
        if not _COLOR.fullmatch(value):
            raise ConfigError(f'theme {file}: {key} = "{value}" is no colour', _COLOR_HELP)
    return theme
