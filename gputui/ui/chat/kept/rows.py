"""Rows of the list of conversations: one of a conversation, two of a place where words were found."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.style import Style

from gputui.chat.keeping.found import Match, Summary
from gputui.text import clean_line
from gputui.ui.cells import Line, cut
from gputui.ui.palette import Palette

WHEN, TURNS, GAP = 12, 6, 2
MARK = Style(bold=True, underline=True)
"""Of what matched: seen without colours, too."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Cells of the columns whose width depends on the terminal's."""

    title: int
    models: int

    @classmethod
    def of(cls, width: int) -> Widths:
        """In a list of that width; a third of what is free is the models'."""
        free = width - 2 - WHEN - TURNS - 3 * GAP - 1
        models = max(0, min(60, free // 3))
        return cls(max(1, free - models), models)


def when(at: float, now: float) -> str:
    """The time of today, the day of this year, else the date; at most ``WHEN`` cells."""
    then, here = time.localtime(at), time.localtime(now)
    if then[:3] == here[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%d %b %H:%M" if then[0] == here[0] else "%d %b %Y", then)


def head(palette: Palette, width: int) -> Line:
    """The titles of the columns."""
    widths = Widths.of(width)
    line = Line().add("  ", palette.dim)
    line.cell("conversation", widths.title, palette.dim, gap=GAP)
    line.cell("last prompt", WHEN, palette.dim, gap=GAP)
    line.cell("turns", TURNS, palette.dim, right=True, gap=GAP)
    return line.cell("models", widths.models, palette.dim)


def conversation(one: Summary, palette: Palette, width: int, now: float, *, open_: bool) -> Line:
    """A conversation; ``open_``: it is on the screen."""
    widths = Widths.of(width)
    here = "  (open)" if open_ and widths.title > 30 else ""
    line = Line()
    line.add(cut(clean_line(one.title), widths.title - len(here)), palette.value)
    line.add(here, palette.dim).pad_to(widths.title + GAP)
    line.cell(when(one.changed_at, now), WHEN, palette.dim, gap=GAP)
    line.cell(str(one.turns), TURNS, palette.value, right=True, gap=GAP)
    return line.cell(models(one), widths.models, palette.dim)


def models(one: Summary) -> str:
    """Who answered, in few words: the models, or the names where none is known."""
    return clean_line(", ".join(one.models or one.names))


def found(one: Match, palette: Palette, width: int, now: float) -> tuple[Line, Line]:
    """A place where words were found: in which conversation and when, and the text around them."""
    room = max(1, width - 2 - WHEN - GAP - 1)
    first = Line().cell(clean_line(one.title), room, palette.value, gap=GAP)
    first.cell(when(one.created_at, now), WHEN, palette.dim)
    second, at = Line().add("  ", palette.dim), 0
    for start, end in one.marks:
        second.add(one.snippet[at:start], palette.dim)
        second.add(one.snippet[start:end], palette.value + MARK)
        at = end
    return first, second.add(one.snippet[at:], palette.dim)


def about(one: Summary, now: float) -> str:
    """All of a conversation that has no room in its row."""
    who = ", ".join(one.names)
    by = f", answered by {who} ({', '.join(one.models)})" if one.models else f", by {who}"
    turns = "1 turn" if one.turns == 1 else f"{one.turns} turns"
    first, last = when(one.created_at, now), when(one.changed_at, now)
    since = f"{turns}, {first}" + (f" to {last}" if last != first else "")
    return clean_line(f"{since}{by if who else ''}")
