"""The picture against an independent terminal: the same screen with it and without it."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import example, given

from tests.ui.terminal.pair import Pair

COLUMNS, ROWS = 14, 5
CHARACTERS = st.sampled_from(
    [*"ab  ─█", "漢", "字", "é", "e\u0301", "🙂", "❤\ufe0f", "👩\u200d👩", "🇨🇭"]
)
TEXTS = st.lists(CHARACTERS, min_size=1, max_size=9).map("".join)
MARKS = st.sampled_from(["\u0301", "\ufe0f", "\u200d🙂"])
COLOURS = st.sampled_from(
    ["31", "39", "97", "42", "49", "103", "38;5;9", "48;5;200"]
) | st.sampled_from(["38;2;1;2;3", "48;2;0;0;9", "38;2;200;100;0"])
ATTRIBUTES = st.sampled_from([*map(str, [*range(10), *range(21, 26), 27, 28, 29, 51, 53, 54, 55])])
STYLES = st.lists(COLOURS | ATTRIBUTES, max_size=4).map(lambda codes: f"\x1b[{';'.join(codes)}m")
LINKS = st.sampled_from(["\x1b]8;id=7;http://a\x1b\\", "\x1b]8;;http://b\x07", "\x1b]8;;\x1b\\"])
PLACES = st.tuples(st.integers(1, ROWS + 1), st.integers(1, COLUMNS + 1)).map(
    lambda place: f"\x1b[{place[0]};{place[1]}H"
)
MOVES = st.tuples(st.integers(0, 6), st.sampled_from("ABCDGd")).map(
    lambda move: f"\x1b[{move[0] or ''}{move[1]}"
) | st.sampled_from(["\r", "\b", "\x1b[H", "\x1b[;5H", "\x1b[3H"])
ERASURES = st.sampled_from(["J", "1J", "2J", "K", "1K", "2K", "X", "4X"]).map(
    lambda code: f"\x1b[m\x1b]8;;\x1b\\\x1b[{code}"
)
OTHERS = st.sampled_from(
    ["\x1b[?25h", "\x1b[?1000;1006h", "\x1b]0;title\x07", "\x1b]52;c;YQ==\x07", "\x07", "\x1b[>1u",
     "\x1b[<u", "\x1b[?2026$p", "\x1b[2 q", "\x1b[?2026h", "\x1b[?2026l"]
)  # fmt: skip
UNKNOWN = st.sampled_from(
    ["\x1b[L", "\x1b[2P", "\x1b[@", "\x1b[M", "\x1b[3;4r\x1b[r", "\x1b[44m\x1b[K", "\t", "\x1bD",
     "\x1b[?1049h", "\x1b[?1049l", "\x1bPsixel\x1b\\", "\x1bM", "\x1b(B"]
)  # fmt: skip


def begun() -> Pair:
    """In the alternate screen, blank, lines not wrapped, as Textual begins."""
    pair = Pair(COLUMNS, ROWS)
    pair.write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J")
    return pair


KNOWN = st.one_of(TEXTS, TEXTS, STYLES, STYLES, PLACES, PLACES, MOVES, ERASURES, OTHERS, LINKS)
COMBINING = st.sampled_from(["\u0301", "\ufe0f"])  # not a joiner: nothing is before it in its text
RUNS = st.tuples(TEXTS, STYLES, COMBINING, TEXTS, st.just("\x1b[0m")).map("".join)
MARKED = st.tuples(TEXTS, MARKS).map("".join)
PIECES = st.lists(KNOWN | MARKED | RUNS, max_size=12).map("".join)
STEPS = st.tuples(PIECES, st.integers(0, 5), st.none() | st.integers(1, 60))


@given(st.lists(STEPS, max_size=8))
@example([("\x1b[1;1H\x1b[31me\x1b[0m\x1b[44m\u0301xyz\x1b[0m", 0, None)])
def test_the_screen_is_the_same(steps: list[tuple[str, int, int | None]]) -> None:
    pair = begun()
    for data, cut, most in steps:
        pair.write(data, cut)
        pair.settle(most)


@given(st.lists(STEPS, max_size=8))
def test_what_is_taken_late_or_in_part_is_made_up_for(
    steps: list[tuple[str, int, int | None]],
) -> None:
    pair = begun()
    for data, cut, most in steps:
        pair.write(data, cut)
        if most and pair.picture.changed:
            pair.take(most)
    pair.settle()


@given(st.lists(STEPS, max_size=6), PIECES)
def test_all_is_repainted_over_what_something_else_wrote(
    steps: list[tuple[str, int, int | None]], after: str
) -> None:
    pair = begun()
    for data, cut, most in steps:
        pair.write(data, cut)
        if most and pair.picture.changed:
            pair.take(most)
    pair.through.scramble()
    pair.picture.forget()
    pair.write(after)
    pair.settle()


@given(st.lists(st.tuples(PIECES, UNKNOWN, PIECES, st.none() | st.integers(1, 60)), max_size=6))
def test_what_is_not_known_has_its_effect_all_the_same(
    steps: list[tuple[str, str, str, int | None]],
) -> None:
    pair = begun()
    for before, unknown, after, most in steps:
        pair.write(before + unknown + after)
        if most and pair.picture.changed:
            pair.take(most)
    pair.settle()


@given(
    st.lists(st.tuples(PIECES, st.integers(1, 20), st.integers(1, 9), PIECES), max_size=4),
    st.none() | st.integers(1, 60),
)
def test_another_size(steps: list[tuple[str, int, int, str]], most: int | None) -> None:
    pair = begun()
    for before, columns, rows, after in steps:
        pair.write(before)
        pair.resize(columns, rows)
        pair.write("\x1b[H\x1b[m\x1b]8;;\x1b\\\x1b[2J" + after)
        pair.settle(most)
