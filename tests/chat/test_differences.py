"""Two answers compared: nothing is lost, what is equal is found, and no text takes for ever."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.reading.compared import Comparison
from gputui.chat.reading.differences import MOST_CHARACTERS, StoppedError, compare

WORDS = st.sampled_from(
    ["the", "a", "fox", "runs", "über", "日本", "x=1", "{", "}", "  ", "\t", "-"]
)
TEXTS = st.lists(WORDS | st.just("\n"), max_size=60).map(" ".join) | st.text(max_size=60)


def changed(comparison: Comparison) -> list[tuple[str | None, str | None]]:
    """The pieces that only one side has, row by row."""

    def only(parts: object) -> str | None:
        return None if parts is None else "".join(p.text for p in parts if not p.same)  # type: ignore[attr-defined]

    return [(only(row.left), only(row.right)) for row in comparison.rows if row.differs]


def texts(comparison: Comparison) -> tuple[str, str]:
    """Both texts, of the rows."""
    left, right = (
        "\n".join("".join(part.text for part in parts) for parts in side if parts is not None)
        for side in zip(*((row.left, row.right) for row in comparison.rows), strict=True)
    )
    return left, right


@given(TEXTS, TEXTS)
def test_both_texts_can_be_had_again(left: str, right: str) -> None:
    assert texts(compare(left, right)) == (left, right)


@given(TEXTS)
def test_equal_texts_have_no_difference(text: str) -> None:
    comparison = compare(text, text)
    assert not any(row.differs for row in comparison.rows)
    assert comparison.only_left == comparison.only_right == 0
    assert comparison.share in (None, 1.0)


@given(TEXTS, TEXTS)
def test_words_are_counted_alike_on_both_sides(left: str, right: str) -> None:
    there, back = compare(left, right), compare(right, left)
    assert there.only_left + there.both == back.only_right + back.both
    assert there.whole
    assert all(row.left is not None or row.right is not None for row in there.rows)


def test_the_words_that_differ_are_found_and_equal_lines_stay_beside_each_other() -> None:
    left = (
        "Intro, common to both.\n\nThe quick brown fox jumps.\nOnly here.\n\nThe end is the same."
    )
    right = "Intro, common to both.\n\nThe quick red fox jumps.\n\nThe end is the same."
    comparison = compare(left, right)
    assert changed(comparison) == [(" brown", " red"), ("Only here.", None)]
    assert (comparison.only_left, comparison.only_right) == (3, 1)
    last = comparison.rows[-1]
    assert last.left == last.right


def test_indentation_counts_and_other_white_space_does_not() -> None:
    assert changed(compare("x = 1", "x  =  1 ")) == []
    assert changed(compare("    x = 1", "x = 1")) != []


def test_a_common_word_amid_long_differences_is_no_likeness() -> None:
    left = "zebra apple plum the mango peach cherry lemon with a nice long equal ending"
    right = "seven eight six the nine ten eleven twelve with a nice long equal ending"
    assert changed(compare(left, right)) == [
        (
            "zebra apple plum the mango peach cherry lemon",
            "seven eight six the nine ten eleven twelve",
        )
    ]


def prose(line: int) -> list[str]:
    """4500 words in lines of so many."""
    known = ["the", "of", "a", "and"] * 20 + [f"word{number}" for number in range(2000)]
    draw = random.Random(7)  # noqa: S311  no secret
    text = [draw.choice(known) for _ in range(4500)]
    return [" ".join(text[at : at + line]) for at in range(0, len(text), line)]


@pytest.mark.parametrize("line", [1, 7, 50, 4500])
def test_long_answers_are_compared_and_nothing_is_lost(line: int) -> None:
    lines = prose(line)
    left = "\n".join(lines)
    other = [one.replace("word7", "other") for one in lines]
    right = "\n".join(["before", *other, "after"])
    comparison = compare(left, right)
    assert texts(comparison) == (left, right)
    assert comparison.share is not None
    assert len(left) + len(right) < MOST_CHARACTERS
    if line > 1:
        assert comparison.share > 0.8
    assert comparison.whole == (line == 50)


LINES = st.lists(st.sampled_from(["", " ", "a", "  a", "a b", "c", "d"]), max_size=12).map(
    "\n".join
)


@given(LINES, LINES, st.integers(0, 3))
def test_of_very_long_texts_whole_lines_are_compared(left: str, right: str, unlike: int) -> None:
    long = "\n".join(f"line {number} of many" for number in range(5000))
    other = long.replace("line 17 ", "another ", unlike)
    comparison = compare(f"{left}\n{long}\n{right}", f"{right}\n{other}\n{left}")
    assert not comparison.whole
    assert texts(comparison) == (f"{left}\n{long}\n{right}", f"{right}\n{other}\n{left}")
    assert comparison.share is not None
    assert comparison.share > 0.9
    words = [len(text.split()) for text in texts(comparison)]
    assert words == [
        comparison.both + comparison.only_left,
        comparison.both + comparison.only_right,
    ]
    assert all(len(row.left or ()) <= 1 for row in comparison.rows)


@pytest.mark.parametrize("text", ["a b c", "long\n" * 50_000])
def test_a_comparison_that_nobody_wants_any_more_ends(text: str) -> None:
    with pytest.raises(StoppedError):
        compare(text, text + "d", lambda: True)
