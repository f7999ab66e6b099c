"""``gputui chat`` for more than two: whom the command line names, and the table of what they took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from gputui.chat.conversation import SIDE_NAMES
from gputui.chat.model import Answer, Figure
from gputui.cli.tables import Column, grid, painted
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.text import UNKNOWN, number, seconds


def asked_names(
    config: Config, a: str | None, b: str | None, to: Sequence[str], *, everyone: bool
) -> dict[str, str]:
    """The names of the command line by side. Raises UsageError where they go not together."""
    ways = sum((a is not None or b is not None, bool(to), everyone))
    if ways != 1 or (b is not None and a is None):
        raise click.UsageError("whom to ask: --a NAME [--b NAME], or --to NAME …, or --all")
    if a is not None:
        return {"A": a} | ({"B": b} if b is not None else {})
    names = list(to) if to else _configured(config)
    if not names:
        raise GputuiError("no model is configured", "Write a configuration: gputui init")
    if len(names) > len(SIDE_NAMES):
        raise GputuiError(
            f"{len(names)} models are named, and a prompt goes to {len(SIDE_NAMES)} at most",
            "Name some of them with --to.",
        )
    return dict(zip(SIDE_NAMES, names, strict=False))


def _configured(config: Config) -> list[str]:
    """Every model that chats, in the file's order."""
    chats = [table.name for table in config.instances if table.role == "chat"]
    return chats + [table.name for table in config.endpoints]


def summary(answers: Iterable[Answer], width: int | None) -> list[str]:
    """What each took, a line each; ``~`` marks what our clock measured, not the server."""
    rows = list(answers)
    fitted = grid(_COLUMNS, rows, width)
    lines = [painted(line, width) for line in (fitted.heading, *fitted.lines)]
    marked = any("~" in line for line in lines)
    return [*lines, "~ measured or counted by gputui, not by the server"] if marked else lines


def _figure(figure: Figure | None, digits: int = 0) -> str:
    if figure is None:
        return UNKNOWN
    return ("~" if figure.origin == "client" else "") + number(figure.value, digits)


def _end(answer: Answer) -> str:
    if answer.error:
        return "failed"
    return answer.finish_reason or "done"


_COLUMNS: tuple[Column[Answer], ...] = (
    Column("side", 0, lambda one: one.side, left=True),
    Column("name", 0, lambda one: one.name, left=True, least=8),
    Column("model", 4, lambda one: one.model, left=True, least=12),
    Column("tok/s", 1, lambda one: _figure(one.measurement.generation_tokens_per_second, 1)),
    Column("prompt tok/s", 5, lambda one: _figure(one.measurement.prompt_tokens_per_second, 1)),
    Column("TTFT", 2, lambda one: seconds(one.measurement.ttft_seconds)),
    Column("tokens", 3, lambda one: _figure(one.measurement.completion_tokens)),
    Column("in all", 3, lambda one: seconds(one.measurement.elapsed_seconds)),
    Column("end", 1, _end, left=True),
)
