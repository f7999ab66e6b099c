"""A screen that stands still while another one covers it."""

from __future__ import annotations

from textual.app import ScreenStackError
from textual.screen import Screen, ScreenResultType

from gputui.ui.compositor import SparingCompositor


class StillScreen(Screen[ScreenResultType]):
    """Draws only while it is on top, and then all that changed meanwhile.

    Textual (8.2) counts the screen beneath as visible even where the one on top hides it, and for each
    change of it repaints the one on top whole: 50 to 100 KiB a second for a dashboard under a log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._compositor = SparingCompositor()

    @property
    def is_current(self) -> bool:
        """Whether nothing covers it."""
        try:
            return self.app.screen is self
        except ScreenStackError:
            return False
