"""A question that is answered with a line of text."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from gputui.ui.filter_box import FilterBox


class LineDialog(ModalScreen[str | None]):
    """Asks for a line of at most ``limit`` characters; ``value`` is there already. The result is None where
    the user leaves it."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="dialog.cancel")]

    def __init__(
        self, question: str, value: str, placeholder: str = "", *, limit: int = 1000
    ) -> None:
        super().__init__()
        self._limit = limit
        self._question = question
        self._value = value
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog line-dialog") as frame:
            frame.border_title = Content(self._question)
            frame.border_subtitle = Content("enter takes it  esc closes")
            box = FilterBox(self._placeholder)
            box.max_length = self._limit
            box.value = self._value
            yield box

    def on_mount(self) -> None:
        box = self.query_one(Input)
        self.set_focus(box)
        box.cursor_position = len(box.value)

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss(message.value.strip() or None)
