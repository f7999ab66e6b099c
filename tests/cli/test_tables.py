"""Tables that fit: cells, columns by rank, colour."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.cli.tables import GAP, Column, cell_width, fitted, grid, painted, wants_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def column(heading: str, rank: int, place: int, **more: object) -> Column[Sequence[str]]:
    return Column(heading, rank, lambda row: row[place], **more)  # type: ignore[arg-type]


ROWS = (("a", "bb", "ccc"), ("dddd", "e", "ffffff"))
COLUMNS = (
    column("first", 0, 0, left=True, least=3, shrinks_at=1),
    column("second", 2, 1),
    column("third", 1, 2, left=True),
)


def text(width: int | None) -> list[str]:
    found = grid(COLUMNS, ROWS, width)
    return [painted(line) for line in (found.heading, *found.lines)]


def test_columns_stand_below_each_other() -> None:
    assert text(None) == [
        "first  second  third",
        "a          bb  ccc",
        "dddd        e  ffffff",
    ]


def test_the_highest_rank_goes_first_then_what_may_shrink_shrinks() -> None:
    assert text(20)[0] == "first  third"
    assert text(12)[0] == "fir…  third"
    assert all(len(line) <= 12 for line in text(12))
    assert text(4)[0] == "fir…", "rank 0 stays, whatever the width"
    assert text(1)[0] == "fi…"


@given(st.text(max_size=20), st.integers(0, 20))
def test_a_cut_text_has_at_most_that_width(words: str, width: int) -> None:
    cut = fitted(words, width)
    assert cell_width(cut) <= width
    if cell_width(words) <= width:
        assert cut == words


def test_wide_and_combining_characters() -> None:
    assert cell_width("日本") == 4
    assert cell_width("e\u0301") == 1
    assert fitted("日本語", 5) == "日本…"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=12)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=4), st.integers(1, 60))
def test_no_column_but_the_first_is_ever_cut_and_all_fit(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    found = grid(COLUMNS, rows, width)
    kept = [c.heading for c in found.columns]
    assert kept[0] == "first"
    for line in (found.heading, *found.lines):
        assert cell_width(painted(line)) <= max(width, _widest(rows))
        assert cell_width(painted(line, width)) <= width


def _widest(rows: Sequence[Sequence[str]]) -> int:
    """What the column that is never left out takes."""
    return max(cell_width(text) for text in ("first", *(row[0] for row in rows)))


def test_colour_changes_no_word_and_no_blank_ends_a_line() -> None:
    line = [("a ", "error"), ("b", ""), (" ", "dim"), ("c ", "gpu1"), ("   ", "")]
    assert painted(line) == "a b c"
    assert painted(line, colour=True) == "\x1b[1;31ma \x1b[0mb\x1b[2m \x1b[0m\x1b[35mc\x1b[0m"
    assert painted([]) == ""
    assert GAP == "  "


@pytest.mark.parametrize(
    ("variables", "terminal", "colour"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_when_there_is_colour(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], terminal: bool, colour: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(Terminal() if terminal else io.StringIO()) is colour
