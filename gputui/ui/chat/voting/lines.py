"""The votes as lines of cells: ratings with their intervals, results, what the seat does."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from gputui.chat.voting.ratings import MEAN
from gputui.chat.voting.standings import Standing, Standings, how_to_vote
from gputui.chat.voting.vote import Choice
from gputui.text import UNKNOWN, clean_line
from gputui.ui.cells import Line
from gputui.ui.palette import Palette

GAP = 2
MOST_NAME, MOST_MODEL = 24, 40
SMALLEST_BAR, LEAST_BAR, MOST_BAR = 8, 14, 48
"""Cells: below the first it is left out, the second is what models leave to it."""
RATING, INTERVAL = 6, 11
COUNTS = (("won", 5), ("lost", 5), ("tied", 5), ("both bad", 9), ("votes", 6))
METHOD = (
    "Bradley-Terry on Elo's scale, mean 1000: 400 more win ten of eleven. Ties and both bad are half a "
    "win each. 95 % intervals, with a weak prior (1000 ± 400)."
)


def votes_lines(found: Standings, width: int, palette: Palette) -> list[Line]:
    """The page, for one width."""
    page = _Page(found, width, palette)
    parts = (list(page.head()), list(page.table()), list(page.foot()))
    shown = [part for part in parts if part]
    return [line for part in shown for line in (*part, Line())][:-1]


def tag_words(tag: str | None) -> str:
    """A tag as people read it."""
    if tag is None:
        return "all"
    return clean_line(tag, 20) or "untagged"


@dataclass(frozen=True)
class _Page:
    found: Standings
    width: int
    palette: Palette

    def head(self) -> Iterator[Line]:
        """Which votes these are."""
        found, palette = self.found, self.palette
        if (
            not found.votes
            and not found.tags
            and not found.left_out_not_blind + found.left_out_named
        ):
            return
        line = Line().add(f"{found.votes}", palette.strong)
        line.add(" vote" + "s" * (found.votes != 1), palette.value)
        which = "blind and not" if found.wanted.not_blind else "blind"
        line.add(f", {which}", palette.value).add("   tag ", palette.dim)
        line.add(tag_words(found.wanted.tag), palette.strong)
        if found.tags:
            tags = sorted(found.tags.items(), key=lambda item: (-item[1], item[0]))
            each = "".join(f"  ·  {tag_words(tag)} {count}" for tag, count in tags)
            line.add(each, palette.dim)
        yield line
        left_out = [
            f"{number} {what}"
            for number, what in (
                (found.left_out_not_blind, "not blind (b)"),
                (found.left_out_named, "on answers that named themselves (n)"),
            )
            if number
        ]
        if left_out:
            yield from self._wrapped(f"left out: {', '.join(left_out)}")

    def table(self) -> Iterator[Line]:
        """A line a contestant; a group that was never compared with another stands alone."""
        rows, palette = self.found.rows, self.palette
        if not rows:
            yield from self._wrapped(how_to_vote(self.found))
            return
        yield self._heading()
        group: int | None = 0
        for row in rows:
            here = row.rating.group if row.rating else None
            if here != group:
                yield Line()
                words = "never compared with those above: only among themselves"
                if here is None:
                    words = "never compared with another one: no rating"
                yield Line().add(f"  {words}", palette.dim)
                group = here
            yield self._row(row)

    def foot(self) -> Iterator[Line]:
        """What the seat does, and how the ratings are made."""
        share = self.found.share_of_a
        if share is not None:
            seats = self.found.seats
            won, lost = seats[Choice.A], seats[Choice.B]
            yield from self._wrapped(
                f"Seats: A won {won} of {won + lost} votes with a winner, {share[0] * 100:.0f} % "
                f"(95 %: {share[1] * 100:.0f} to {share[2] * 100:.0f} %), whoever sat there."
            )
        if self.found.rows:
            yield from self._wrapped(METHOD)

    def _wrapped(self, text: str) -> Iterator[Line]:
        for part in textwrap.wrap(text, max(20, self.width)):
            yield Line().add(part, self.palette.dim)

    # ── columns ──────────────────────────────────────────────────────────────────────────────

    @property
    def _names(self) -> int:
        """As wide as the longest name, as far as there is room."""
        longest = max(cell_len(row.contestant.name) for row in self.found.rows)
        return max(8, min(MOST_NAME, longest, self.width - self._numbers))

    @property
    def _models(self) -> int:
        """What is left for them once the bar has what it needs; 0 where that is too little."""
        longest = min(MOST_MODEL, max(cell_len(row.contestant.model) for row in self.found.rows))
        room = self.width - self._names - self._numbers - LEAST_BAR - 2 * GAP
        return min(longest, room) if room >= min(longest, 12) else 0

    @property
    def _numbers(self) -> int:
        """What rating, interval and results take, with the gap before them."""
        return GAP + RATING + INTERVAL + sum(width for _, width in COUNTS)

    @property
    def _bar(self) -> int:
        """What is left for it; 0 where that says nothing."""
        models = self._models + GAP * bool(self._models)
        room = min(MOST_BAR, self.width - self._names - models - self._numbers - GAP)
        return room if room >= SMALLEST_BAR else 0

    def _heading(self) -> Line:
        dim = self.palette.dim
        line = Line().cell("", self._names, dim, gap=GAP)
        if self._models:
            line.cell("model", self._models, dim, gap=GAP)
        line.cell("rating", RATING, dim, right=True)
        line.cell("95 %", INTERVAL, dim, right=True)
        if self._bar:
            line.cell("", self._bar + GAP, dim)
        for title, width in COUNTS:
            line.cell(title, width, dim, right=True)
        return line

    def _row(self, row: Standing) -> Line:
        palette, rating = self.palette, row.rating
        line = Line().cell(
            clean_line(row.contestant.name, 60), self._names, palette.strong, gap=GAP
        )
        if self._models:
            line.cell(clean_line(row.contestant.model, 120), self._models, palette.dim, gap=GAP)
        value = UNKNOWN if rating is None else f"{rating.value:.0f}"
        line.cell(value, RATING, palette.strong, right=True)
        interval = "" if rating is None else f"{rating.low:.0f}–{rating.high:.0f}"
        line.cell(interval, INTERVAL, palette.dim, right=True)
        if self._bar:
            self._add_bar(line.add(" " * GAP, palette.track), row)
        for number, (_, width) in zip(_results(row), COUNTS, strict=True):
            line.cell(f"{number}", width, palette.value, right=True)
        return line

    def _add_bar(self, line: Line, row: Standing) -> None:
        """The interval on the scale of all intervals, the rating in it, the mean behind it."""
        palette, width, rating = self.palette, self._bar, row.rating
        if rating is None:
            line.cell("", width, palette.track)
            return
        ratings = [one.rating for one in self.found.rows if one.rating is not None]
        low, high = min(one.low for one in ratings), max(one.high for one in ratings)

        def place(value: float) -> int:
            return round((value - low) / max(high - low, 1.0) * (width - 1))

        for cell in range(width):
            if cell == place(rating.value):
                line.add("●", palette.strong)
            elif place(rating.low) <= cell <= place(rating.high):
                line.add("─", palette.value)
            else:
                line.add("│" if cell == place(MEAN) else " ", palette.track)


def _results(row: Standing) -> Sequence[int]:
    return row.wins, row.losses, row.ties, row.both_bad, row.votes
