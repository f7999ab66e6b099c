"""The screen of all processes on all GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.widgets import Footer

from gputui.ui.overlay import Overlay, Seen
from gputui.ui.palette import Look
from gputui.ui.processes.actions import ProcessActions
from gputui.ui.processes.table import ProcessTable


class ProcessesScreen(Overlay):
    """The table, alone."""

    AUTO_FOCUS = "ProcessList"
    BINDINGS = [
        Binding("escape,q", "dismiss(None)", "Close", key_display="esc", id="processes.close"),
        Binding("question_mark", "keys", "Keys", key_display="?", id="view.keys"),
    ]

    def __init__(
        self,
        look: Look,
        actions: ProcessActions,
        show_keys: Callable[[], None],
        seen: Seen,
    ) -> None:
        super().__init__(show_keys)
        self._look = look
        self._actions = actions
        self._seen = seen

    def compose(self) -> ComposeResult:
        yield ProcessTable(self._look, self._actions)
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        self.take(self._seen)

    def take(self, seen: Seen) -> None:
        if seen.snapshot is not None:
            self.query_one(ProcessTable).update_processes(seen.snapshot, seen.instances)

    def restyle(self) -> None:
        self.query_one(ProcessTable).redraw()

    def commands(self) -> Iterator[SystemCommand]:
        table = self.query_one(ProcessTable)
        yield SystemCommand("Filter", "words in any column", table.action_filter)
        yield SystemCommand("Sort the other way round", "the same column", table.action_reverse)
        yield SystemCommand(
            "Sort by the next column", "to the right", lambda: table.action_column(1)
        )
        yield SystemCommand("Tree", "ancestors and children, or none", table.action_tree)
        yield SystemCommand("Environment", "of the selected process", table.action_environment)
        yield SystemCommand("Signal", "to the selected process", table.action_signal)
        yield SystemCommand("Key list", "all keys with their ids", self.action_keys)
