"""The lines of the file that will differ, before they are written."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from gputui.ui.palette import Look

_AROUND = 9
"""Rows of a question of two lines, of the keys, of blanks and of the frame."""


class PreviewScreen(ModalScreen[bool]):
    """Asks whether these lines are to be written; enter or ``y`` does."""

    BINDINGS = [
        Binding("enter,y", "answer(True)", "Write", id="preview.write"),
        Binding("escape,n", "answer(False)", "Back", id="preview.back"),
        Binding("up", "scroll(-1)", "Up", show=False, id="preview.up"),
        Binding("down", "scroll(1)", "Down", show=False, id="preview.down"),
    ]

    def __init__(self, question: str, lines: Sequence[str], look: Look) -> None:
        super().__init__()
        self._question = question
        self._lines = lines
        self._look = look
        self._answered = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="preview"):
            yield Static(Content(self._look.text(self._question)), classes="question", markup=False)
            with VerticalScroll(id="preview-lines", can_focus=False):
                yield Static(diff_content(self._lines, self._look), markup=False)
            yield Static(
                "enter or y writes it   esc or n goes back", id="preview-keys", markup=False
            )

    def action_answer(self, write: bool) -> None:
        """Close with the first answer."""
        if not self._answered:
            self._answered = True
            self.dismiss(write)

    def on_resize(self) -> None:
        """The lines take what the question, the keys and the frame leave."""
        most = self.app.size.height * 4 // 5 - _AROUND
        self.query_one("#preview-lines").styles.max_height = max(3, most)

    def action_scroll(self, by: int) -> None:
        self.query_one("#preview-lines").scroll_relative(y=by, animate=False)


def diff_content(lines: Sequence[str], look: Look) -> Content:
    """Lines with ``+`` and ``-`` before them; colour only repeats what these say."""
    styles = {"+": "$success", "-": "$error"}
    parts = [(look.text(line) + "\n", styles.get(line[:1], "$gputui-dim")) for line in lines]
    return Content.assemble(*parts).rstrip()
