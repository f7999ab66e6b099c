"""Which texts are to be compared: two, or those of a file."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from gputui.text import clean_line

FIELDS = {
    "first": "Text 1",
    "second": "Text 2",
    "file": "or a file (one text per line)",
}
"""By their names, what stands over them."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Two texts; or the path of a file, "" for none."""

    first: str
    second: str
    file: str


class TextsDialog(ModalScreen[Texts | None]):
    """Two fields, and one for a file; enter compares."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="dialog.cancel")]

    def __init__(self, by: str) -> None:
        super().__init__()
        self._by = by

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog line-dialog") as frame:
            frame.border_title = Content(f"Compared by {clean_line(self._by, 80)}")
            frame.border_subtitle = Content("tab next  enter compares  esc closes")
            for name, words in FIELDS.items():
                yield Static(words, markup=False)
                yield Input(compact=True, id=f"embed-{name}")

    def on_mount(self) -> None:
        self.set_focus(self.query_one("#embed-first", Input))

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        """Compare, once something is there to be compared; else on to the next field."""
        message.stop()
        first, second, file = (field.value.strip() for field in self.query(Input))
        if file or (first and second):
            self.dismiss(Texts(first, second, file))
        else:
            self.focus_next()
