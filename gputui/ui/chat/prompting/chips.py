"""What is attached to the next prompt, in one line above it."""

from __future__ import annotations

from collections.abc import Iterable

from gputui.ui.cells import CellView, Line, cut
from gputui.ui.chat.prompting.attaching import Attaching
from gputui.ui.palette import Look

_KEYS = "/detach [N] takes off"
_GAP = "   "
_LEAST = 12
"""Characters of a chip that is still worth its place."""


class Chips(CellView):
    """Each attachment with the number by which it is taken off; those that do not fit are counted."""

    def __init__(self, look: Look, attaching: Attaching) -> None:
        super().__init__(look, id="prompt-chips")
        self._attaching = attaching
        self._version = -1

    def on_mount(self) -> None:
        self.display = False

    def update_chips(self) -> None:
        """Show what is attached now, or nothing."""
        if self._version != self._attaching.version:
            self._version = self._attaching.version
            self.display = bool(self._attaching.attached)
            self.redraw()

    def lines(self, width: int) -> Iterable[Line]:
        palette = self.look.palette
        line = Line().add("+ ", palette.dim)
        attached = self._attaching.attached
        for number, one in enumerate(attached, 1):
            left = len(attached) - number
            room = width - line.width - (len(f"{_GAP}+{left}") if left else 0)
            label = f"{number} "
            if room < len(label) + min(len(one.words), _LEAST):
                line.add(f"+{left + 1}", palette.dim)
                break
            line.add(label, palette.dim).add(cut(one.words, room - len(label)), palette.value)
            line.add(_GAP if left else "", palette.dim)
        if width - line.width >= len(_GAP + _KEYS):
            line.add(_GAP + _KEYS, palette.dim)
        return [line]
