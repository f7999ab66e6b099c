"""What is sent, to the byte: never more than these."""

from __future__ import annotations

import pytest

from gputui.ui.terminal.moves import move
from gputui.ui.terminal.picture import Picture
from gputui.ui.terminal.styles import DEFAULT, change, styled

RED, BLUE, NIGHT = "\x1b[38;2;200;0;0m", "\x1b[38;2;0;0;200m", "\x1b[48;2;9;9;9m"
END = "\x1b[0m"


def shown(*rows: str, columns: int = 20) -> Picture:
    """A screen of these rows, all sent, the cursor in its first cell."""
    picture = Picture(columns, 6)
    picture.write("\x1b[?1049h" + drawn(*rows))
    picture.take()
    return picture


def drawn(*rows: str) -> str:
    """As Textual writes a screen."""
    return "".join(f"\x1b[{y};1H{row}" for y, row in enumerate(rows, 1)) + "\x1b[1;1H"


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        ("load 41 %", "load 41 %", ""),
        ("load 41 %", "load 42 %", "\x1b[6C2\r"),
        ("load 41 %", "load 57 %", "\x1b[5C57\r"),
        ("load", "", "\x1b[K"),
        ("load 41", "load   ", "\x1b[5C  \r"),
        ("abcdefgh", "xbcdefgy", "x\x1b[6Cy\r"),
        ("abcdefgh", "xbcyefgh", "xbcy\r"),
        ("█▇▆▅", "▁▇▆▂", "▁\x1b[2C▂\r"),
        ("漢字 b", "漢子 b", "\x1b[2C子\r"),
        ("👩‍👩 b", "👨‍👩 c", "👨‍👩\x1b[4Gc\r"),
        (f"{RED}41{END} MiB", f"{BLUE}41{END} MiB", "\x1b[38;2;0;0;200m41\r"),
        (f"{RED}41{END}  MiB", f"{RED}41{END} {BLUE} {END}MiB", ""),
        (
            f"{NIGHT}4 a{END} x",
            f"{NIGHT}4{RED} {END}{NIGHT}b{END} y",
            "\x1b[4Cy\b\b\b\x1b[48;2;9;9;9mb\r",
        ),
    ],
)
def test_a_changed_row(before: str, after: str, sent: str) -> None:
    picture = shown(f"{before:<20}")
    picture.write(drawn(f"{after:<20}"))
    assert picture.take() == sent
    assert not picture.changed


def test_a_tick_of_a_dashboard() -> None:
    """Two numbers, two bars, two clocks: seven cells that differ."""
    rows = [f"12:00:0{{0}}  {RED}▁▂{{1}}{END} {{2}} %", f"12:00:0{{0}}  {BLUE}▁▂{{1}}{END} {{2}} %"]
    picture = shown(*(row.format(1, "▃", 41) for row in rows))
    picture.write(drawn(*(row.format(2, "▄", 47) for row in rows)))
    sent = picture.take()
    assert sent == (
        "\x1b[7C2\x1b[7C7\x1b[2;8H2\x1b[7C7"
        "\x1b[;13H\x1b[38;2;200;0;0m▄\x1b[B\b\x1b[38;2;0;0;200m▄\x1b[H"
    )


def test_a_style_stays_until_another_is_needed() -> None:
    picture = shown(f"{RED}ab{END} c")
    picture.write(drawn(f"{RED}bb{END}"))
    assert picture.take() == "\x1b[38;2;200;0;0mb\b"
    picture.write(drawn(f"{RED}cb{END}"))
    assert picture.take() == "c\b"


def test_what_frames_cost() -> None:
    picture = shown("a")
    picture.write("\x1b[?2026h\x1b[?2026l")
    assert picture.framed
    assert not picture.changed
    assert picture.take() == ""


@pytest.mark.parametrize(
    ("start", "end", "sequence"),
    [
        ((3, 4), (3, 4), ""),
        ((3, 4), (3, 5), "\x1b[C"),
        ((3, 4), (3, 44), "\x1b[40C"),
        ((3, 4), (3, 2), "\b\b"),
        ((3, 44), (3, 0), "\r"),
        ((3, 44), (3, 1), "\x1b[2G"),
        ((3, 4), (4, 4), "\x1b[B"),
        ((3, 5), (4, 4), "\x1b[B\b"),
        ((3, 44), (4, 0), "\r\n"),
        ((30, 120), (31, 20), "\r\n\x1b[20C"),
        ((30, 44), (0, 0), "\x1b[H"),
        ((30, 44), (0, 9), "\x1b[;10H"),
        ((30, 44), (20, 0), "\x1b[21H"),
        ((30, 44), (20, 99), "\x1b[21;100H"),
        ((3, None), (3, 4), "\x1b[5G"),
        ((None, None), (3, 4), "\x1b[4;5H"),
    ],
)
def test_moves(start: tuple[int | None, int | None], end: tuple[int, int], sequence: str) -> None:
    assert move(*start, *end) == sequence


@pytest.mark.parametrize(
    ("before", "after", "sequence"),
    [
        ("", "1", "\x1b[1m"),
        ("1", "", "\x1b[m"),
        ("1;31", "31", "\x1b[22m"),
        ("1;2;31", "2;31", "\x1b[22;2m"),
        ("31;44", "44", "\x1b[39m"),
        ("31;44", "32;44", "\x1b[32m"),
        ("31;44;1;3;4", "32", "\x1b[0;32m"),
        ("4;44", "21;44", "\x1b[24;21m"),
        ("53;31", "31", "\x1b[0;31m"),
        ("38;2;1;2;3", "38;2;1;2;3;48;5;9", "\x1b[48;5;9m"),
        ("4:3", "31", "\x1b[0;31m"),
        ("", "58;5;9", "\x1b[0;58;5;9m"),
    ],
)
def test_changes_of_style(before: str, after: str, sequence: str) -> None:
    assert change(styled(DEFAULT, before), styled(DEFAULT, after)) == sequence


def test_a_piece_is_about_as_long_as_was_asked_for() -> None:
    picture = Picture(100, 6)
    picture.write("\x1b[?1049h" + drawn(*(f"row {row} " * 14 for row in range(6))))
    picture.take(1)
    pieces = []
    while picture.changed:
        pieces.append(picture.take(80))
    assert len(pieces) > 5
    assert all(0 < len(piece) <= 90 for piece in pieces)


def test_the_row_of_the_cursor_comes_first() -> None:
    picture = shown("a", "b", "c")
    picture.write("\x1b[1;1Hx\x1b[2;1Hy\x1b[3;1Hwide\x1b[3;1H")
    assert picture.take(1) == "\r\n\nwide"
