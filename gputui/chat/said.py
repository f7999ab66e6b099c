"""Parts of what was said, to be taken out of a chat."""

from __future__ import annotations

import re

from gputui.chat.model import Answer
from gputui.chat.side import Side

_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")


def newest_answer(side: Side) -> Answer | None:
    """What the side said last: what there is of the answer that is being written, where that has begun;
    else the newest that says something. None where it said nothing."""
    if side.live is not None and side.live.text:
        return side.live
    for turn in reversed(side.finished):
        if turn.answers[side.name].text:
            return turn.answers[side.name]
    return None


def code_blocks(text: str) -> tuple[str, ...]:
    """The contents of the fenced code blocks of a Markdown text (CommonMark 4.5), without the indentation
    of their fences; one that is not closed reaches to the end. What is four or more columns further in
    than the text of its list item is no fence, but code itself."""
    blocks: list[str] = []
    block: list[str] | None = None
    fence, indent, item = "", "", 0
    for line in text.split("\n"):
        if block is None:
            item = _item(line, item)
        match = _FENCE.match(line)
        if match and _column(match["indent"]) >= item + 4:
            match = None
        if block is None:
            if match:
                block, fence, indent = [], match["fence"], match["indent"]
        elif match and match["fence"].startswith(fence) and not match["info"].strip():
            blocks.append("\n".join(block))
            block = None
        else:
            block.append(line.removeprefix(indent))
    return (*blocks, "\n".join(block)) if block is not None else tuple(blocks)


def _item(line: str, item: int) -> int:
    """The column at which the text of the list item begins that ``line`` is in; 0 for none. ``item`` is that
    of the line before."""
    column = _column(line[: len(line) - len(line.lstrip())])
    if (begin := _ITEM.match(line)) and column < item + 4:
        return _column(begin[0])
    return item if column >= item or not line.strip() else 0


def _column(text: str) -> int:
    return len(text.expandtabs(4))
