"""The table of the processes on the GPUs: sorted, filtered, as a tree; signals and environments by key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input

from gputui.gpu.family import Family
from gputui.gpu.host_processes import LOOK_SECONDS, LocalProcess
from gputui.gpu.sample import Snapshot
from gputui.ui.filter_box import FilterBox
from gputui.ui.palette import Look
from gputui.ui.processes.actions import ProcessActions
from gputui.ui.processes.list import ProcessList
from gputui.ui.processes.rows import (
    COLUMNS_BY_TITLE,
    ProcessRow,
    not_listed,
    rows_of,
    shows,
    sort_rows,
    with_relatives,
)
from gputui.ui.processes.tree import as_tree, with_ancestors

TOGETHER_SECONDS = 0.1
"""By how much a look at the tree may come early, to fall together with a sample."""


@dataclass
class Order:
    """What is shown, and in which order. ``column`` is a title of COLUMNS."""

    column: str = "GPU"
    falling: bool = False
    words: str = ""
    tree: bool = False

    def choose(self, title: str) -> None:
        """Sort by that column, the way it is mostly wanted; by the same one: the other way round."""
        same = title == self.column
        self.falling = not self.falling if same else COLUMNS_BY_TITLE[title].falling
        self.column = title

    def arrange(
        self,
        rows: Sequence[ProcessRow],
        family: Mapping[int, LocalProcess],
        instances: Mapping[int, str],
        now: float,
    ) -> list[ProcessRow]:
        """``rows`` as they are shown; in the tree with their relatives, and above each that the filter
        keeps its ancestors."""
        if self.tree:
            rows = with_relatives(rows, family, instances)
        ordered = sort_rows(rows, COLUMNS_BY_TITLE[self.column], self.falling)
        kept = [row for row in ordered if not self.words or shows(row, self.words, now)]
        if not self.tree:
            return kept
        parents = {pid: process.parent for pid, process in family.items()}
        return as_tree(with_ancestors(ordered, {row.node for row in kept}, parents), parents)


@dataclass
class _Facts:
    """What the table was told, and what it found out."""

    snapshot: Snapshot | None = None
    instances: Mapping[int, str] = field(default_factory=dict)
    family: Mapping[int, LocalProcess] = field(default_factory=dict)
    family_at: float = 0.0
    reading: bool = False


class ProcessTable(Vertical):
    """The processes on all GPUs, or on the one with ``uuid``.

    Whoever shows it calls ``update_processes`` with each sample. What is done to a process goes
    through ``actions``.
    """

    DEFAULT_CSS = """
    ProcessTable { height: 1fr; }
    ProcessTable ProcessList { height: 1fr; }
    ProcessTable Input.-textual-compact { display: none; height: 1; border: none; padding: 0 1; }
    ProcessTable Input.-textual-compact.-open { display: block; }
    """
    BINDINGS = [
        Binding("up", "move(-1)", "Up", show=False, id="processes.up"),
        Binding("down", "move(1)", "Down", show=False, id="processes.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="processes.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="processes.page_down"),
        Binding("home", "move(-1000000)", "First", show=False, id="processes.first"),
        Binding("end", "move(1000000)", "Last", show=False, id="processes.last"),
        Binding(
            "less_than_sign", "column(-1)", "Sort", key_display="< >", id="processes.sort_left"
        ),
        Binding(
            "greater_than_sign", "column(1)", show=False, key_display=">", id="processes.sort_right"
        ),
        Binding("r", "reverse", "Reverse", id="processes.reverse"),
        # Before all others: over SSH keys come in bursts, and the next ones are the filter's.
        Binding("slash", "filter", "Filter", key_display="/", id="processes.filter", priority=True),
        Binding("t", "tree", "Tree", id="processes.tree"),
        Binding("e", "environment", "Environment", id="processes.environment"),
        Binding("k", "signal", "Signal", id="processes.signal"),
        Binding("escape", "unfilter", "Clear filter", show=False, id="processes.unfilter"),
    ]

    def __init__(
        self, look: Look, actions: ProcessActions, *, uuid: str | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._actions = actions
        self._uuid = uuid
        self._order = Order() if uuid is None else Order("GPU memory", falling=True)
        self._facts = _Facts()
        self._family = Family()
        self._box = FilterBox()
        self._list = ProcessList(look, self._order, one_gpu=uuid is not None)

    def compose(self) -> ComposeResult:
        yield self._list
        yield self._box

    def update_processes(
        self, snapshot: Snapshot, instances: Mapping[int, str] | None = None
    ) -> None:
        """Show ``snapshot``; ``instances`` gives the names of ours by pid, None as before."""
        self._facts.snapshot = snapshot
        if instances is not None:
            self._facts.instances = instances
        if self._order.tree:
            self._read_family()
        self.redraw()

    def show_gpu(self, uuid: str | None) -> None:
        """Show the processes on another GPU alone, on all with None."""
        if uuid != self._uuid:
            self._uuid, self._list.one_gpu = uuid, uuid is not None
            if uuid is not None and self._order.column == "GPU":
                self._order.choose("GPU memory")
            self._facts.family_at = 0.0
            self.redraw()

    def redraw(self) -> None:
        """Show what is known, in the order and the colours of now."""
        facts, snapshot = self._facts, self._facts.snapshot
        if snapshot is None:
            return
        rows = rows_of(snapshot, facts.instances, self._uuid)
        shown = self._order.arrange(rows, facts.family, facts.instances, snapshot.taken_at)
        self._list.note = not_listed(snapshot, self._uuid)
        self._list.update_rows(shown, len({row.node for row in rows}), snapshot.taken_at)

    @property
    def selected(self) -> ProcessRow | None:
        """The row of the cursor."""
        return self._list.selected

    # ── the order ────────────────────────────────────────────────────────────────────────────

    def action_move(self, by: int) -> None:
        self._list.move(by)

    def action_page(self, direction: int) -> None:
        self._list.move(direction * self._list.page)

    def action_column(self, by: int) -> None:
        titles = [column.title for column in self._list.columns]
        here = titles.index(self._order.column) if self._order.column in titles else -by
        self._order.choose(titles[(here + by) % len(titles)])
        self.redraw()

    def action_reverse(self) -> None:
        self._order.choose(self._order.column)
        self.redraw()

    @on(ProcessList.ColumnChosen)
    def column_chosen(self, message: ProcessList.ColumnChosen) -> None:
        message.stop()
        self._order.choose(message.title)
        self.redraw()

    # ── the filter ───────────────────────────────────────────────────────────────────────────

    def action_filter(self) -> None:
        self._box.add_class("-open")
        self.screen.set_focus(self._box)  # at once: the letters typed next are the filter's

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is the filter's while there is one, else whoever holds the table closes; in the
        filter its key is a letter."""
        if action == "filter":
            return self.screen.focused is not self._box
        return action != "unfilter" or bool(self._order.words) or self._box.has_focus

    def action_unfilter(self) -> None:
        self._box.value = ""
        self._close_filter()

    @on(Input.Changed)
    def filter_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._order.words = message.value
        self.redraw()

    @on(Input.Submitted)
    def filter_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self._close_filter()

    def _close_filter(self) -> None:
        self._box.set_class(bool(self._box.value), "-open")
        self.screen.set_focus(self._list)

    # ── the tree ─────────────────────────────────────────────────────────────────────────────

    def action_tree(self) -> None:
        self._order.tree = not self._order.tree
        self._facts.family_at = 0.0
        if self._order.tree:
            self._read_family()
        self.redraw()

    def _read_family(self) -> None:
        """Look at the relatives again, on a thread, where the last look is old and done."""
        facts, snapshot = self._facts, self._facts.snapshot
        if snapshot is None or not snapshot.live or facts.reading:
            return
        if snapshot.taken_at - facts.family_at < LOOK_SECONDS - TOGETHER_SECONDS:
            return
        facts.family_at, facts.reading = snapshot.taken_at, True
        pids = {row.pid for row in rows_of(snapshot, facts.instances, self._uuid) if row.host}
        self.run_worker(self._adopt_family(pids), group="family")

    async def _adopt_family(self, pids: set[int]) -> None:
        try:
            self._facts.family = await asyncio.to_thread(self._family.look, pids)
        except Exception as error:  # noqa: BLE001  the worker's boundary: told, the table goes on
            self._order.tree = False
            self._actions.tell(error)
        finally:
            self._facts.reading = False
        self.redraw()

    # ── one process ──────────────────────────────────────────────────────────────────────────

    def action_environment(self) -> None:
        if self.selected is not None and self._facts.snapshot is not None:
            self._actions.show_environment(self.selected, live=self._facts.snapshot.live)

    def action_signal(self) -> None:
        row, snapshot = self.selected, self._facts.snapshot
        if row is not None and snapshot is not None:
            same = [r for r in rows_of(snapshot, self._facts.instances) if r.node == row.node]
            self._actions.request_signal(row, same, live=snapshot.live)
