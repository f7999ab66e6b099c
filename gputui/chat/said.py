"""Parts of what was said, to be taken out of a chat."""

from __future__ import annotations

import re

from gputui.chat.model import Answer
from gputui.chat.side import Side

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
    of their fences; one that is not closed reaches to the end."""
    blocks: list[str] = []
    block: list[str] | None = None
    fence, indent = "", ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if block is None:
            if match:
                block, fence, indent = [], match["fence"], match["indent"]
        elif match and match["fence"].startswith(fence) and not match["info"].strip():
            blocks.append("\n".join(block))
            block = None
        else:
            block.append(line.removeprefix(indent))
    return (*blocks, "\n".join(block)) if block is not None else tuple(blocks)
