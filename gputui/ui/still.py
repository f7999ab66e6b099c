"""A screen that stands still while another one covers it."""

from __future__ import annotations

from textual import events
from textual.app import ScreenStackError
from textual.geometry import Size
from textual.screen import Screen, ScreenResultType

from gputui.ui.compositor import SparingCompositor

SENT_SECONDS = 0.05
"""From the first picture until something else may take the processor from the thread that sends it."""


class StillScreen(Screen[ScreenResultType]):
    """Draws only while it is on top, and then all that changed meanwhile.

    Textual (8.2) counts the screen beneath as visible even where the one on top hides it, and for each
    change of it repaints the one on top whole: 50 to 100 KiB a second for a dashboard under a log.
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._compositor = SparingCompositor()
        self._was_drawn = self._was_told = False

    def _screen_resized(self, size: Size) -> None:
        """Laid out again where the size is another: Textual says what it is twice at the start."""
        if size != self._size:
            super()._screen_resized(size)

    def _compositor_refresh(self) -> None:
        """What is drawn within a batch is sent to nobody: all of it is drawn once, after that."""
        if self.app._batch_count:
            self._repaint_required = True
            return
        super()._compositor_refresh()
        if not self._was_drawn and self.is_current:
            self._was_drawn = True
            self.set_timer(SENT_SECONDS, self.tell_drawn)

    def tell_drawn(self) -> None:
        """It was drawn, or is covered from the start and need not be waited for; told once."""
        if not self._was_told:
            self._was_told = True
            self.first_drawn()

    def first_drawn(self) -> None:
        """It was drawn for the first time, and the terminal has had time to take it."""

    async def _on_idle(self, event: events.Idle) -> None:
        """The first picture does not wait for the next sixtieth of a second; Textual's own comes after this."""
        waits = self._layout_required or self._repaint_required
        if not self._was_drawn and waits and self.is_current and not self.app._batch_count:
            self._on_timer_update()

    def _on_timer_update(self) -> None:
        """A new layout and all of the screen are one picture, not two."""
        if self._layout_required and self._repaint_required:
            self._repaint_required = False
            self._dirty_widgets.add(self)
        super()._on_timer_update()

    @property
    def is_current(self) -> bool:
        """Whether nothing covers it."""
        try:
            return self.app.screen is self
        except ScreenStackError:
            return False
