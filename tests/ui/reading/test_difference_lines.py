"""The differences as lines: aligned, within the width, told without colour too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gputui.chat.reading.differences import compare
from gputui.themes import load_themes, shipped_dir
from gputui.ui.cells import Line
from gputui.ui.chat.reading.difference_lines import Below, Beside, Ink, Layout, wrapped
from gputui.ui.palette import Palette

PALETTE = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
INKS = (Ink.of("-", PALETTE.hue(0), PALETTE), Ink.of("+", PALETTE.hue(1), PALETTE))
LEFT = "Same start.\n\n    indented line of code\nThe quick brown fox.\nOnly left.\nSame end."
RIGHT = "Same start.\n\n    indented line of code\nThe quick red fox.\nSame end."


def laid_out(kind: type[Layout], left: str, right: str, width: int) -> Layout:
    return kind(compare(left, right), width, INKS, PALETTE)


def all_lines(layout: Layout, here: int = 0) -> list[Line]:
    return layout.window((0, 0), 10_000, here)


def text(line: Line) -> str:
    return "".join(text for text, _ in line.runs).rstrip()


def test_beside_each_other_equal_text_is_at_equal_height() -> None:
    lines = [text(one) for one in all_lines(laid_out(Beside, LEFT, RIGHT, 61))]
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
    layout = laid_out(Below, LEFT, RIGHT, 40)
    assert [text(one) for one in all_lines(layout)] == [
        "  Same start.",
        "",
        "      indented line of code",
        "▸-The quick brown fox.",
        " -Only left.",
        " +The quick red fox.",
        "  Same end.",
    ]
    assert [layout.difference(piece) for piece in range(layout.size)] == [
        None,
        None,
        None,
        0,
        0,
        0,
        None,
    ]


def test_the_words_that_differ_have_more_than_a_colour() -> None:
    lines = all_lines(laid_out(Beside, LEFT, RIGHT, 61), -1)
    styles = {run.strip(): style for line in lines for run, style in line.runs}
    assert styles["brown"].underline
    assert styles["brown"].bold
    assert not styles["Same end."].underline


@given(
    st.lists(st.sampled_from(["word", "日本語", "x" * 30, " ", "\n", "\t", "a b"])).map("".join),
    st.lists(st.sampled_from(["word", "日本語", "x" * 30, " ", "\n", "\t", "a b"])).map("".join),
    st.integers(20, 60),
)
def test_no_line_is_wider_than_the_screen(left: str, right: str, width: int) -> None:
    for kind in (Beside, Below):
        layout = laid_out(kind, left, right, width)
        lines = all_lines(layout)
        assert all(line.width <= width for line in lines)
        place, back = (0, 0), layout.moved((layout.size, 0), -len(lines))
        assert back == (0, 0), "as far back from the end as it is long"
        assert layout.moved(back, -5) == layout.moved((layout.size, 0), -len(lines) - 5) == back
        for at in range(len(lines)):
            assert layout.window(place, 3, 0) == lines[at : at + 3]
            place = layout.moved(place, 1)
        assert layout.window(place, 1, 0) == []


def test_of_a_huge_comparison_only_what_is_seen_is_laid_out() -> None:
    left = "\n".join(f"line {number}" for number in range(20_000))
    for kind in (Beside, Below):
        layout = laid_out(kind, left, left.replace("9", "x"), 60)
        layout.window(layout.moved((layout.size, 0), -30), 30, 0)
        layout.window((layout.firsts[100], 0), 30, 100)
        assert len(layout._known) < 200


@given(st.text(alphabet="ab 日", max_size=60), st.integers(2, 20))
def test_wrapping_loses_no_word(line: str, width: int) -> None:
    rows = wrapped([(line, PALETTE.value)], width)
    assert "".join(run for row in rows for run, _ in row).replace(" ", "") == line.replace(" ", "")
    assert all(sum(cell_len(run) for run, _ in row) <= width for row in rows)
