"""The next prompt while it is written: what is attached, what it can become, what was sent before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING

from gputui.chat.asking.history import InputHistory
from gputui.config.paths import prompts_dir
from gputui.errors import GputuiError
from gputui.ui.boundary import told
from gputui.ui.chat.prompting.attaching import Attaching, patiently
from gputui.ui.chat.prompting.shelf import Shelf
from gputui.ui.chat.prompting.suggestions import Menu, common_start, of_arguments, suggestions
from gputui.ui.chat.prompting.typed import command_in

if TYPE_CHECKING:
    from gputui.chat.asking.attachments import Attached
    from gputui.ui.chat.chatting import Chatting


class Drafting:
    """What the prompt stands on. Work that changes the prompt is done in its turn: keys wait for it."""

    def __init__(self, chatting: Chatting) -> None:
        self.history = InputHistory()
        self.attaching = Attaching()
        self.menu = Menu()
        self.shelf = Shelf(
            prompts_dir(), lambda work: chatting.work(work, "library"), self._reconsider
        )
        self._chatting = chatting
        self._loaded = False
        self._working = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def tag(self) -> str:
        """The kind of question of the next prompt."""
        return self._chatting.conversation.tag

    @property
    def answering(self) -> bool:
        """Whether an answer is being written."""
        return self._chatting.conversation.busy

    @property
    def one_at_a_time(self) -> bool:
        """Whether one side is shown, and the other one is not."""
        return self._chatting.panel.narrow

    def say(self, error: GputuiError) -> None:
        """Tell the user of a problem."""
        self._chatting.say(error)

    def tell_notes(self, attached: Iterable[Attached]) -> None:
        """Tell what was changed in a file as it was attached."""
        for one in attached:
            if one.note:
                self._chatting.screen.notify(one.note, title="Attached", markup=False)

    def redraw(self) -> None:
        """Show what is attached, and the tag, as they are now."""
        self._chatting.panel.redraw_prompt()

    def run(self, name: str, argument: str) -> bool:
        """Carry out a command; False where it was refused, which is told."""
        return self._chatting.run(name, argument)

    def in_turn(self, work: Coroutine[None, None, None]) -> None:
        """Do what takes a while, before the keys that are typed from now on. Problems are told."""
        self._working += 1
        self._idle.clear()
        self._chatting.screen.run_worker(self._carry_out(work), group="drafting")

    async def settled(self) -> None:
        """Return when nothing of that is under way."""
        await self._idle.wait()

    async def _carry_out(self, work: Coroutine[None, None, None]) -> None:
        try:
            await told(work, self.say)
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()
            self.redraw()

    async def earlier(self, shown: str) -> str | None:
        """The prompt before the one that is ``shown``; before this session's come the database's."""
        if not self._loaded:
            self._loaded = True  # once, whatever comes of it: a key waits for this
            store = self._chatting.conversation.store
            with contextlib.suppress(GputuiError):  # that turns are not kept is told elsewhere
                if store is not None:
                    self.history.set_older(await patiently(store.prompts, "the database"))
        return self.history.earlier(shown)

    def suggest(self, text: str) -> Menu:
        """The menu for a text that is being typed; as it was where the text is."""
        if text != self.menu.text:
            from gputui.ui.chat.commands import COMMANDS  # whose parts know this module

            self.menu.show(text, suggestions(text, COMMANDS, self._chatting))
        return self.menu

    def _reconsider(self) -> None:
        """What can be suggested is another now."""
        self.menu.forget()
        self._chatting.panel.suggest()

    def knows(self, text: str) -> bool:
        """Whether it is a command that can be carried out."""
        from gputui.ui.chat.commands import COMMANDS

        command = command_in(text)
        return command is not None and any(one.name == command[0] for one in COMMANDS)

    async def complete(self, text: str) -> str:
        """A command's text as far as there is only one way to go on; the ways that remain are shown."""
        from gputui.ui.chat.commands import COMMANDS

        name, _, typed = text.removeprefix("/").partition(" ")
        command = next((one for one in COMMANDS if one.name == name), None)
        if command is None or command.complete is None or " " not in text:
            return text
        found = list(await command.complete(self._chatting, typed))
        if not found:
            return text
        completed = max(text, f"/{name} {common_start(found)}", key=len)
        ways = of_arguments(command, found) if command.offers is None else None
        if ways is None:
            ways = suggestions(completed, COMMANDS, self._chatting)
        if (completed, ways) != (self.menu.text, self.menu.shown):
            self.menu.show(completed, ways if len(found) > 1 else ())
        return completed
