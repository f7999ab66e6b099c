from __future__ import annotations

import re
from pathlib import Path

import pytest

from gputui.errors import ConfigError
from gputui.themes import DEFAULT_THEME, load_themes, read_theme, shipped_dir

SHIPPED = sorted(shipped_dir().glob("*.toml"))


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_each_shipped_theme_loads_under_its_file_name(file: Path) -> None:
    theme = read_theme(file)
    assert theme.name == file.stem
    assert len(set(theme.gpus)) >= 8


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_each_shipped_theme_can_be_read(file: Path) -> None:
    theme = read_theme(file)
    if theme.ansi:
        pytest.skip("the terminal chooses these colours")
    colors = theme.colors
    least = 7.0 if theme.name == "contrast" else 4.5
    for color in (
        colors.foreground,
        colors.dim,
        colors.warning,
        colors.error,
        colors.success,
        *theme.gpus,
    ):
        assert contrast(color, colors.background) >= least, color


def test_there_is_a_dark_a_light_a_high_contrast_and_a_16_colour_theme() -> None:
    themes = load_themes([shipped_dir()]).by_name
    assert DEFAULT_THEME in themes
    assert {theme.dark for theme in themes.values()} == {True, False}
    assert any(theme.ansi for theme in themes.values())
    assert "contrast" in themes


def test_a_users_theme_is_found_and_may_replace_a_shipped_one(tmp_path: Path) -> None:
    mine = SHIPPED[0].read_text().replace("#", "#", 1)
    (tmp_path / "mine.toml").write_text(re.sub(r'name = ".*"', 'name = "mine"', mine))
    themes = load_themes([shipped_dir(), tmp_path])
    assert "mine" in themes.by_name
    assert not themes.problems


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "missing required field"),
        ("name = [", "Invalid"),
        (
            (shipped_dir() / "midnight.toml").read_text().replace("#0f1218", "blurple"),
            'background = "blurple"',
        ),
        ((shipped_dir() / "midnight.toml").read_text().replace("accent", "acent"), "acent"),
        ((shipped_dir() / "midnight.toml").read_text().replace("#6cb6ff", "#6cb6f"), "gpus[0]"),
    ],
)
def test_a_broken_theme_is_a_message_and_the_others_load(
    tmp_path: Path, text: str, part: str
) -> None:
    (tmp_path / "broken.toml").write_text(text)
    themes = load_themes([shipped_dir(), tmp_path])
    assert DEFAULT_THEME in themes.by_name
    (problem,) = themes.problems
    assert "broken.toml" in problem.message
    assert part in problem.message


def test_an_unknown_theme_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_themes([shipped_dir()]).choose("midnigth")
    assert '"midnight"' in caught.value.hint
