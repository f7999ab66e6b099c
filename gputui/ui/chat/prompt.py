"""Where a prompt is typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import TextArea

from gputui.errors import GputuiError
from gputui.text import clean
from gputui.ui.chat.prompting.drafting import Drafting
from gputui.ui.chat.prompting.typed import as_typed, command_in

if TYPE_CHECKING:
    from gputui.chat.asking.attachments import Attached


class Prompt(TextArea):
    """Where a prompt is typed: enter sends, ctrl+j makes a new line, escape leaves.

    ``submit`` says whether a text was taken; one that was not comes back.
    """

    BINDINGS = [
        Binding("enter", "send", "Send", key_display="enter", id="prompt.send"),
        Binding("slash", "command", "Commands", key_display="/", id="prompt.command"),
        Binding("ctrl+j", "new_line", "Line", id="prompt.new_line"),
        Binding("ctrl+t", "target", "To whom", id="prompt.target"),
        Binding("escape", "stop", "Stop", id="prompt.leave"),
        Binding("escape", "leave", "Leave", id="prompt.leave"),
        Binding("up", "earlier", "Earlier", key_display="up", id="prompt.earlier"),
        Binding("ctrl+o", "other_side", "Other side", id="prompt.other_side"),
        Binding("down", "later", "Line down, later prompt", show=False, id="prompt.later"),
        Binding("tab", "complete", "Complete command", show=False, id="prompt.complete"),
        Binding("ctrl+z", "undo", "Undo", show=False, id="prompt.undo"),
        Binding("ctrl+y", "redo", "Redo", show=False, id="prompt.redo"),
    ]

    class Left(Message):
        """The user pressed escape in the prompt."""

    class TargetChanged(Message):
        """The user wants the prompt to go to other sides."""

    class MenuMoved(Message):
        """What is suggested, or chosen of it, is another, and the text is not."""

    def __init__(self, drafting: Drafting, submit: Callable[[str], Awaitable[bool]]) -> None:
        super().__init__(
            "",
            id="prompt",
            compact=True,
            soft_wrap=True,
            show_line_numbers=False,
            placeholder="one prompt, two answers; / for commands",
            tab_behavior="focus",
        )
        self._drafting = drafting
        self._submit = submit
        self._pasted: tuple[str, str, tuple[Attached, ...]] | None = None

    @property
    def command_text(self) -> str:
        """The text where it can be a command that is being typed at its end; else ""."""
        text = self.text
        begun = text.startswith("/") and self.document.end == self.cursor_location
        return text if begun else ""

    async def _on_key(self, event: Key) -> None:
        """Run the keys that are bound here in their turn among the letters.

        Textual's own dispatch runs bindings before (priority) or after the letters typed around
        them have arrived: in a fast burst half a prompt is sent, or a line break comes last.
        """
        await self._drafting.settled()
        bound = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if bound is not None and bound.node is self:
            event.prevent_default()
            event.stop()
            await self.run_action(bound.binding.action)

    async def _on_paste(self, event: Paste) -> None:
        """What is pasted came from elsewhere, and is drawn here before it is sent.

        Paths of files that can be attached are, unless they are for a command.
        """
        await self._drafting.settled()
        event.stop()
        event.text = clean(event.text)
        if command_in(self.text) is None and await self._attached(event.text):
            event.prevent_default()

    async def _attached(self, text: str) -> bool:
        try:
            found = await self._drafting.attaching.read_pasted(text)
        except GputuiError as error:
            self._drafting.say(error)
            return False
        if found:
            self._drafting.tell_notes(found)
            self._pasted = (self.text, text, found)
            self._drafting.redraw()
        return bool(found)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    async def action_send(self) -> None:
        menu = self._drafting.suggest(self.command_text)
        if menu.chosen is not None and (menu.moved or not self._drafting.knows(self.text)):
            taken = menu.chosen
            self.show(taken.text or "")
            if not (menu.moved and taken.whole):
                return
        text = self.text
        if not text.strip():
            return
        self.clear()
        self._pasted = None
        if not await self._submit(text):
            self.give_back(text)

    def action_new_line(self) -> None:
        self.insert("\n")

    def action_target(self) -> None:
        self.post_message(self.TargetChanged())

    def action_leave(self) -> None:
        if self._drafting.suggest(self.command_text).open:
            self._drafting.menu.close()
            self.post_message(self.MenuMoved())
        else:
            self.post_message(self.Left())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape stops while answers are written; the other side is shown where one is at a time."""
        if action == "stop":
            return self._drafting.answering
        return action != "other_side" or self._drafting.one_at_a_time

    def action_stop(self) -> None:
        self.action_leave()

    async def action_other_side(self) -> None:
        await self.run_action("screen.other_side")

    def action_command(self) -> None:
        """As the key does, which is typed like all letters: a command begins with it."""
        self.insert("/")

    async def action_complete(self) -> None:
        """Complete a command, as far as there is one way to go on, else by what is chosen; in any other
        text, go to the next panel."""
        text = self.command_text
        if not text:
            self.screen.focus_next()
            return
        menu = self._drafting.suggest(text)
        before, completed = menu.shown, text
        if not menu.moved:
            completed = await self._completed(text)
        if completed == text and menu.shown == before and menu.chosen is not None:
            completed = menu.chosen.text or text
        if completed != text:
            self.show(completed)
        self.post_message(self.MenuMoved())

    async def _completed(self, text: str) -> str:
        try:
            return await self._drafting.complete(text)
        except GputuiError as error:
            self._drafting.say(error)
            return text

    async def action_earlier(self) -> None:
        if self._moved_in_menu(-1):
            return
        if self.navigator.is_first_wrapped_line(self.cursor_location):
            found = await self._drafting.earlier(self.text)
            if found is not None:
                self.show(as_typed(found))
                return
        self.action_cursor_up()

    def action_later(self) -> None:
        if self._moved_in_menu(1):
            return
        if self.navigator.is_last_wrapped_line(self.cursor_location):
            found = self._drafting.history.later()
            if found is not None:
                self.show(as_typed(found) if self._drafting.history.walking else found)
                return
        self.action_cursor_down()

    def action_undo(self) -> None:
        """Undo the last change; of a path that was attached as it was pasted, the text comes instead."""
        if self._pasted is not None and self._pasted[0] == self.text:
            _, text, attached = self._pasted
            self._pasted = None
            self._drafting.attaching.remove(attached)
            self._drafting.redraw()
            self.insert(text)
            return
        super().action_undo()

    def _moved_in_menu(self, by: int) -> bool:
        menu = self._drafting.suggest(self.command_text)
        if not menu.choosing:
            return False
        menu.move(by)
        self.post_message(self.MenuMoved())
        return True

    # ── the text ─────────────────────────────────────────────────────────────────────────────

    def show(self, text: str) -> None:
        """Another text in place of this one; it can be undone."""
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.document.end)

    def give_back(self, text: str) -> None:
        """A text that was not taken, before what was typed since. Why is told where suggestions would be."""
        rest = self.text
        self.show(f"{text}\n{rest}" if rest else text)
        self._drafting.suggest(self.command_text).close()

    def insert_prompt(self, text: str) -> None:
        """A text of the library at the cursor, which goes to its first placeholder."""
        from gputui.chat.asking.library import placeholder

        start, end = sorted(self.selection)
        result = self.replace(text, start, end)
        self.move_cursor(result.end_location)
        if (hole := placeholder(text)) is not None:
            first, last = (_location(start, text[:index]) for index in hole)
            self.move_cursor(first)
            self.move_cursor(last, select=True)


def _location(start: tuple[int, int], text: str) -> tuple[int, int]:
    """Row and column at the end of a text that stands at ``start``."""
    *above, last = text.split("\n")
    return start[0] + len(above), len(last) + (0 if above else start[1])
