"""The suggestions as a list that lies over the answers, right above the prompt."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from textual.css.types import EdgeType

from gputui.ui.cells import CellView, Line
from gputui.ui.chat.prompting.suggestions import Menu, Suggestion
from gputui.ui.palette import Look

ROWS = 8
_LABEL_SHARE = 0.45


class MenuView(CellView):
    """At most eight suggestions; the chosen one is always among them."""

    def __init__(self, look: Look, menu: Menu) -> None:
        super().__init__(look, id="prompt-menu")
        self._menu = menu
        self._first = 0

    def on_mount(self) -> None:
        self.display = False

    def update_menu(self) -> None:
        """Show what is suggested now, or nothing."""
        menu, rows = self._menu, min(len(self._menu.shown), ROWS)
        self.display = menu.open
        if not menu.open:
            return
        self._first = max(0, min(self._first, menu.at, len(menu.shown) - rows), menu.at - rows + 1)
        kind: EdgeType = "ascii" if self.look.ascii_only else "round"
        self.styles.border = (kind, self.look.palette.theme.colors.border)
        self.styles.height = rows + 2
        self.styles.offset = (0, -(rows + 2))
        more = f"{menu.at + 1} of {len(menu.shown)}" if len(menu.shown) > rows else ""
        self.border_title = Content(self.look.text(more))
        keys = "tab completes · esc closes" if menu.choosing else "esc closes"
        self.border_subtitle = Content(self.look.text(keys))
        self.redraw()

    def lines(self, width: int) -> Iterable[Line]:
        shown = self._menu.shown[self._first : self._first + ROWS]
        labels = max((len(one.label) for one in shown), default=0)
        labels = (
            min(labels, int(width * _LABEL_SHARE)) if any(o.words for o in shown) else width - 3
        )
        for place, one in enumerate(shown, self._first):
            yield self._line(one, labels, width, chosen=place == self._menu.at)

    def _line(self, one: Suggestion, labels: int, width: int, *, chosen: bool) -> Line:
        palette = self.look.palette
        can_be_taken = one.text is not None
        marked = chosen and can_be_taken
        base = palette.cursor if marked else palette.value
        line = Line().add("› " if marked else "  ", base)
        line.cell(one.label, labels, base + palette.strong if marked else base, gap=2)
        rest = width - line.width
        words = base if marked else palette.dim
        return line.cell(one.words, max(0, rest), base + palette.dim if marked else words)
