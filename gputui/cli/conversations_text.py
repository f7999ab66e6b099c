"""Kept conversations as lines for the terminal: the list, what a search found, and one of them whole."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gputui.chat.figures import figures_line, settings_line
from gputui.cli.tables import Column, Line, grid, painted, wants_colour
from gputui.text import UNKNOWN, clean, clean_line, sentences, size

if TYPE_CHECKING:
    from gputui.chat.keeping.export import Kept
    from gputui.chat.keeping.found import Match, Summary
    from gputui.chat.model import Answer, Turn

_COLUMNS: tuple[Column[Summary], ...] = (
    Column("id", 0, lambda one: str(one.id)),
    Column("changed", 1, lambda one: when(one.changed_at), left=True, role=lambda _: "dim"),
    Column("turns", 2, lambda one: str(one.turns)),
    Column(
        "answered by",
        3,
        lambda one: clean_line(", ".join(one.names)) or UNKNOWN,
        left=True,
        least=12,
    ),
    Column("title", 0, lambda one: one.title, left=True, least=16),
)


def when(at: float) -> str:
    """Unix time as the user's clock has it: ``2026-11-24 12:07``."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def list_lines(summaries: Sequence[Summary]) -> Iterator[str]:
    """A line a conversation, under a heading."""
    if not summaries:
        yield "no conversation is kept"
        return
    width, colour = shutil.get_terminal_size((120, 24)).columns, wants_colour(sys.stdout)
    table = grid(_COLUMNS, summaries, width)
    for line in (table.heading, *table.lines):
        yield painted(line, width, colour=colour)


def match_lines(matches: Sequence[tuple[Match, int | None]]) -> Iterator[str]:
    """Two lines a match: where it is, with the turn's number in its conversation, and what stands there."""
    if not matches:
        yield "nothing was found"
    colour = wants_colour(sys.stdout)
    for one, number in matches:
        place = "title" if number is None else f"turn {number}"
        head: Line = [(f"{one.conversation_id}  {place}", "strong")]
        head += [(f"  {when(one.created_at)}  ", "dim"), (one.title, "")]
        yield painted(head, colour=colour)
        yield painted([("    ", ""), *_runs(one)], colour=colour)


def shown(kept: Kept) -> Iterator[str]:
    """A conversation to be read, piece by piece."""
    one = kept.summary
    count = f"{one.turns} turn{'s' * (one.turns != 1)}"
    yield f"{one.title}\nconversation {one.id} · {when(one.created_at)} · {count}\n"
    for number, turn in enumerate(kept.turns, kept.first):
        yield from _turn(turn, number)


def _turn(turn: Turn, number: int) -> Iterator[str]:
    tag = f" · {clean_line(turn.tag)}" if turn.tag else ""
    yield f"\n{number} · {when(turn.created_at)}{tag}\n"
    yield "".join(f"› {line}\n" for line in clean(turn.prompt).splitlines())
    for file in turn.attachments:
        amount = size(len(file.data))
        yield f"  attached: {clean_line(file.name)} ({clean_line(file.media_type)}, {amount})\n"
    for _, answer in sorted(turn.answers.items()):
        yield from _answer(answer)


def _answer(answer: Answer) -> Iterator[str]:
    yield f"\n── {clean_line(f'{answer.side}  {answer.name}  {answer.model}')}\n"
    if answer.reasoning:
        yield "".join(f"  │ {line}\n" for line in clean(answer.reasoning).splitlines())
    if answer.text:
        yield f"{clean(answer.text)}\n"
    if answer.error is not None:
        yield f"failed: {clean_line(sentences(answer.error, answer.hint))}\n"
    yield f"{figures_line(answer)}\nsettings: {clean_line(settings_line(answer))}\n"
    if answer.settings and answer.settings.system:
        yield f"system prompt: {clean_line(answer.settings.system)}\n"


def _runs(match: Match) -> Line:
    """The snippet, what matched in it apart."""
    runs: Line = []
    at = 0
    for start, end in match.marks:
        runs += [(match.snippet[at:start], ""), (match.snippet[start:end], "strong")]
        at = end
    return [*runs, (match.snippet[at:], "")]
