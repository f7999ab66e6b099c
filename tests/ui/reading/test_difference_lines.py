"""The differences as lines: aligned, within the width, told without colour too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gputui.chat.reading.differences import compare
from gputui.themes import load_themes, shipped_dir
from gputui.ui.chat.reading.difference_lines import Ink, Shown, below, beside, wrapped
from gputui.ui.palette import Palette

PALETTE = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
INKS = (Ink.of("-", PALETTE.hue(0), PALETTE), Ink.of("+", PALETTE.hue(1), PALETTE))
LEFT = "Same start.\n\n    indented line of code\nThe quick brown fox.\nOnly left.\nSame end."
RIGHT = "Same start.\n\n    indented line of code\nThe quick red fox.\nSame end."


def text(shown: Shown) -> str:
    return "".join(text for text, _ in shown.line.runs).rstrip()


def test_beside_each_other_equal_text_is_at_equal_height() -> None:
    lines = [text(one) for one in beside(compare(LEFT, RIGHT), 61, INKS, 0, PALETTE)]
    halves = [tuple(half.rstrip() for half in (line + " ").split(" │ ")) for line in lines]
    assert halves == [
        ("  Same start.", "  Same start."),
        ("", ""),
        ("      indented line of code", "      indented line of code"),
        ("▸-The quick brown fox.", " +The quick red fox."),
        (" -Only left.", ""),
        ("  Same end.", "  Same end."),
    ]


def test_in_one_column_what_both_have_is_there_once() -> None:
    shown = list(below(compare(LEFT, RIGHT), 40, INKS, 0, PALETTE))
    assert [text(one) for one in shown] == [
        "  Same start.",
        "",
        "      indented line of code",
        "▸-The quick brown fox.",
        " -Only left.",
        " +The quick red fox.",
        "  Same end.",
    ]
    assert [one.difference for one in shown] == [None, None, None, 0, 0, 0, None]


def test_the_words_that_differ_have_more_than_a_colour() -> None:
    lines = list(beside(compare(LEFT, RIGHT), 61, INKS, -1, PALETTE))
    styles = {run.strip(): style for line in lines for run, style in line.line.runs}
    assert styles["brown"].underline
    assert styles["brown"].bold
    assert not styles["Same end."].underline


@given(
    st.lists(st.sampled_from(["word", "日本語", "x" * 30, " ", "\n", "\t", "a b"])).map("".join),
    st.lists(st.sampled_from(["word", "日本語", "x" * 30, " ", "\n", "\t", "a b"])).map("".join),
    st.integers(20, 60),
)
def test_no_line_is_wider_than_the_screen(left: str, right: str, width: int) -> None:
    compared = compare(left, right)
    for draw in (beside, below):
        for shown in draw(compared, width, INKS, 0, PALETTE):
            assert shown.line.width <= width


@given(st.text(alphabet="ab 日", max_size=60), st.integers(2, 20))
def test_wrapping_loses_no_word(line: str, width: int) -> None:
    rows = wrapped([(line, PALETTE.value)], width)
    assert "".join(run for row in rows for run, _ in row).replace(" ", "") == line.replace(" ", "")
    assert all(sum(cell_len(run) for run, _ in row) <= width for row in rows)
