"""The keys at the foot of a screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer


class KeysLine(Footer):
    """Textual's own, made anew only where other keys hold: it is twenty widgets.

    ``held``: none of them is made yet, for none shows a GPU; who sets it False has the screen refresh
    its bindings.
    """

    def __init__(self, *, held: bool = False) -> None:
        super().__init__(show_command_palette=True)
        self.held = held
        self._shown: list[object] = []

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Other keys may hold now."""
        if self.held or not screen.app.app_focus:
            return
        shown: list[object] = [
            (binding, enabled)
            for _, binding, enabled, _ in screen.active_bindings.values()
            if binding.show
        ]
        if shown != self._shown:
            self._shown = shown
            super().bindings_changed(screen)

    def compose(self) -> ComposeResult:
        """The keys of now. Those before are let go: Textual 8.2 keeps all that ever watched ``compact``."""
        getattr(self, "__watchers", {}).pop("compact", None)
        yield from super().compose()
