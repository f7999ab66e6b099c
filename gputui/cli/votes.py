"""``gputui votes``: what the votes on answers come to, and the votes themselves."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator

import click

from gputui import config as configuration
from gputui.chat.voting.standings import (
    Standing,
    Standings,
    Wanted,
    how_to_vote,
    standings,
    standings_json,
)
from gputui.chat.voting.store import VoteStore
from gputui.chat.voting.vote import Choice, vote_json
from gputui.cli.root import common_options
from gputui.cli.tables import Column, grid, painted, wants_colour
from gputui.errors import GputuiError
from gputui.text import UNKNOWN, clean_line

COLUMNS: tuple[Column[Standing], ...] = (
    Column("name", 0, lambda row: clean_line(row.contestant.name, 60), left=True, least=12),
    Column(
        "model",
        3,
        lambda row: clean_line(row.contestant.model, 80),
        left=True,
        least=16,
        shrinks_at=3,
    ),
    Column("rating", 0, lambda row: f"{row.rating.value:.0f}" if row.rating else UNKNOWN),
    Column("95 %", 1, lambda row: _interval(row)),
    Column("won", 2, lambda row: f"{row.wins}"),
    Column("lost", 2, lambda row: f"{row.losses}"),
    Column("tied", 2, lambda row: f"{row.ties}"),
    Column("both bad", 4, lambda row: f"{row.both_bad}"),
    Column("votes", 1, lambda row: f"{row.votes}"),
)


@click.command("votes")
@common_options
@click.option("--tag", metavar="TAG", help='Only votes on prompts with that tag; "" for none.')
@click.option("--all", "not_blind", is_flag=True, help="Votes that were not blind, too.")
@click.option("--include-named", is_flag=True, help="Votes on answers that named themselves, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--raw", is_flag=True, help="Every vote as it was cast, one JSON object a line.")
@click.pass_context
def command(
    context: click.Context,
    tag: str | None,
    not_blind: bool,
    include_named: bool,
    as_json: bool,
    raw: bool,
) -> None:
    """Rate the models by the votes on their answers: Bradley-Terry on Elo's scale, mean 1000.

    Counted are blind votes, the newest on each pair of answers; a tie and "both bad" are half a win each.
    Votes on answers that said who made them are left out. --raw prints all votes, whatever else is given
    but --tag.
    """
    store = VoteStore(configuration.state_dir() / "gputui.db")
    try:
        votes = store.votes()
    finally:
        store.close()
    if raw:
        for vote in votes:
            if tag in (None, vote.tag):
                click.echo(json.dumps(vote_json(vote), ensure_ascii=False))
        return
    found = standings(votes, Wanted(tag, not_blind, include_named))
    if as_json:
        click.echo(json.dumps(standings_json(found), indent=2, ensure_ascii=False))
        return
    if tag is not None and tag not in found.tags and found.tags:
        known = ", ".join(f'"{clean_line(one, 40)}"' for one in sorted(found.tags))
        raise GputuiError(f'no vote has the tag "{clean_line(tag, 40)}"', f"Tags: {known}.")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table(found, width, colour=wants_colour(sys.stdout)):
        click.echo(line)


def table(found: Standings, width: int | None, *, colour: bool = False) -> Iterator[str]:
    """The lines of the table; groups that were never compared with each other stand apart."""
    if not found.rows:
        yield from textwrap.wrap(how_to_vote(found), width or 200)
        return
    fitted = grid(COLUMNS, found.rows, width)
    yield painted(fitted.heading, width, colour=colour)
    group: int | None = 0
    for row, line in zip(found.rows, fitted.lines, strict=True):
        here = row.rating.group if row.rating else None
        if here != group:
            yield ""
            yield from textwrap.wrap(_apart(here), width or 200)
            group = here
        yield painted(line, width, colour=colour)
    yield ""
    for words in _words(found):
        yield from textwrap.wrap(words, width or 200)


def _apart(group: int | None) -> str:
    if group is None:
        return "never compared with another one: no rating"
    return "never compared with those above: only among themselves"


def _words(found: Standings) -> Iterator[str]:
    share = found.share_of_a
    if share is not None:
        won = found.seats[Choice.A]
        of = won + found.seats[Choice.B]
        within = f"95 %: {share[1]:.0%} to {share[2]:.0%}"
        yield f"A won {won} of {of} votes with a winner: {share[0]:.0%} ({within})"
    left_out = [
        f"{number} {what}"
        for number, what in (
            (found.left_out_not_blind, "not blind (--all)"),
            (found.left_out_named, "on answers that named themselves (--include-named)"),
        )
        if number
    ]
    if left_out:
        yield f"left out: {', '.join(left_out)}"


def _interval(row: Standing) -> str:
    return f"{row.rating.low:.0f}–{row.rating.high:.0f}" if row.rating else UNKNOWN
