"""``gputui conversations``: what was kept, listed, searched, shown, exported, renamed and deleted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gputui.cli.acting import refuse_readonly
from gputui.cli.asking import confirm
from gputui.cli.compose import make_store
from gputui.cli.conversations_text import list_lines, match_lines, shown
from gputui.cli.root import common_options, options_of
from gputui.errors import GputuiError
from gputui.files import save_file

if TYPE_CHECKING:
    from gputui.chat.keeping.found import Match
    from gputui.chat.keeping.store import Store

_ID = click.IntRange(1, 2**63 - 1)
_SHOWN = 50


@click.group("conversations", invoke_without_command=True)
@click.option("--search", "words", metavar="TEXT", help="Where these words were said.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=_SHOWN,
    show_default=True,
    help="So many at most.",
)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@common_options
@click.pass_context
def command(
    context: click.Context, words: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """List kept conversations, the newest first, or the turns that hold all words of a search.

    "Words in quotes" are a phrase; the last word may be the beginning of one.
    """
    if context.invoked_subcommand is not None:
        return
    if words is not None and offset:
        raise click.UsageError("--offset is for the list, not for --search")
    from gputui.chat.keeping.export import conversation_json

    with _store() as store:
        if words is None:
            found = store.summaries(limit, offset)
            shape: dict[str, object] = {"conversations": [conversation_json(one) for one in found]}
            lines = list_lines(found)
        else:
            matches = [(one, _number(store, one)) for one in store.search(words, limit)]
            shape = {"query": words, "matches": [_match_json(*one) for one in matches]}
            lines = match_lines(matches)
    _echo_lines([json.dumps(shape, indent=2, ensure_ascii=False)] if as_json else lines)


@command.command("show")
@click.argument("conversation", metavar="ID", type=_ID)
@click.option("--turn", type=click.IntRange(1), metavar="N", help="Only its Nth turn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as export does.")
@common_options
def show(conversation: int, turn: int | None, as_json: bool) -> None:
    """Print a conversation with the numbers of its answers."""
    from gputui.chat.keeping.export import json_document, read, read_turn

    with _store() as store:
        if turn is None:
            (kept,) = read(store, (conversation,))
        else:
            kept = read_turn(store, conversation, turn)
        for piece in json_document((kept,)) if as_json else shown(kept):
            click.echo(piece, nl=False)


@command.command("export")
@click.argument("conversation", metavar="[ID]", type=_ID, required=False)
@click.option("--all", "everything", is_flag=True, help="All conversations, oldest first.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["md", "json", "jsonl"]),
    help="Markdown, JSON, or JSON with an answer a line.  [default: by FILE's ending, else md]",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Not to stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@common_options
def export(
    conversation: int | None,
    everything: bool,
    kind: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write a conversation, or all, with the numbers and the settings that reproduce them.

    Attachments are told by name, size and SHA-256; their data stays in the database.
    """
    from gputui.chat.keeping.export import FORMATS, read

    if (conversation is None) != everything:
        raise click.UsageError("give an ID, or --all" + (", not both" * everything))
    ending = output.suffix.removeprefix(".") if output else ""
    make = FORMATS[kind or (ending if ending in FORMATS else "md")]
    with _store() as store:
        ids = store.conversations() if conversation is None else (conversation,)
        if conversation is not None:
            store.summary(conversation)  # before a file is touched
        pieces = make(read(store, ids))
        if output is None:
            for piece in pieces:
                click.echo(piece, nl=False)
            return
        _write(output, pieces, force=force)
    click.echo(f"{output}: {len(ids)} conversation{'s' * (len(ids) != 1)}")


@command.command("rename")
@click.argument("conversation", metavar="ID", type=_ID)
@click.argument("title")
@common_options
@click.pass_context
def rename(context: click.Context, conversation: int, title: str) -> None:
    """Give a conversation a title; "" gives it that of its first prompt again."""
    refuse_readonly(options_of(context), "renamed")
    with _store() as store:
        store.rename(conversation, title)
        click.echo(f"{conversation}: {store.summary(conversation).title}")


@command.command("delete")
@click.argument("conversations", metavar="ID…", type=_ID, nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@click.pass_context
def delete(context: click.Context, conversations: tuple[int, ...], yes: bool) -> None:
    """Delete conversations with all that is in them; votes that were cast on them still count."""
    refuse_readonly(options_of(context), "deleted")
    ids = tuple(dict.fromkeys(conversations))
    with _store() as store:
        summaries = [store.summary(one) for one in ids]
        if not yes:
            _echo_lines(list_lines(summaries))
            what = "this conversation" if len(ids) == 1 else f"these {len(ids)} conversations"
            confirm(f"Delete {what}?", "nothing was deleted")
        store.delete(ids)
    for one in summaries:
        click.echo(f"{one.id}: deleted ({one.title})")


@contextlib.contextmanager
def _store() -> Iterator[Store]:
    with contextlib.closing(make_store()) as store:
        yield store


def _write(path: Path, pieces: Iterator[str], *, force: bool) -> None:
    """A file of the user's own, whole or not at all. Raises GputuiError."""
    try:
        save_file(path, "".join(pieces).encode(errors="replace"), replace=force)
    except FileExistsError:
        raise GputuiError(f"{path} is there already", "To overwrite it, add --force.") from None


def _number(store: Store, match: Match) -> int | None:
    """The place of a match's turn in its conversation, from 1; None where it is the title."""
    if match.turn_id is None:
        return None
    return store.turn_number(match.conversation_id, match.turn_id)


def _match_json(match: Match, number: int | None) -> dict[str, object]:
    return {
        "conversation_id": match.conversation_id,
        "conversation_title": match.title,
        "turn_id": match.turn_id,
        "turn": number,
        "created_at": match.created_at,
        "snippet": match.snippet,
        "marks": [list(mark) for mark in match.marks],
    }


def _echo_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
