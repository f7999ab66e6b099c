"""The log of an instance: the view, what it says of itself, and the line in which words are typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.widgets import Footer, Input

from gputui.instances.log.lines import Level
from gputui.instances.log.reader import InstanceLog
from gputui.text import size
from gputui.ui.cells import CellView, Line
from gputui.ui.filter_box import FilterBox
from gputui.ui.log.view import LogView
from gputui.ui.overlay import Overlay, Seen
from gputui.ui.palette import Look


class LogBar(CellView):
    """One line above the log: which one, where in it, how it is shown."""

    def __init__(self, look: Look, name: str, view: LogView) -> None:
        super().__init__(look, id="log-bar")
        self._instance = name
        self._view = view

    def lines(self, width: int) -> list[Line]:
        palette, view, file = self.look.palette, self._view, self._view.file
        line = Line().add(f" log of {self._instance}", palette.strong)
        if file is None:
            return [line]
        if view.age:
            line.add(f"  {file.path.name}", palette.warning)
        line.add(f"  {size(file.size)}", palette.value)
        self._place(line)
        if view.least is not Level.DEBUG:
            line.add(f"  {view.least.words}", palette.strong)
        if view.cut_from is not None:
            from_column = f" from column {view.cut_from + 1}" if view.cut_from else ""
            line.add(f"  no wrap{from_column}", palette.dim)
        if view.search is not None:
            line.add(f"  /{view.search.words}", palette.strong)
        if view.note and not view.busy:
            line.add(f"  {view.note}", palette.warning)
        return (
            [Line().cell("".join(text for text, _ in line.runs), width, palette.value)]
            if (line.width > width)
            else [line]
        )

    def _place(self, line: Line) -> None:
        palette, view = self.look.palette, self._view
        if view.place and view.file and view.file.size:
            done = min(1.0, view.place / view.file.size)
            line.add(f"  looking, at {done * 100:.0f} % (esc ends it)", palette.warning)
        elif view.age:
            line.add(f"  {view.share * 100:.0f} %", palette.dim)
        elif view.follow:
            line.add("  following", palette.success)
        else:
            line.add(f"  {view.share * 100:.0f} %, not following (G)", palette.dim)


class LogScreen(Overlay):
    """The log, alone. ``words`` are searched for at once, "" for none."""

    AUTO_FOCUS = "LogView"
    BINDINGS = [
        Binding("escape", "back", "Close", key_display="esc", id="log.close"),
        Binding("q,l", "dismiss(None)", "Close", show=False, id="log.close_at_once"),
        Binding("question_mark", "keys", "Keys", key_display="?", id="view.keys"),
    ]

    def __init__(
        self, look: Look, name: str, log: InstanceLog, show_keys: Callable[[], None]
    ) -> None:
        super().__init__(show_keys)
        self._view = LogView(look, log, id="log")
        self._bar = LogBar(look, name, self._view)
        self._box = FilterBox("search: words, capitals count where there is one")

    def compose(self) -> ComposeResult:
        yield self._bar
        yield self._view
        yield self._box
        yield Footer(show_command_palette=True)

    def take(self, seen: Seen) -> None:
        """Samples say nothing of logs."""

    def restyle(self) -> None:
        self._bar.redraw()
        self._view.redraw()

    @on(LogView.Changed)
    def view_changed(self) -> None:
        self._bar.redraw()

    @on(LogView.SearchRequested)
    def search_requested(self) -> None:
        self._box.add_class("-open")
        self.set_focus(self._box)

    @on(Input.Submitted)
    def words_typed(self, message: Input.Submitted) -> None:
        message.stop()
        self._close_box()
        self._view.find(message.value)

    def _close_box(self) -> None:
        self._box.remove_class("-open")
        self.set_focus(self._view)

    def action_back(self) -> None:
        """One step: out of the line of words, out of a long look, out of a search, out of the log."""
        if self._box.has_focus:
            self._close_box()
        elif self._view.busy:
            self._view.cancel()
        elif self._view.search is not None:
            self._box.value = ""
            self._view.find("")
        else:
            self.dismiss()

    def commands(self) -> Iterator[SystemCommand]:
        view = self._view
        for title, words, run in (
            ("Search", "words in the whole log", view.action_search),
            ("Next found", "n", partial(view.action_find, 1)),
            ("Found before", "N", partial(view.action_find, -1)),
            ("Level", "all, info+, warnings+, errors", view.action_level),
            ("Wrap", "long lines, or cut them", view.action_wrap),
            ("Older log", "the one before this", partial(view.action_older, 1)),
            ("Newer log", "the one after this", partial(view.action_older, -1)),
            ("Top", "of the log", view.action_top),
            ("Follow", "the end of the log", view.action_end),
            ("Key list", "all keys with their ids", self.action_keys),
            ("Close the log", "back", self.dismiss),
        ):
            yield SystemCommand(title, words, run)
