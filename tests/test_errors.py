"""What is told once."""

from __future__ import annotations

from gputui.errors import GputuiError, Told


def test_a_problem_is_told_anew_once_it_has_not_come_for_a_while() -> None:
    now = [0.0]
    told = Told(seconds=10.0, clock=lambda: now[0])
    one, other = GputuiError("one"), GputuiError("other")
    assert told.is_new(one)
    for now[0] in (5.0, 14.0, 23.0):
        assert not told.is_new(GputuiError("one"))
    assert told.is_new(other)
    now[0] = 33.0
    assert told.is_new(one)
