from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.text import clean, clean_line, nearest, number, seconds, size, uptime

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
NASTY = st.text(
    st.sampled_from(
        "\x1b\x9b\x9d\x90[]()0;52c?m\x07\\\r\n\t\u202e\u2066\u200b\ufeff\ud800ab é👩\u200d🚀"
    )
)


@given(st.one_of(st.text(), NASTY))
def test_nothing_that_commands_a_terminal_survives(text: str) -> None:
    for character in clean(text):
        assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs"), character
        assert unicodedata.bidirectional(character) not in BIDI, character
    clean(text).encode("utf-8")  # lone surrogates would raise here, and in the terminal's writer


@given(st.one_of(st.text(), NASTY))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Cn"])))
def test_ordinary_text_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]52;c;ZXZpbA==\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x9b2Jb", "ab"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("unterminated \x1b]0;title\nnext", "unterminated \nnext"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ],
)
def test_known_attacks(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@given(st.text(), st.integers(2, 80))
def test_a_clean_line_is_one_line_of_bounded_length(text: str, limit: int) -> None:
    line = clean_line(text, limit)
    assert "\n" not in line
    assert "\t" not in line
    assert len(line) <= limit


def test_a_huge_line_is_cut_before_it_is_worked_on() -> None:
    assert clean_line("x" * 10_000_000, 20) == "x" * 19 + "…"


def test_human_numbers() -> None:
    assert [size(v) for v in (None, 512, 92.1 * 2**20, 61.2 * 2**30)] == [
        "–",
        "512 B",
        "92.1 MiB",
        "61.2 GiB",
    ]
    assert [seconds(v) for v in (None, 0.045, 0.9, 12.4)] == ["–", "45 ms", "0.9 s", "12 s"]
    assert [uptime(v) for v in (None, 7, 251, 7871, 187_860)] == [
        "–",
        "00:07",
        "04:11",
        "2:11:11",
        "2 d 04:11",
    ]
    assert [number(None), number(3.14159, 2)] == ["–", "3.14"]


def test_nearest() -> None:
    assert nearest("intervall", ["interval", "theme"]) == "interval"
    assert nearest("zzz", ["interval", "theme"]) is None
