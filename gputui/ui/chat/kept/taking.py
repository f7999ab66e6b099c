"""Answers taken out of the chat: to the clipboard, into a file, plain onto the terminal."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gputui.chat.keeping.export import Kept, markdown_document
from gputui.chat.keeping.found import Summary
from gputui.chat.keeping.listing import title_of
from gputui.chat.model import Answer, Turn
from gputui.chat.said import code_blocks, newest_answer
from gputui.errors import GputuiError
from gputui.text import size
from gputui.ui.chat.arguments import side_first
from gputui.ui.chat.kept import saving
from gputui.ui.chat.kept.plain import show_plain

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting

CLIPBOARD_LIMIT = 74_994
"""Bytes: 100 000 of base64, which is what an xterm takes of one sequence; others take less or more."""


def within_tmux() -> bool:
    """Whether the terminal is tmux, here or on the user's own side of SSH, which hands over TERM alone
    (tmux sets it to screen or tmux: ``default-terminal``)."""
    return "TMUX" in os.environ or os.environ.get("TERM", "").startswith(("tmux", "screen"))


class Copying:
    """Knows whether the user was told what tmux needs."""

    def __init__(self) -> None:
        self._tmux_told = False

    def copy(self, chatting: Chatting, argument: str) -> None:
        """``/copy [A|B] [code]``: OSC 52, which reaches the user's own machine through SSH."""
        side, rest = _side(chatting, argument)
        answer = _newest(chatting, side)
        what, text = f"the answer of {side}", answer.text
        if rest == "code":
            blocks = code_blocks(text)
            if not blocks:
                raise GputuiError(f"{side}'s answer has no code block", "/copy takes all of it.")
            what, text = f"the last code block of {side}", blocks[-1]
        elif rest:
            raise GputuiError(f"/copy does not know: {rest}", "It takes a side, and code.")
        length = len(text.encode(errors="replace"))
        if length > CLIPBOARD_LIMIT:
            raise GputuiError(
                f"{size(length)} are more than terminals take into a clipboard",
                "f saves the answer to a file, u shows it plain for the terminal's own selection.",
            )
        app = chatting.screen.app
        app.copy_to_clipboard(text)
        words = f"{len(text)} characters, by the terminal (OSC 52)."
        if within_tmux() and not self._tmux_told:
            self._tmux_told = True
            words += " Nothing there? tmux needs: set -g set-clipboard on. Else f saves to a file."
        chatting.screen.notify(words, title=f"Copied {what}", markup=False)


def save(chatting: Chatting, argument: str) -> None:
    """``/save [A|B] [FILE]``: the newest answer of the side; ``/save all [FILE]``: the conversation as
    Markdown, from what is on the screen, so that it needs no database."""
    first, _, rest = argument.partition(" ")
    if first == "all":
        turns = chatting.conversation.turns
        if not turns:
            raise GputuiError("Nothing was said yet", "Send a prompt first.")
        chatting.carry_out(_save_all(chatting, turns, rest.strip()))
        return
    side, name = _side(chatting, argument)
    text = _newest(chatting, side).text
    text += "" if text.endswith("\n") else "\n"
    proposal = saving.proposed(f"answer-{side}", time.time(), "md")
    chatting.carry_out(saving.save(chatting, f"the answer of {side}", text, name, proposal))


async def _save_all(chatting: Chatting, turns: tuple[Turn, ...], name: str) -> None:
    missing = ""
    if not await chatting.conversation.whole():  # its older turns may still be on their way
        problem = chatting.conversation.older_problem
        missing = f"Its older turns are missing here: {problem or 'they were not read'}"
    turns = chatting.conversation.turns or turns
    text = "".join(markdown_document([Kept(_summary(chatting, turns), turns, note=missing)]))
    proposal = saving.proposed("conversation", turns[0].created_at, "md")
    await saving.save(chatting, "the conversation", text, name, proposal)


def plain(chatting: Chatting, argument: str) -> None:
    """``/plain [A|B]``: the newest answer on the normal screen."""
    side, rest = _side(chatting, argument)
    if rest:
        raise GputuiError(f"/plain does not know: {rest}", "It takes a side.")
    chatting.work(show_plain(chatting, side, _newest(chatting, side).text), "plain")


def _side(chatting: Chatting, argument: str) -> tuple[str, str]:
    """The side that an argument names, else that of the focus, and the rest of it."""
    side, rest = side_first(chatting, argument)
    return side or chatting.side, rest


def _newest(chatting: Chatting, side: str) -> Answer:
    answer = newest_answer(chatting.conversation.sides[side])
    if answer is None:
        raise GputuiError(f"Side {side} has said nothing yet", "Send a prompt first.")
    return answer


def _summary(chatting: Chatting, turns: tuple[Turn, ...]) -> Summary:
    """Of what is on the screen, kept or not."""
    answers = [answer for turn in turns for answer in turn.answers.values()]
    return Summary(
        id=chatting.conversation.id or 0,
        title=title_of("", turns[0].prompt),
        given=False,
        created_at=turns[0].created_at,
        changed_at=turns[-1].created_at,
        turns=len(turns),
        names=tuple(dict.fromkeys(answer.name for answer in answers if answer.name)),
        models=tuple(dict.fromkeys(answer.model for answer in answers if answer.model)),
    )
