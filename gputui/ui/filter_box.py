"""The line in which words are typed that are looked for."""

from __future__ import annotations

from textual.events import Paste
from textual.widgets import Input

from gputui.text import clean

FILTER_LENGTH = 200


class FilterBox(Input):
    """One line; what is pasted into it is cleaned."""

    def __init__(self, placeholder: str = "filter: words in any column") -> None:
        super().__init__(placeholder=placeholder, compact=True, max_length=FILTER_LENGTH)

    def _on_paste(self, event: Paste) -> None:
        """What is pasted came from elsewhere, and is drawn here."""
        event.text = clean(event.text)
        super()._on_paste(event)
        event.prevent_default()  # Textual calls the handler of each class of the line
