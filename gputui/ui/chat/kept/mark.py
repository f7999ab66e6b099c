"""Says beside the prompt that turns are not being kept, as long as they are not."""

from __future__ import annotations

from textual.widgets import Static

WORDS = "not kept: /save all"


class KeptMark(Static):
    """Nothing while all is kept."""

    DEFAULT_CSS = "KeptMark { display: none; width: auto; padding-left: 1; color: $warning; }"

    def __init__(self) -> None:
        super().__init__(WORDS, id="kept-mark", markup=False)

    def show(self, *, kept: bool) -> None:
        """Whether all is kept."""
        if self.display == kept:
            self.display = not kept
