"""The screen of power and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer

from gputui.ui.cells import CellView, Line
from gputui.ui.overlay import Overlay, Seen
from gputui.ui.palette import Look
from gputui.ui.power.actions import PowerActions
from gputui.ui.power.lines import PowerView, power_lines


class PowerTable(CellView, can_focus=True):
    """GPUs with their limits, costs, tokens per joule, schedules; the cursor is on a GPU."""

    BINDINGS = [
        Binding("up", "move(-1)", "Up", show=False, id="power.up"),
        Binding("down", "move(1)", "Down", show=False, id="power.down"),
        Binding("P", "limit", "Set limit", id="power.limit"),
    ]

    def __init__(self, look: Look, view: Callable[[int], PowerView], actions: PowerActions) -> None:
        super().__init__(look, id="power")
        self._view = view
        self._actions = actions
        self._selected = 0

    def lines(self, width: int) -> Sequence[Line]:
        return power_lines(self._view(self._selected), width, self.look.palette)

    def show(self) -> None:
        """What is known now; as high as it needs."""
        width = self.content_size.width
        height = len(self.lines(width)) if width > 0 else 1
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.redraw()

    def on_resize(self) -> None:
        self.show()

    def action_move(self, by: int) -> None:
        """Another GPU."""
        gpus = len(self._view(0).report.gpus)
        self._selected = max(0, min(gpus - 1, self._selected + by))
        self.show()
        self.scroll_visible(animate=False)

    def action_limit(self) -> None:
        """Ask for the limit of the GPU under the cursor."""
        view = self._view(self._selected)
        for gpu in view.report.gpus[self._selected : self._selected + 1]:
            sample = view.samples.get(gpu.identity.uuid)
            if sample is not None:
                self._actions.request_limit(sample)


class PowerScreen(Overlay):
    """The table, alone. ``view`` gives what is known, for the GPU under the cursor."""

    AUTO_FOCUS = "PowerTable"
    BINDINGS = [
        Binding("escape,q,w", "dismiss(None)", "Close", key_display="esc", id="power.close"),
        Binding("question_mark", "keys", "Keys", key_display="?", id="view.keys"),
    ]

    def __init__(
        self,
        look: Look,
        view: Callable[[int], PowerView],
        actions: PowerActions,
        show_keys: Callable[[], None],
    ) -> None:
        super().__init__(show_keys)
        self._table = PowerTable(look, view, actions)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="power-frame", can_focus=False) as frame:
            frame.border_title = Content("Power and cost")
            yield self._table
        yield Footer(show_command_palette=True)

    def take(self, seen: Seen) -> None:
        self._table.show()

    def restyle(self) -> None:
        self._table.show()
