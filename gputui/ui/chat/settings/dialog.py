"""One value typed in: a line, or a text of several."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key, Paste
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from gputui.errors import GputuiError
from gputui.text import clean, sentences
from gputui.ui.palette import Look


class SystemText(TextArea):
    """A text of several lines: enter keeps it, ctrl+j makes a new line."""

    class Kept(Message):
        """Enter was pressed."""

    async def _on_key(self, event: Key) -> None:
        if event.key in ("enter", "ctrl+j"):
            event.stop()
            event.prevent_default()
            if event.key == "enter":
                self.post_message(self.Kept())
            else:
                self.insert("\n")

    async def _on_paste(self, event: Paste) -> None:
        event.text = clean(event.text)


class ValueDialog(ModalScreen[None]):
    """Asks for a value. ``keep`` takes what was typed, and raises GputuiError, which is told here."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="value.cancel")]

    def __init__(
        self,
        title: str,
        help: str,
        value: str,
        keep: Callable[[str], None],
        look: Look,
        *,
        several: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._help = help
        self._value = value
        self._keep = keep
        self._look = look
        self._several = several

    def compose(self) -> ComposeResult:
        keys = (
            "enter keeps  ctrl+j new line  esc leaves"
            if self._several
            else "enter keeps  esc leaves"
        )
        with Vertical(classes="dialog", id="value-dialog") as frame:
            frame.border_title = Content(self._look.text(self._title))
            frame.border_subtitle = Content(keys)
            if self._several:
                yield SystemText(self._value, id="value-text", compact=True, soft_wrap=True)
            else:
                yield Input(self._value, id="value-input")
            yield Static(Content(self._look.text(self._help)), id="value-help", markup=False)
            yield Static("", id="value-trouble", markup=False)

    def on_mount(self) -> None:
        if self._several:
            text = self.query_one(SystemText)
            text.move_cursor(text.document.end)
            self.set_focus(text)
        else:
            self.set_focus(self.query_one(Input))

    def on_system_text_kept(self) -> None:
        self._take(self.query_one(SystemText).text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._take(event.value)

    def _take(self, text: str) -> None:
        try:
            self._keep(clean(text).strip())
        except GputuiError as error:
            words = self._look.text(sentences(error.message, error.hint))
            self.query_one("#value-trouble", Static).update(Content(words))
            return
        self.dismiss(None)
