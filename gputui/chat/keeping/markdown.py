"""A conversation as Markdown. What models and users wrote stands in fences that it cannot close."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256

from gputui.chat.figures import figures_line, settings_line
from gputui.chat.keeping.found import Summary
from gputui.chat.model import Answer, Attachment, Turn
from gputui.text import clean, clean_line, fence, longest_run, sentences, size

_MARKUP = re.compile(r"([\\`*_\[\]<>&~#$|])")


def markdown(
    summary: Summary, turns: Iterable[Turn], first: int = 1, note: str = ""
) -> Iterator[str]:
    """The document, block by block, each with its end: headings of level 1 (title), 2 (turn), 3 (answer).

    ``note`` stands under the title.
    """
    yield f"# {escaped(summary.title)}\n"
    count = f"{summary.turns} turn{'s' * (summary.turns != 1)}"
    yield f"\nConversation {summary.id} · begun {moment(summary.created_at)} · {count}\n"
    if note:
        yield f"\n{escaped(note)}\n"
    systems: dict[str, str] = {}
    for number, turn in enumerate(turns, first):
        yield from _turn(turn, number, systems)


def fenced(text: str, info: str) -> str:
    """``text``, cleaned, as a block of code that nothing in it can end."""
    text = clean(text)
    marks = fence(text)
    return f"{marks}{info}\n{text}\n{marks}\n"


def code(text: str) -> str:
    """A short text, cleaned and on one line, as code within a line."""
    text = clean_line(text) or "–"
    marks = "`" * (longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{pad}{text}{pad}{marks}"


def escaped(text: str) -> str:
    """A short text, cleaned and on one line, as words that mean no markup."""
    return _MARKUP.sub(r"\\\1", clean_line(text))


def moment(at: float) -> str:
    """Unix time in UTC: ``2026-11-24 12:07:04 UTC``."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "at a time that is not known"


def _turn(turn: Turn, number: int, systems: dict[str, str]) -> Iterator[str]:
    yield f"\n## {number} · {moment(turn.created_at)}\n"
    if turn.tag:
        yield f"\nTag: {code(turn.tag)}\n"
    yield "\n" + fenced(turn.prompt, "text")
    for one in turn.attachments:
        yield f"\nAttached: {_attachment(one)}\n"
    for _, answer in sorted(turn.answers.items()):
        yield from _answer(answer, systems)


def _attachment(one: Attachment) -> str:
    if not one.data:  # of a picture that was not read
        return f"{code(one.name)} · {escaped(one.media_type)}"
    digest = sha256(one.data).hexdigest()
    return f"{code(one.name)} · {escaped(one.media_type)} · {size(len(one.data))} · SHA-256 {code(digest)}"


def _answer(answer: Answer, systems: dict[str, str]) -> Iterator[str]:
    """``systems`` has the system prompt that was shown last, by side: it is shown where it changes."""
    yield f"\n### {escaped(answer.side)} · {code(answer.name)} · {code(answer.model)}\n"
    if answer.reasoning:
        yield "\nReasoning:\n\n" + fenced(answer.reasoning, "text")
        yield "\nAnswer:\n"
    if answer.text:
        yield "\n" + fenced(answer.text, "markdown")
    if answer.error is not None:
        yield f"\nFailed: {escaped(sentences(answer.error, answer.hint))}\n"
    elif not answer.text:
        yield "\nIt said nothing.\n"
    yield f"\n- Numbers: {escaped(figures_line(answer))}\n- Settings: {code(settings_line(answer))}\n"
    system = (answer.settings.system if answer.settings else None) or ""
    if system and system == systems.get(answer.side):
        yield "- System prompt: as before\n"
    elif system:
        yield "- System prompt:\n\n" + fenced(system, "text")
    systems[answer.side] = system
