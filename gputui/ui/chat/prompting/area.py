"""Where the next prompt is written: suggestions above, what is attached, the prompt and where it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static, TextArea

from gputui.ui.cells import cut
from gputui.ui.chat.kept.mark import KeptMark
from gputui.ui.chat.prompt import Prompt
from gputui.ui.chat.prompting.chips import Chips
from gputui.ui.chat.prompting.drafting import Drafting
from gputui.ui.chat.prompting.menu import MenuView
from gputui.ui.palette import Look

_TAG_WIDTH = 16


class PromptArea(Vertical):
    """``submit`` carries out a command, or sends a prompt; it says whether that was taken."""

    def __init__(
        self, look: Look, drafting: Drafting, submit: Callable[[str], Awaitable[bool]]
    ) -> None:
        super().__init__(id="prompt-area")
        self._look = look
        self._drafting = drafting
        self._submit = submit
        self._tag = ""

    def compose(self) -> ComposeResult:
        yield MenuView(self._look, self._drafting.menu)
        yield Chips(self._look, self._drafting.attaching)
        with Horizontal(id="prompt-row"):
            yield Static(self._look.text("› "), id="prompt-mark", markup=False)
            yield Prompt(self._drafting, self._submit)
            yield KeptMark()
            yield Static("", id="target", markup=False)
            yield Static("", id="tag", markup=False)

    def on_mount(self) -> None:
        self.query_one("#tag").display = False

    def redraw(self) -> None:
        """Show what is attached and the tag, where they changed."""
        self.query_one(Chips).update_chips()
        if self._drafting.tag != self._tag:
            self._tag = self._drafting.tag
            tag = self.query_one("#tag", Static)
            tag.update(self._look.text(cut(f"#{self._tag}", _TAG_WIDTH)))
            tag.display = bool(self._tag)

    @on(TextArea.Changed)
    @on(Prompt.MenuMoved)
    def suggest(self) -> None:
        """What the text can become now."""
        self._drafting.suggest(self.query_one(Prompt).command_text)
        self.query_one(MenuView).update_menu()
