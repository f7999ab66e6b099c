"""Marking who is to answer: two to eight of all that can."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from gputui.chat.conversation import SIDE_NAMES
from gputui.ui.dialogs import Choice

LEAST, MOST = 2, len(SIDE_NAMES)


class ModelPicker(ModalScreen[tuple[str, ...] | None]):
    """Gives the names in the order of the list, those of ``marked`` first; None where it was closed."""

    BINDINGS = [
        Binding("space", "mark", "Mark", id="picker.mark"),
        Binding("escape", "dismiss(None)", "Cancel", id="picker.cancel"),
    ]

    def __init__(self, choices: Sequence[Choice], marked: Sequence[str]) -> None:
        super().__init__()
        self._choices = choices
        able = {choice.id for choice in choices if not choice.disabled}
        self._marked = [name for name in dict.fromkeys(marked) if name in able][:MOST]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as frame:
            frame.border_subtitle = Content("space marks  enter asks  esc closes")
            yield Static("", classes="question", markup=False)
            yield OptionList(*(self._option(choice) for choice in self._choices))

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = next(
            (place for place, choice in enumerate(self._choices) if not choice.disabled), None
        )
        options.focus()
        self._count()

    def _option(self, choice: Choice) -> Option:
        mark = "    " if choice.disabled else "[x] " if choice.id in self._marked else "[ ] "
        text = Content.assemble(
            mark, choice.text, (f"  {choice.note}" if choice.note else "", "dim")
        )
        return Option(text, id=choice.id, disabled=choice.disabled)

    def _count(self, problem: str = "") -> None:
        words = problem or f"Who answers? {len(self._marked)} of at most {MOST} marked"
        self.query_one(".question", Static).update(Content(words))

    def action_mark(self) -> None:
        """Mark the highlighted one, or take its mark away."""
        options = self.query_one(OptionList)
        place = options.highlighted
        if place is None or self._choices[place].disabled:
            return
        choice = self._choices[place]
        if choice.id in self._marked:
            self._marked.remove(choice.id)
        elif len(self._marked) == MOST:
            self._count(f"{MOST} are the most: take a mark away first")
            return
        else:
            self._marked.append(choice.id)
        options.replace_option_prompt_at_index(place, self._option(choice).prompt)
        self._count()

    @on(OptionList.OptionSelected)
    def option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter: whoever is marked."""
        event.stop()
        if len(self._marked) < LEAST:
            self._count(f"Mark {LEAST} at least: space marks")
            return
        self.dismiss(tuple(self._marked))
