"""The details of one instance: state, command, configuration, slots, server, and the end of its log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer

from gputui.errors import GputuiError
from gputui.instances.details import InstanceDetails
from gputui.instances.log.reader import InstanceLog
from gputui.instances.status import RUNNING
from gputui.text import error_words
from gputui.ui.cells import CellView, Line
from gputui.ui.instances.columns import InstanceRow, is_others
from gputui.ui.instances.details_lines import (
    DetailsView,
    head_line,
    left_lines,
    lines_of_all,
    right_lines,
)
from gputui.ui.log.view import LogView
from gputui.ui.overlay import Overlay, Seen
from gputui.ui.palette import Look

WIDE = 110
"""Columns from which on there are two columns."""
DETAILS_SECONDS = 1.0

DrawLines = Callable[[DetailsView, int, Look], Sequence[Line]]


@dataclass(frozen=True)
class InstanceSource:
    """Where the details of one instance come from, and what may be done to it."""

    row: Callable[[], InstanceRow | None]
    details: Callable[[str], Awaitable[InstanceDetails]]
    log: InstanceLog
    act: Callable[[str], None]
    show_log: Callable[[], None]
    edit: Callable[[], None]
    say: Callable[[GputuiError], None]
    clock: Callable[[], float]


class SectionsView(CellView):
    """One column, as high as what it says."""

    def __init__(
        self, look: Look, draw: DrawLines, view: Callable[[], DetailsView], id: str
    ) -> None:
        super().__init__(look, id=id)
        self._draw = draw
        self._view = view

    def lines(self, width: int) -> Sequence[Line]:
        return self._draw(self._view(), width, self.look)

    def show(self) -> None:
        """What is known now."""
        width = self.content_size.width
        height = max(1, len(self.lines(width))) if width > 0 else 1
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.redraw()

    def on_resize(self) -> None:
        self.show()


class InstanceDetailsScreen(Overlay):
    """Everything about one instance; the keys that act on it act here too."""

    AUTO_FOCUS = "#instance-body"
    BINDINGS = [
        Binding("escape,q,enter", "dismiss(None)", "Close", key_display="esc", id="instance.close"),
        Binding("y", "copy", "Copy command", id="instance.copy"),
        Binding("l", "log", "Log", id="instance.show_log"),
        Binding("s", "act('start')", "Start", id="instance.start"),
        Binding("x", "act('stop')", "Stop", id="instance.stop"),
        Binding("r", "act('restart')", "Restart", id="instance.restart"),
        Binding("e", "edit", "Edit", id="instance.edit"),
        Binding("question_mark", "keys", "Keys", key_display="?", id="view.keys"),
    ]

    def __init__(
        self,
        look: Look,
        name: str,
        source: InstanceSource,
        seen: Seen,
        show_keys: Callable[[], None],
    ) -> None:
        super().__init__(show_keys)
        self._look = look
        self._instance = name
        self._source = source
        self._seen = seen
        self._details: InstanceDetails | None = None
        self._told: str | None = None

    def compose(self) -> ComposeResult:
        parts = (self._look, self._left, self._view), (self._look, right_lines, self._view)
        yield SectionsView(self._look, _head, self._view, "instance-head")
        with VerticalScroll(id="instance-body"):
            yield SectionsView(*parts[0], "instance-left")
            yield SectionsView(*parts[1], "instance-right")
        log = LogView(self._look, self._source.log, wrap=False, id="instance-log")
        log.can_focus = False
        log.border_title = Content("Log")
        yield log
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        self._arrange()
        self._show()
        self._read_soon()
        self.set_interval(DETAILS_SECONDS, self._read_soon)

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        wide = self.app.size.width >= WIDE
        self.set_class(wide, "-wide")
        self.query_one("#instance-right").display = wide

    def _left(self, view: DetailsView, width: int, look: Look) -> Sequence[Line]:
        """The left of two columns, or the only one."""
        return (left_lines if self.has_class("-wide") else lines_of_all)(view, width, look)

    def take(self, seen: Seen) -> None:
        self._seen = seen
        self._show()

    def restyle(self) -> None:
        self._show()
        self.query_one(LogView).redraw()

    def _view(self) -> DetailsView:
        snapshot = self._seen.snapshot
        gpus = {gpu.uuid: gpu for gpu in snapshot.identities} if snapshot else {}
        source = self._source
        return DetailsView(self._instance, source.row(), gpus, self._details, source.clock())

    def _show(self) -> None:
        for view in self.query(SectionsView):
            view.show()

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _read_soon(self) -> None:
        if self.is_current:  # nobody sees what another screen hides
            self.run_worker(self._read, group="details", exclusive=True)  # type: ignore[arg-type]

    async def _read(self) -> None:
        row = self._source.row()
        status = row.status if row else None
        external = status is not None and not status.owned and status.state in RUNNING
        try:
            url = status.url if status is not None and external else ""
            self._details = await self._source.details(url)
        except Exception as error:  # noqa: BLE001  the worker's boundary: told once, and tried again
            words = str(error) if isinstance(error, GputuiError) else error_words(error)
            if words != self._told:
                self._told = words
                self._source.say(GputuiError(words, "It is tried again."))
        self._show()

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    def action_copy(self) -> None:
        """The command to the clipboard, by the terminal (OSC 52), so over SSH as well."""
        line = self._details.shell_line if self._details else ""
        if not line:
            why = self._details.trouble if self._details else ""
            self._source.say(GputuiError("There is no command to copy", why))
            return
        self.app.copy_to_clipboard(line)
        self.notify(
            "By your terminal, over SSH too, where it takes OSC 52. Secrets are left out.",
            title="The command is on the clipboard",
            markup=False,
        )

    def action_log(self) -> None:
        self._source.show_log()

    def action_edit(self) -> None:
        self._source.edit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What others started is only shown: no key of the footer acts on it."""
        row = self._source.row()
        if row is None or action not in ("act", "edit"):
            return True
        return not (row.status.external or (action == "act" and is_others(row.status)))

    def action_act(self, action: str) -> None:
        self._source.act(action)

    def commands(self) -> Iterator[SystemCommand]:
        for title, words, run in (
            ("Copy the command", "with its environment, secrets left out", self.action_copy),
            ("Log", "the whole of it", self.action_log),
            ("Start", self._instance, partial(self.action_act, "start")),
            ("Stop", self._instance, partial(self.action_act, "stop")),
            ("Restart", self._instance, partial(self.action_act, "restart")),
            ("Key list", "all keys with their ids", self.action_keys),
            ("Close the details", "back to the dashboard", self.dismiss),
        ):
            yield SystemCommand(title, words, run)


def _head(view: DetailsView, width: int, look: Look) -> Sequence[Line]:
    return [head_line(view, width, look)]
