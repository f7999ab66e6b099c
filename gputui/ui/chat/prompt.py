"""Where a prompt is typed."""

from __future__ import annotations

from textual.binding import Binding
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import TextArea

from gputui.text import clean


class Prompt(TextArea):
    """Where a prompt is typed: enter sends, ctrl+j makes a new line, escape leaves."""

    BINDINGS = [
        Binding("enter", "send", "Send", id="prompt.send"),
        Binding("ctrl+j", "new_line", "New line", id="prompt.new_line"),
        Binding("ctrl+t", "target", "To A, B or both", id="prompt.target"),
        Binding("escape", "leave", "Stop / leave", id="prompt.leave"),
    ]

    class Sent(Message):
        """The user sent a prompt."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The user pressed escape in the prompt."""

    class TargetChanged(Message):
        """The user wants the prompt to go to other sides."""

    def __init__(self) -> None:
        super().__init__(
            "",
            id="prompt",
            compact=True,
            soft_wrap=True,
            show_line_numbers=False,
            placeholder="one prompt, two answers",
            tab_behavior="focus",
        )

    async def _on_key(self, event: Key) -> None:
        """Run the keys that are bound here in their turn among the letters.

        Textual's own dispatch runs bindings before (priority) or after the letters typed around
        them have arrived: in a fast burst half a prompt is sent, or a line break comes last.
        """
        bound = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if bound is not None and bound.node is self:
            event.prevent_default()
            event.stop()
            await self.run_action(bound.binding.action)

    async def _on_paste(self, event: Paste) -> None:
        """What is pasted came from elsewhere, and is drawn here before it is sent."""
        event.text = clean(event.text)

    def action_send(self) -> None:
        if self.text.strip():
            self.post_message(self.Sent(self.text))

    def action_new_line(self) -> None:
        self.insert("\n")

    def action_target(self) -> None:
        self.post_message(self.TargetChanged())

    def action_leave(self) -> None:
        self.post_message(self.Left())
