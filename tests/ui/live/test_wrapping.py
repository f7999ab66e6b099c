"""Text that grows is wrapped as if all of it had been there at once."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gputui.ui.chat.live.wrapping import Wrapped, divided

CHARACTERS = st.one_of(
    st.sampled_from(list("abc   \n\t-日本語한é́❤☎\ufe0f\u200d👩💻🇩🇪\u3000\xa0")),
    st.characters(exclude_categories=["Cs", "Cc"]),
)
TEXTS = st.text(CHARACTERS, max_size=80)
WORDS = st.lists(st.sampled_from(["a", "word", "日本", "longer", "👩‍💻", "x" * 30]), max_size=40)


def whole(text: str, width: int) -> list[str]:
    """Wrapped at once, paragraph by paragraph."""
    wrapped = Wrapped(width)
    wrapped.append(text)
    return wrapped.lines


@given(text=TEXTS, width=st.integers(2, 24), cuts=st.lists(st.integers(0, 80), max_size=20))
@example(text="abcd  e", width=4, cuts=[1, 2, 3, 4, 5, 6])
@example(text="abcdefgh  ij", width=4, cuts=list(range(12)))
@example(text="ab❤\ufe0fcd", width=3, cuts=[3])
def test_any_pieces_give_the_lines_of_the_whole(text: str, width: int, cuts: list[int]) -> None:
    wrapped, at = Wrapped(width), 0
    for cut in [*sorted(min(cut, len(text)) for cut in cuts), len(text)]:
        before = list(wrapped.lines)
        first = wrapped.append(text[at:cut])
        assert wrapped.lines[:first] == before[:first], "what is said to be as it was"
        at = cut
    assert wrapped.lines == whole(text, width)


@given(text=TEXTS, width=st.integers(2, 24))
def test_no_line_is_wider_than_the_pane_and_no_sign_is_lost(text: str, width: int) -> None:
    lines = whole(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(words=WORDS, width=st.integers(30, 40))
def test_words_break_as_rich_breaks_them(words: list[str], width: int) -> None:
    """So that the finished answer, which Rich lays out, has the lines of the one that was written."""
    text = " ".join(words)
    lines = Text(text, overflow="fold").wrap(Console(width=width), width)
    assert whole(text, width) == [line.plain.rstrip() for line in lines] or not text


@pytest.mark.parametrize("text", ["a\tb", "\tx", "ab\t\tc", "日\tb", "one\ttwo\tthree"])
def test_tabs_go_to_the_next_stop_of_the_paragraph(text: str) -> None:
    expanded = Text(text)
    expanded.expand_tabs(8)
    assert whole(text, 60) == [expanded.plain.rstrip()]


def test_a_token_costs_the_last_line_and_no_more() -> None:
    chance, width = random.Random(3), 80  # noqa: S311
    tokens = ["word " if chance.random() < 0.98 else "end.\n\n" for _ in range(5000)]
    wrapped = Wrapped(width)
    for token in tokens:
        wrapped.append(token)
    assert wrapped.measured <= len(tokens) * (width + 5)
    assert len(wrapped.lines) > 200


def test_a_word_without_end_costs_no_more_than_others() -> None:
    wrapped = Wrapped(40)
    for _ in range(2000):
        wrapped.append("abcd")
    assert wrapped.lines == ["abcdabcd" * 5] * 200
    assert wrapped.measured <= 2000 * 44


def test_a_paragraph_is_one_piece_where_it_has_room() -> None:
    assert divided("", 4) == [""]
    assert divided("ab  ", 2) == ["ab  "]
