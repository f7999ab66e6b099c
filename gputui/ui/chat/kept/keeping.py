"""What is done to kept conversations: opened and continued, renamed, deleted, exported."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager

from gputui.chat.keeping.export import FORMATS, read
from gputui.chat.keeping.found import Summary
from gputui.chat.keeping.store import TITLE_LIMIT, Store
from gputui.errors import GputuiError
from gputui.text import clean_line, sentences
from gputui.ui.chat.answer import load_markdown
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.kept import saving
from gputui.ui.chat.kept.line_dialog import LineDialog
from gputui.ui.chat.prompt import Prompt
from gputui.ui.dialogs import Choice, ChoiceDialog, ConfirmDialog

_FORMATS = {
    "md": ("Markdown", "to read"),
    "json": ("JSON", "all of it, in one document"),
    "jsonl": ("JSON lines", "an answer a line"),
}


class Keeping:
    """The store's conversations, for the screen and the commands; ``changed`` is told of each change."""

    def __init__(self, chatting: Chatting, changed: Callable[[], None] = lambda: None) -> None:
        self._chatting = chatting
        self._changed = changed

    @property
    def store(self) -> Store:
        """Raises GputuiError where there is none."""
        store = self._chatting.conversation.store
        if store is None:
            raise GputuiError("Conversations are not kept here", "This chat has no database.")
        return store

    def current(self) -> int:
        """The id of the conversation on the screen. Raises GputuiError where it is not kept."""
        if self._chatting.conversation.id is None:
            problem = self._chatting.conversation.store_problem
            when = "" if problem else "It is from its first answer on"
            raise GputuiError(
                "This conversation is not kept", sentences(when, "/save all writes it to a file")
            )
        return self._chatting.conversation.id

    def show(self, conversation_id: int, turn_id: int | None = None) -> None:
        """``open``, beside all else; of several the newest. Problems are told."""
        self._chatting.work(self.open(conversation_id, turn_id), "kept")

    def work(self, work: Coroutine[None, None, None]) -> None:
        """Change something beside all else; problems are told."""
        self._chatting.carry_out(work)

    # ── open ─────────────────────────────────────────────────────────────────────────────────

    async def open(self, conversation_id: int, turn_id: int | None = None) -> None:
        """Show a conversation and go on with it; ``turn_id``: from that turn on. Raises GputuiError."""
        chatting, conversation = self._chatting, self._chatting.conversation
        other = conversation_id != conversation.id
        if other and not await self._may_leave():
            return
        if other:
            was_on = chatting.queueing.on
            await load_markdown()
            await conversation.open(conversation_id)
            chatting.queueing.seated(was_on=was_on)
            chatting.panel.shown_anew()
            chatting.seating.frame()  # a draw ends with that
        chatting.screen.set_focus(chatting.screen.query_one(Prompt))
        chatting.panel.refresh_sides()
        if other:
            await self._offer_seats()
        if conversation.is_reading:
            with _uncollected():
                await conversation.whole()
        await conversation.whole()
        chatting.panel.refresh_sides()
        if turn_id is not None:
            for pane in chatting.panel.panes:
                await self._reveal(pane.side.name, turn_id)

    async def _may_leave(self) -> bool:
        """Whether the user lets a draw that is running end, which tells who sits where."""
        if not self._chatting.conversation.blind.hidden:
            return True
        dialog = ConfirmDialog(
            "The draw ends without a vote, and its names are told. Open it?",
            "Open it",
            "Go on with the draw",
        )
        answer: str | None = await self._chatting.screen.app.push_screen_wait(dialog)
        return answer == "yes"

    async def _reveal(self, side: str, turn_id: int) -> None:
        turns = self._chatting.panel.pane(side).turns
        for place, turn in enumerate(turns.turns):
            if turn.id == turn_id:
                await turns.reveal(place)

    async def _offer_seats(self) -> None:
        """Those that answered last, where others sit there now."""
        wanted = self._last_names()
        if not wanted:
            return
        who = " and ".join(
            f"{clean_line(name, 40)} on side {side}" for side, name in wanted.items()
        )
        dialog = ConfirmDialog(f"It was answered by {who}. Seat them again?", "Yes", "No, as it is")
        if await self._chatting.screen.app.push_screen_wait(dialog) == "yes":
            for side, name in wanted.items():
                self._chatting.seating.seat(side, name)

    def _last_names(self) -> Mapping[str, str]:
        """By side, who answered last there, does not sit there now, and could."""
        seating, sides = self._chatting.seating, self._chatting.conversation.sides
        last = {
            name: side.finished[-1].answers[name].name
            for name, side in sides.items()
            if side.finished and not side.veiled
        }
        return {
            name: who
            for name, who in last.items()
            if seating.knows(who) and (not (at := sides[name].seated) or at.name != who)
        }

    # ── change ───────────────────────────────────────────────────────────────────────────────

    async def rename(self, conversation_id: int, title: str = "") -> None:
        """Give it a title, which is asked for where it is ""."""
        if not title:
            known = await asyncio.to_thread(self.store.summary, conversation_id)
            dialog = LineDialog("Title of the conversation", known.title, limit=TITLE_LIMIT)
            asked: str | None = await self._chatting.screen.app.push_screen_wait(dialog)
            if asked is None:
                return
            title = asked
        await asyncio.to_thread(self.store.rename, conversation_id, title)
        self._chatting.screen.notify(clean_line(title, TITLE_LIMIT), title="Renamed", markup=False)
        self._changed()

    async def delete(self, conversation_id: int) -> None:
        """Delete it, where the user says so."""
        chatting, conversation = self._chatting, self._chatting.conversation
        one = await asyncio.to_thread(self.store.summary, conversation_id)
        dialog = ConfirmDialog(_delete_question(one), "Delete it", "Keep it")
        if await chatting.screen.app.push_screen_wait(dialog) != "yes":
            return
        await conversation.delete(conversation_id)
        chatting.panel.refresh_sides()
        chatting.screen.notify(clean_line(one.title, 80), title="Deleted", markup=False)
        self._changed()

    async def export(self, conversation_id: int, format_: str = "", name: str = "") -> None:
        """Write it to a file; format and file are asked for where they are ""."""
        app, store, conversation = (
            self._chatting.screen.app,
            self.store,
            self._chatting.conversation,
        )
        if conversation_id == conversation.id and conversation.blind.hidden:
            raise GputuiError("It is hidden who answers", "Vote first; /blind off ends it.")
        if self._chatting.conversation.hidden_id == conversation_id:
            raise GputuiError("Its names are hidden until the vote", "Vote first, or /blind off.")
        if not format_:
            choices = [Choice(key, words, note) for key, (words, note) in _FORMATS.items()]
            chosen: str | None = await app.push_screen_wait(ChoiceDialog("Export as", choices))
            if chosen is None:
                return
            format_ = chosen
        one = await asyncio.to_thread(store.summary, conversation_id)
        text = await asyncio.to_thread(
            lambda: "".join(FORMATS[format_](read(store, [conversation_id])))
        )
        proposal = saving.proposed(f"conversation-{one.id}", one.created_at, format_)
        await saving.save(self._chatting, "the conversation", text, name, proposal)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's collector of cycles would look again and again at all that is read, for a fifth of a
    second each time where it is 10 000 turns, with nothing in it to collect: it looks at none of it."""
    gc.unfreeze()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _delete_question(one: Summary) -> str:
    turns = "its turn" if one.turns == 1 else f"its {one.turns} turns"
    return f"Delete “{clean_line(one.title, 60)}” with {turns}? There is no way back."


def rename(chatting: Chatting, argument: str) -> None:
    """``/rename TITLE``"""
    keeping = Keeping(chatting)
    keeping.work(keeping.rename(keeping.current(), argument))


def delete(chatting: Chatting, _argument: str) -> None:
    """``/delete``"""
    keeping = Keeping(chatting)
    keeping.work(keeping.delete(keeping.current()))


def export(chatting: Chatting, argument: str) -> None:
    """``/export [md|json|jsonl] [FILE]``; the format is that of the file's ending where it is not said."""
    keeping = Keeping(chatting)
    first, _, rest = argument.partition(" ")
    if first in FORMATS:
        format_, name = first, rest.strip()
    else:
        ending = argument.rpartition(".")[2]
        format_, name = (ending if ending in FORMATS else "md" if argument else ""), argument
    keeping.work(keeping.export(keeping.current(), format_, name))
