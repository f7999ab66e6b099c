"""Small screens over the dashboard: a question, a choice, a text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose; ``note`` is shown dim behind it. ``disabled``: seen, and not to be had."""

    id: str
    text: str
    note: str = ""
    disabled: bool = False


class ChoiceDialog(ModalScreen[str | None]):
    """A question with a list of answers: arrows and enter, or the letter before the text."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="dialog.cancel")]
    HEADING = ""
    """What the frame says above; the question itself is within it."""
    KEYS = "enter chooses  esc closes"
    """What the frame says of keys."""

    def __init__(self, question: str, choices: Sequence[Choice], preselected: int = 0) -> None:
        super().__init__()
        self._question = question
        self._choices = choices
        self._preselected = preselected

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as frame:
            frame.border_title = Content(self.HEADING)
            frame.border_subtitle = Content(self.KEYS)
            yield Static(Content(self._question), classes="question", markup=False)
            yield OptionList(*(self._option(choice) for choice in self._choices))

    def _option(self, choice: Choice) -> Option:
        text = Content.assemble(choice.text, ("  " + choice.note, "dim") if choice.note else "")
        return Option(text, id=choice.id, disabled=choice.disabled)

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = self._preselected
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)


class ConfirmDialog(ChoiceDialog):
    """Yes or no, by ``y`` and ``n`` as well; enter alone changes nothing."""

    BINDINGS = [
        Binding("y", "dismiss('yes')", "Yes", id="dialog.yes"),
        Binding("n", "dismiss('no')", "No", id="dialog.no"),
    ]
    KEYS = "y n  enter chooses  esc closes"

    def __init__(self, question: str, yes: str = "Yes", no: str = "No") -> None:
        super().__init__(question, (Choice("yes", yes, "y"), Choice("no", no, "n")), 1)


class WaitScreen(ModalScreen[None]):
    """Says what is waited for; takes no key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._text, markup=False)


class TextScreen(ModalScreen[None]):
    """Plain text to read: the keys, the environment of a process."""

    BINDINGS = [
        Binding("escape,q", "dismiss(None)", "Close", id="text.close"),
        Binding("up,k", "scroll(-1)", show=False, id="text.up"),
        Binding("down,j", "scroll(1)", show=False, id="text.down"),
        Binding("end,G", "end", "End", id="text.end"),
    ]

    def __init__(self, title: str, read: Callable[[], Awaitable[str]]) -> None:
        super().__init__()
        self._title = title
        self._read = read

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="text-screen") as scroll:
            scroll.border_title = Content(self._title)
            scroll.border_subtitle = Content("escape closes")
            yield Static("", markup=False)

    async def on_mount(self) -> None:
        self.query_one(Static).update(Content(await self._read() or "(empty)"))

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_end(self) -> None:
        self.query_one(VerticalScroll).scroll_end(animate=False)
