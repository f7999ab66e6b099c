"""How an answer is laid out: in the theme's colours, nothing clipped, nothing that a terminal obeys."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment

from gputui.instances.log.lines import Search
from gputui.themes import load_themes, shipped_dir
from gputui.ui.chat.reading.laid_out import LaidOut, Marks
from gputui.ui.chat.reading.markdown import AnswerMarkdown
from gputui.ui.palette import Look, Palette

THEMES = load_themes([shipped_dir()])
CONSOLE = Console(file=io.StringIO(), width=80, color_system="truecolor", force_terminal=True)
TABLE = "| first heading | second |\n|---|---:|\n| one value of many words | 2 |\n| other | 33 |\n"
CODE = "```python\ndef f():\n    return '" + "long " * 12 + "'  # why\n```\n"
PIECES = st.sampled_from(
    [
        *"`*_[]()|#>-!\\~\n\t ",
        "</kbd>",
        "<b>",
        "```",
        "\n\n",
        "1. ",
        "|-|-|\n",
        "word",
        "日本",
        "![x](y)",
    ]
)


def laid_out(
    text: str, width: int, theme: str = "midnight", words: str = "", *, ascii_only: bool = False
) -> tuple[list[str], list[Segment], list[int]]:
    """The lines, all segments, and the lines of the words."""
    palette = Palette.of(THEMES.choose(theme))
    marks = Marks(Search(words) if words else None, 0, palette)
    drawn = LaidOut([AnswerMarkdown(text, palette, marks)], Look(palette, ascii_only), marks)
    options = CONSOLE.options.update(width=width, highlight=False)
    segments = list(CONSOLE.render(drawn, options))
    lines = "".join(segment.text for segment in segments).splitlines()
    return [line.rstrip() for line in lines], segments, list(drawn.rows(CONSOLE, width))


@given(st.lists(PIECES, max_size=40).map("".join), st.integers(1, 40))
def test_whatever_an_answer_is_it_is_laid_out_and_holds_no_link(text: str, width: int) -> None:
    _, segments, rows = laid_out(text, width, words="wor")
    assert not any(segment.style and segment.style.link for segment in segments)
    assert rows == sorted(rows)


@pytest.mark.parametrize("theme", sorted(THEMES.by_name))
def test_no_block_has_a_background_of_its_own(theme: str) -> None:
    _, segments, _ = laid_out(f"# T\n\n`code`\n\n{CODE}\n{TABLE}\n> quote", 60, theme)
    assert not any(segment.style and segment.style.bgcolor for segment in segments)
    styles = {segment.text: segment.style for segment in segments}
    assert styles["return"] != styles["f"], "code is highlighted"


def test_html_is_text_and_cannot_end_the_program() -> None:
    lines, _, _ = laid_out("a </kbd></kbd> b\n\n<div>\nkept\n</div>", 40)
    assert "a </kbd></kbd> b" in lines
    assert any("kept" in line for line in lines)


def test_a_table_that_fits_is_a_table_and_one_that_does_not_is_a_list() -> None:
    wide, _, _ = laid_out(TABLE, 60)
    assert ["first", "heading", "second"] in [line.split() for line in wide]
    narrow, _, _ = laid_out(TABLE, 16)
    text = " ".join(" ".join(narrow).split())
    assert "first heading: one value of many words second: 2" in text


@pytest.mark.parametrize("width", [12, 20, 47, 80])
def test_nothing_is_clipped_at_any_width(width: int) -> None:
    text = f"{'x' * 90}\n\n{CODE}\n{TABLE}\n- [name](http://h/{'p' * 90})"
    lines, _, _ = laid_out(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).count("x") == 90
    assert "".join(lines).count("p") >= 90
    assert sum(line.count("long") for line in lines) == 12
    assert "…" not in "".join(lines)


def test_code_that_is_too_long_goes_on_below_its_own_beginning() -> None:
    lines, _, _ = laid_out(CODE, 40)
    begun = next(at for at, line in enumerate(lines) if "return" in line)
    assert lines[begun].index("return") == len(lines[begun + 1]) - len(lines[begun + 1].lstrip())


def test_blank_lines_in_code_stay() -> None:
    lines, _, _ = laid_out("```py\nimport a\n\n\ndef f():\n    x\n    \n    y\n```", 40)
    assert [line.strip() for line in lines if line.strip() or line != lines[0]][:7] == [
        "import a",
        "",
        "",
        "def f():",
        "x",
        "",
        "y",
    ]


def test_ascii_terminals_get_ascii() -> None:
    lines, _, _ = laid_out(f"# H\n\n- a\n\n> b\n\n---\n\n{TABLE}", 40, ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert " * a" in lines
    assert "?" not in "".join(lines)


def test_found_words_are_marked_inside_markdown_and_their_lines_are_known() -> None:
    text = f"The **wo**rd.\n\n- item word\n\n```py\nword = 'Word'\n```\n\n{TABLE}"
    lines, segments, rows = laid_out(text, 60, words="word")
    assert [lines[row].strip() for row in rows[:2]] == ["The word.", "• item word"]
    assert len(rows) == 5, "also in code and in the table"
    assert rows[2] == rows[3]
    found = [
        segment for segment in segments if segment.style and segment.style._meta and segment.text
    ]
    assert "".join(segment.text for segment in found) == "wordwordwordWordword"
    assert all(one.style and one.style.bold and one.style.underline for one in found)
    assert "".join(one.text for one in found if one.style and one.style.reverse) == "word"
    assert not any(one.style and one.style.reverse for one in found[2:]), "the first one alone"
