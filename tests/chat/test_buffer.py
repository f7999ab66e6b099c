"""An answer's text, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.answering.buffer import TextBuffer
from gputui.text import clean
from tests.support.hostile import HOSTILE, IDS, assert_clean

_NASTY = st.text(
    st.sampled_from("\x1b[]P\\mH0;1?\x07\x9b\x9c\x9d\x90\n\r\t ab😀\u202e\u200d\u2028\x00é"),
    max_size=60,
)


def buffered(pieces: list[str]) -> str:
    buffer = TextBuffer()
    for piece in pieces:
        buffer.append(piece)
        assert_clean(buffer.text)
    buffer.close()
    return buffer.text


@given(st.lists(_NASTY, max_size=8))
def test_any_cut_gives_what_cleaning_the_whole_gives(pieces: list[str]) -> None:
    assert buffered(pieces) == clean("".join(pieces))


@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_text_cut_anywhere_is_clean(pieces: list[str]) -> None:
    assert buffered(pieces) == clean("".join(pieces))


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
def test_hostile_text_in_small_pieces_is_clean(name: str, text: str) -> None:
    size = max(1, len(text) // 100)
    assert_clean(buffered([text[i : i + size] for i in range(0, len(text), size)]))


def test_a_cut_escape_sequence_leaves_nothing_printable() -> None:
    assert buffered(["red: \x1b", "[3", "1", "mred", "\x1b[", "0m."]) == "red: red."
    assert buffered(["x\x1b]52;c;AA", "AA", "\x1b", "\\y"]) == "xy"


def test_what_waits_is_not_shown_before_its_rest_is_there() -> None:
    buffer = TextBuffer()
    buffer.append("ab\x1b[3")
    assert buffer.text == "ab"


def test_a_sequence_without_end_does_not_hold_the_answer_back_for_ever() -> None:
    buffer = TextBuffer()
    buffer.append("\x1b]0;")
    for _ in range(100):
        buffer.append("x" * 100)
    assert buffer.text.endswith("x" * 1000)


def test_two_halves_of_a_character_in_two_pieces_are_joined() -> None:
    assert buffered(["a\ud83d", "\ude00b"]) == "a😀b"
    assert buffered(["a\ud83d"]) == "a�"


def test_text_grows_only_at_its_end() -> None:
    buffer, before = TextBuffer(), ""
    for piece in ("a", "\r", "\nb", "\x1b", "[1mc", "d"):
        buffer.append(piece)
        assert buffer.text.startswith(before)
        before = buffer.text
    assert before == "a\nbcd"
