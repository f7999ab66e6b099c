"""What a slow line takes at a time: small pieces, and in the end all of them."""

from __future__ import annotations

from gputui.ui.terminal.picture import Picture
from gputui.ui.terminal.segments import LONGEST
from gputui.ui.terminal.shown import PATIENCE


def test_no_row_waits_for_good() -> None:
    """Some rows change all the time and are less to send than one that changed once."""
    picture = Picture(80, 10)
    picture.write("\x1b[?1049h\x1b[1;1H")
    picture.take()
    picture.write("\x1b[9;1H" + "unlike " * 11 + "\x1b[1;1H")
    sent = ""
    for tick in range(4 * PATIENCE):
        picture.write("".join(f"\x1b[{row};{tick % 70 + 1}H{tick}" for row in range(1, 9)))
        picture.write("\x1b[10;1H")
        sent += picture.take(24)
    assert "unlike" in sent


def test_a_piece_is_never_much_more_than_was_asked_for() -> None:
    picture = Picture(300, 3)
    picture.write("\x1b[?1049h\x1b[1;1H")
    picture.take()
    picture.write("\x1b[2;1H" + "界x" * 100)
    whole, longest = "", 0
    while picture.changed:
        piece = picture.take(1)
        longest = max(longest, len(piece))
        whole += piece
    assert "界x" * 100 in whole  # and no move between one piece and the next
    assert longest <= LONGEST + len("\x1b[2;100H\x1b[m\x1b]8;;\x1b\\")
