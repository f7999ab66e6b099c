"""What the chat does: who sits where, and its commands, from keys, the palette and the prompt alike."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import TYPE_CHECKING

from textual.screen import Screen

from gputui.chat.conversation import Conversation
from gputui.errors import GputuiError
from gputui.text import sentences
from gputui.ui.boundary import told
from gputui.ui.chat.kept.mark import KeptMark
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.prompt import Prompt
from gputui.ui.chat.prompting.drafting import Drafting
from gputui.ui.chat.queue.queueing import Queueing
from gputui.ui.chat.reading.reading import Reading
from gputui.ui.chat.seating import Seating
from gputui.ui.chat.voting.voting import Voting
from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.palette import Look
from gputui.ui.services import Services

if TYPE_CHECKING:
    from gputui.ui.chat.kept.taking import Copying


class Chatting:
    """``say`` tells the user of a problem. What a command needs is had here."""

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        caretaker: Caretaker,
        look: Look,
        say: Callable[[GputuiError], None],
    ) -> None:
        self.screen = screen
        self.services = services
        self.caretaker = caretaker
        self.look = look
        self.say = say
        self.seating = Seating(screen, services, caretaker, look, say)
        self.drafting = Drafting(self)
        self.reading = Reading(self)
        self.queueing = Queueing(self)
        self.voting = Voting(self)
        self._told_store_problem: str | None = None
        self._told_older_problem: str | None = None

    @property
    def conversation(self) -> Conversation:
        """What is on the screen."""
        return self.services.conversation

    @cached_property
    def copying(self) -> Copying:
        """What takes answers to the clipboard."""
        from gputui.ui.chat.kept.taking import Copying

        return Copying()

    @property
    def panel(self) -> ChatPanel:
        """Where it is shown."""
        return self.screen.query_one(ChatPanel)

    @property
    def side(self) -> str:
        """The side that a command is for where it names none: that of the focus, else the one in front."""
        return self.panel.side

    def run(self, name: str, argument: str = "") -> bool:
        """Carry out a command; False where it was refused, and what is wrong with it is told."""
        from gputui.ui.chat.commands import command_of  # whose parts know this module

        try:
            command_of(name).run(self, argument)
        except GputuiError as error:
            self.say(error)
            return False
        return True

    def begin_command(self, name: str) -> None:
        """Have the user type the rest of a command."""
        prompt = self.screen.query_one(Prompt)
        prompt.text = f"/{name} "
        prompt.move_cursor(prompt.document.end)
        self.screen.set_focus(prompt)

    def work(self, work: Coroutine[None, None, None], group: str) -> None:
        """Find or show what takes a while beside all else; of a ``group``, the newest only: the one before
        is cancelled, so it must change nothing. Problems are told."""
        self.screen.run_worker(told(work, self.say), group=group, exclusive=True)

    def carry_out(self, work: Coroutine[None, None, None]) -> None:
        """Do what changes something beside all else, and what follows it: nothing else cancels it.
        Problems are told."""
        self.screen.run_worker(told(work, self.say), group="changes")

    def tell_store_problem(self) -> None:
        """Once for each new reason why turns are not being kept; that they are not stays to be seen, and
        what waits to be kept is tried again."""
        self.conversation.keep_again()
        self.voting.keep()
        self.panel.query_one(KeptMark).show(kept=self.conversation.store_problem is None)
        problem = self.conversation.store_problem
        if problem is not None and problem != self._told_store_problem:
            self.say(GputuiError("Turns are not being kept", sentences(*problem.splitlines())))
        self._told_store_problem = problem
        self._tell_older_problem()

    def _tell_older_problem(self) -> None:
        """Once for each new reason why the older turns of an opened conversation are not here."""
        error = self.conversation.older_problem
        problem = error.message if error is not None else None
        if problem is not None and problem != self._told_older_problem:
            self.say(GputuiError("It goes on without its older turns", problem))
        self._told_older_problem = problem
