"""``gputui embed``: how near texts are, by the vectors of an embedding model."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence

import click

from gputui.chat.embedding.asking import check_role, embedding_endpoint, lines_of, read_lines
from gputui.chat.embedding.client import Embedded, check_texts, embed
from gputui.chat.embedding.similarity import Matrix, closest, shades, similarity
from gputui.chat.endpoints import found_endpoint
from gputui.chat.model import Endpoint
from gputui.cli.chat import ready_endpoint
from gputui.cli.compose import Options, make_supervisor
from gputui.cli.root import common_options, options_of
from gputui.cli.tables import cell_width, fitted
from gputui.config import Config
from gputui.instances.status import State
from gputui.text import clean_line, number, seconds

_PATIENCE = 1.0
_LABEL = 32
_CELL = 8
_PAIRS = 3
SHADE = " ░▒▓"
"""From the farthest pair to the nearest; of the diagonal nothing is to be seen."""


@click.command("embed")
@common_options
@click.option("--with", "name", required=True, metavar="NAME", help="Instance or endpoint to ask.")
@click.option("--file", "file", metavar="FILE", help='A text a line; "-" is standard input.')
@click.option("--json", "as_json", is_flag=True, help="Print the whole matrix as JSON.")
@click.argument("texts", nargs=-1)
@click.pass_context
def command(
    context: click.Context, name: str, file: str | None, as_json: bool, texts: Sequence[str]
) -> None:
    """Print how near TEXTS are to each other: the cosine of their vectors, from -1 to 1.

    Shades go from the farthest pair to the nearest.
    """
    options = options_of(context)
    config = options.load_config()
    asked = _texts(texts, file)
    check_texts(asked)
    endpoint = asyncio.run(_as_it_runs(options, config, name))
    embedded = asyncio.run(_embed(endpoint, asked))
    matrix = similarity(embedded.vectors)
    if as_json:
        click.echo(json.dumps(shape(endpoint.name, embedded, matrix), ensure_ascii=False, indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in (*matrix_lines(asked, matrix, width), "", *_nearest(matrix), figures(embedded)):
        click.echo(line)


def shape(name: str, embedded: Embedded, matrix: Matrix) -> dict[str, object]:
    """What ``--json`` prints; ``null`` is not known."""
    speed = embedded.tokens_per_second
    return {
        "name": name,
        "model": embedded.model,
        "dimensions": embedded.dimensions,
        "texts": list(embedded.texts),
        "similarity": [list(row) for row in matrix],
        "tokens": int(embedded.tokens.value) if embedded.tokens else None,
        "seconds": embedded.seconds,
        "tokens_per_second": speed.value if speed else None,
    }


def matrix_lines(texts: Sequence[str], matrix: Matrix, width: int | None) -> list[str]:
    """A line a text: its number, its beginning, and how near it is to the first so many that fit."""
    digits = len(str(len(texts)))
    labels = [
        fitted(f"{place:>{digits}}  {clean_line(text)}", _LABEL)
        for place, text in enumerate(texts, 1)
    ]
    side = max(map(cell_width, labels))
    columns = len(texts) if width is None else max(1, min(len(texts), (width - side) // _CELL))
    shaded = shades(matrix)
    heading = " " * side + "".join(f"{place:>{_CELL - 1}} " for place in range(1, columns + 1))
    lines = [heading.rstrip()]
    for label, row, levels in zip(labels, matrix, shaded, strict=True):
        cells = "".join(
            f"{value:>{_CELL - 1}.2f}{SHADE[level]}"
            for value, level in zip(row[:columns], levels[:columns], strict=True)
        )
        lines.append(label + " " * (side - cell_width(label)) + cells)
    if columns < len(texts):
        lines.append(f"… {len(texts) - columns} more columns: --json has them all")
    return lines


def figures(embedded: Embedded) -> str:
    """What it took, each with who measured it."""
    parts = [f"{len(embedded.texts)} texts", f"{embedded.dimensions} dimensions"]
    if embedded.tokens is not None:
        parts.append(f"{number(embedded.tokens.value)} tokens ({embedded.tokens.origin})")
    parts.append(f"{seconds(embedded.seconds)} (client)")
    if (speed := embedded.tokens_per_second) is not None:
        parts.append(f"{number(speed.value, 1)} tok/s ({speed.origin})")
    return " · ".join([*parts, embedded.model])


def _nearest(matrix: Matrix) -> list[str]:
    pairs = closest(matrix, _PAIRS)
    said = "; ".join(f"{one + 1} and {two + 1}, {value:.2f}" for one, two, value in pairs)
    return [f"nearest: {said}"]


def _texts(texts: Sequence[str], file: str | None) -> list[str]:
    if (file is None) == (not texts):
        raise click.UsageError("give TEXTS, or --file FILE")
    if file is None:
        return [" ".join(lines_of(text)) for text in texts]
    if file == "-":
        return lines_of(sys.stdin.buffer.read().decode(errors="replace"))
    return read_lines(file)


async def _as_it_runs(options: Options, config: Config, name: str) -> Endpoint:
    """The endpoint, that of an instance as it runs now. Raises GputuiError where it is not ready."""
    configured = {table.name for table in config.instances}
    if name in {table.name for table in config.endpoints}:
        return embedding_endpoint(config, name)
    supervisor = make_supervisor(options, config, ())
    try:
        statuses = {status.name: status for status in await supervisor.observe(_PATIENCE)}
    finally:
        await supervisor.close()
    status = statuses.get(name)
    if status is None:
        return embedding_endpoint(config, name)  # which says what names there are
    check_role(name, status.role)
    if status.external and status.state is State.READY and name not in configured:
        return found_endpoint(name, status.url, status.model)
    return ready_endpoint(embedding_endpoint(config, name), status)


async def _embed(endpoint: Endpoint, texts: Sequence[str]) -> Embedded:
    from gputui.chat.answering.client import make_client

    async with make_client() as client:
        return await embed(client, endpoint, texts)
