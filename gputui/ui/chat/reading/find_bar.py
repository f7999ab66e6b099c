"""The line at the foot of the chat in which words are searched for."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import Input, Static

from gputui.ui.filter_box import FilterBox
from gputui.ui.palette import Look


class FindBar(Horizontal):
    """Hidden but while words are typed or looked at. ``typed`` gets the words, ``left`` is called at escape."""

    DEFAULT_CSS = """
    FindBar { display: none; height: 1; padding: 0 1; }
    FindBar Input.-textual-compact { width: 1fr; height: 1; border: none; padding: 0; }
    FindBar #find-mark { width: 2; color: $accent; }
    FindBar #find-words { width: 1fr; height: 1; color: $gputui-dim; }
    """
    BINDINGS = [Binding("escape", "leave", "Close", id="find.close")]

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self.typed: Callable[[str], None] | None = None
        self.left: Callable[[], None] | None = None

    @property
    def box(self) -> FilterBox:
        """Where words are typed; with it comes all of the line, once something is searched for."""
        if not self.children:
            self.mount(
                Static("/ ", id="find-mark", markup=False),
                FilterBox("find: words in both sides, capitals count where there is one"),
                Static("", id="find-words", markup=False),
            )
        return self.query_one(FilterBox)

    def ask(self) -> None:
        """Have the user type, in place of the words of before."""
        self._show(typing=True)
        self.box.value = ""
        self.screen.set_focus(self.box)

    def say(self, words: str) -> None:
        """Show what is found, and where one is in it."""
        self._show(typing=False)
        self.query_one("#find-words", Static).update(self._look.text(words))

    def close(self) -> None:
        """Be gone."""
        self.display = False

    def _show(self, *, typing: bool) -> None:
        self.display = True
        self.box.display = typing
        self.query_one("#find-words").display = not typing

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        message.stop()
        if self.typed is not None:
            self.typed(message.value)

    def action_leave(self) -> None:
        if self.left is not None:
            self.left()
