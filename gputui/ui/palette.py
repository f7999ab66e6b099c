"""A theme as the screen uses it: Rich styles for the line API, a Textual theme for the stylesheet."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from gputui.themes import Theme


def rich_style(color: str, *, bold: bool = False) -> Style:
    """A foreground style of a theme's colour name."""
    if color == "ansi_default":
        return Style(bold=bold)
    return Style(color=Color.parse(color).rich_color, bold=bold)


@dataclass(frozen=True)
class Palette:
    """Styles by role. Labels are dim, values plain; alerts alone are warning and error."""

    theme: Theme
    value: Style
    strong: Style
    dim: Style
    track: Style
    success: Style
    warning: Style
    error: Style
    cursor: Style
    hues: tuple[Style, ...]

    @classmethod
    def of(cls, theme: Theme) -> Palette:
        """The styles of ``theme``."""
        colors = theme.colors
        return cls(
            theme=theme,
            value=rich_style(colors.foreground),
            strong=rich_style(colors.foreground, bold=True),
            dim=rich_style(colors.dim),
            track=rich_style(colors.border),
            success=rich_style(colors.success),
            warning=rich_style(colors.warning, bold=True),
            error=rich_style(colors.error, bold=True),
            cursor=Style(reverse=True)
            if theme.ansi
            else Style(bgcolor=Color.parse(colors.surface).rich_color),
            hues=tuple(rich_style(hue) for hue in theme.gpus),
        )

    def hue(self, gpu_index: int) -> Style:
        """The style of everything that happens on that GPU."""
        return self.hues[gpu_index % len(self.hues)]

    def faint(self, gpu_index: int) -> Style:
        """The same hue, half way to the background; the terminal's own colours are dimmed by it."""
        if self.theme.ansi:
            return self.hue(gpu_index) + Style(dim=True)
        hue, background = self.hue_color(gpu_index), self.theme.colors.background
        return Style(color=Color.parse(hue).blend(Color.parse(background), 0.55).rich_color)

    def hue_color(self, gpu_index: int) -> str:
        """The same hue as the stylesheet's colour name."""
        return self.theme.gpus[gpu_index % len(self.theme.gpus)]


_ASCII = str.maketrans("·–—−…×°‹›▸▾▴■□●✗▲↓↑←→─│└├┬┤•▌", "|---~xo<>>v^#.*x!vu<>-|++++*|")


def to_ascii(text: str) -> str:
    """``text`` in ASCII at the same width: what has no likeness becomes question marks."""
    if text.isascii():
        return text
    text = text.translate(_ASCII)
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


@dataclass
class Look:
    """How everything is drawn now; one object, shared by all panels, changed when the theme is."""

    palette: Palette
    ascii_only: bool = False

    def text(self, text: str) -> str:
        """``text`` as the terminal's encoding holds it, cell for cell."""
        return to_ascii(text) if self.ascii_only else text


def textual_theme(theme: Theme) -> TextualTheme:
    """``theme`` for Textual's own widgets (dialogs, the prompt, the command palette)."""
    colors = theme.colors
    like = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"] if theme.ansi else None
    return TextualTheme(
        name=theme.name,
        primary=colors.border,
        secondary=colors.dim,
        accent=colors.accent,
        foreground=colors.foreground,
        background=colors.background,
        surface=colors.surface,
        panel=colors.surface,
        success=colors.success,
        warning=colors.warning,
        error=colors.error,
        dark=theme.dark,
        ansi=theme.ansi,
        boost="ansi_default" if theme.ansi else None,
        variables={
            **(like.variables if like else {}),
            "gputui-dim": colors.dim,
            "gputui-border": colors.border,
            "scrollbar": colors.border,
            "scrollbar-hover": colors.dim,
            "scrollbar-active": colors.dim,
            "scrollbar-background": colors.surface,
            "scrollbar-background-hover": colors.surface,
            "scrollbar-background-active": colors.surface,
            "scrollbar-corner-color": colors.surface,
            "border": colors.accent,
            "border-blurred": colors.border,
        },
    )
