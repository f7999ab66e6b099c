"""The details of one GPU: every reading, charts over time, what runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from rich.cells import cell_len
from rich.style import Style
from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.widgets import Footer, Static

from gputui.gpu.history import History
from gputui.gpu.sample import GpuSample, Problem, Snapshot
from gputui.identity import short_name
from gputui.text import sentences
from gputui.ui.cells import CellView, Line
from gputui.ui.gpus.chart_state import ChartRange, ChartState
from gputui.ui.gpus.chart_view import ChartView, Scene
from gputui.ui.gpus.facts import FactsView, facts_of
from gputui.ui.gpus.lines import gpu_title
from gputui.ui.overlay import Overlay, Seen
from gputui.ui.palette import Look
from gputui.ui.power.actions import PowerActions
from gputui.ui.processes.table import ProcessTable

WIDE, TALL = 110, 38
"""From so many columns on, readings and charts stand side by side; from so many rows on, the processes
stand below the charts instead of in their place."""

RangeChange = Callable[[ChartRange, float, float], ChartRange]
"""The next range from the one before; the other two are the history's ``now`` and ``begin``."""

BorderKind = Literal["ascii", "round"]

_SELECTED = Style(bold=True)


@dataclass
class DetailsMemory:
    """What stays as the user left it from one look at the details to the next."""

    uuid: str | None = None
    charts: ChartState = field(default_factory=ChartState)


class GpuBar(CellView):
    """One line with all GPUs; the one whose details are shown stands out."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, id="details-gpus")
        self._gpus: tuple[GpuSample, ...] = ()
        self._uuid: str | None = None

    def update_gpus(self, gpus: tuple[GpuSample, ...], uuid: str | None) -> None:
        """All GPUs, and whose details are shown."""
        self._gpus, self._uuid = gpus, uuid
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        names = [f"{gpu.identity.index}  {short_name(gpu.identity.name)}" for gpu in self._gpus]
        if sum(cell_len(name) + 2 for name in names) > width:
            names = [str(gpu.identity.index) for gpu in self._gpus]
        line = Line()
        for gpu, name in zip(self._gpus, names, strict=True):
            style = self.look.palette.hue(gpu.identity.index)
            mark = " "
            if gpu.identity.uuid == self._uuid:
                style, mark = style + _SELECTED, "▸"
            line.add(f"{mark}{name} ", style)
        return [line]


class GpuDetails(Overlay):
    """Everything about one GPU, and keys that choose what is charted.

    ``memory`` is read and written; ``processes`` shows those of the GPU, ``power`` sets its limit.
    """

    BINDINGS = [
        Binding("escape,g,q", "dismiss", "Close", id="details.close", key_display="esc"),
        Binding("tab", "part(1)", "Part", id="details.part"),
        Binding("shift+tab", "part(-1)", "Part before", show=False, id="details.part_back"),
        Binding("o", "overlay", "Other GPUs", id="details.overlay"),
        Binding("left_square_bracket", "gpu(-1)", "GPU", id="details.before", key_display="[ ]"),
        Binding(
            "right_square_bracket", "gpu(1)", "Next GPU", show=False, id="details.next",
            key_display="]",
        ),
        Binding("plus,equals_sign", "zoom(1)", "Zoom", id="details.zoom_in", key_display="+ -"),
        Binding("minus", "zoom(-1)", "Zoom out", show=False, id="details.zoom_out", key_display="-"),
        Binding("left", "pan(-1)", "Move", id="details.earlier", key_display="left right"),
        Binding("right", "pan(1)", "Later", show=False, id="details.later"),
        Binding("0,home", "now", "Now", id="details.now", key_display="0"),
        Binding("P", "power_limit", "Power limit", id="details.power_limit"),
        Binding("question_mark", "keys", "Keys", key_display="?", id="details.keys"),
    ]  # fmt: skip

    def __init__(
        self,
        show_keys: Callable[[], None],
        look: Look,
        history: History,
        memory: DetailsMemory,
        seen: Seen,
        processes: ProcessTable,
        power: PowerActions,
    ) -> None:
        super().__init__(show_keys)
        self._look = look
        self._history = history
        self._memory = memory
        self._seen = seen
        self._processes = processes
        self._power = power
        self._sample: GpuSample | None = None
        self._facts = FactsView(look, id="details-facts")
        self._charts = ChartView(look, history, id="details-charts")
        self._front: Widget = self._facts
        self._told: str | None = None
        self._framed: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        yield GpuBar(self._look)
        yield Static("", id="details-problem", markup=False)
        with Horizontal(id="details-body"):
            yield self._facts
            with Vertical(id="details-right"):
                yield self._charts
                with Container(id="details-processes"):
                    yield self._processes
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        self._arrange()
        self._facts.focus()
        self._show()

    def on_resize(self) -> None:
        self._arrange()
        self.call_after_refresh(self._show)

    # ── facts ────────────────────────────────────────────────────────────────────────────────

    def take(self, seen: Seen) -> None:
        self._seen = seen
        self._show()

    def _show(self) -> None:
        """Everything again; what did not change sends nothing."""
        snapshot = self._seen.snapshot
        gone = self._choose_sample(snapshot)
        self._tell(_problems(snapshot, self._sample, gone=gone))
        gpus = snapshot.gpus if snapshot else ()
        sample, charts = self._sample, self._memory.charts
        self.query_one(GpuBar).update_gpus(gpus, self._memory.uuid)
        if snapshot is None or sample is None:
            self._facts.update_facts((), (), 0)
            self._charts.update_scene(None)
        else:
            self._frame(sample)
            facts, stale = facts_of(snapshot, sample), gone or snapshot.problem is not None
            self._facts.update_facts(facts, charts.metrics, sample.identity.index, stale=stale)
            self._charts.update_scene(Scene(sample, gpus, charts))
        if snapshot is not None:
            self._processes.show_gpu(self._memory.uuid)
            self._processes.update_processes(snapshot, self._seen.instances)

    def _choose_sample(self, snapshot: Snapshot | None) -> bool:
        """The GPU looked at, else the first; the last known sample of one that is gone (True)."""
        gpus = snapshot.gpus if snapshot else ()
        by_uuid = {gpu.identity.uuid: gpu for gpu in gpus}
        found = by_uuid.get(self._memory.uuid or "")
        if found is None and self._sample is not None:
            return True
        if found is None and gpus:
            found = gpus[0]
        if found is not None:
            self._sample, self._memory.uuid = found, found.identity.uuid
        return False

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            static = self.query_one("#details-problem", Static)
            static.update(self._look.text(text))
            static.display = bool(text)

    def _frame(self, sample: GpuSample) -> None:
        """Borders in the GPU's hue; touched only where they change, since that repaints it all."""
        gpu = sample.identity
        hue = self._look.palette.hue_color(gpu.index)
        kind: BorderKind = "ascii" if self._look.ascii_only else "round"
        words = f"{gpu_title(gpu)} · SIMULATED" if gpu.simulated else gpu_title(gpu)
        frame = (kind, hue, self._look.text(words))
        if frame != self._framed:
            self._framed = frame
            self._facts.border_title = Content(frame[2])
            for part in (self._facts, self._charts):
                part.styles.border = (kind, hue)

    # ── parts ────────────────────────────────────────────────────────────────────────────────

    @property
    def _parts(self) -> list[Widget]:
        return [self._facts, self._charts, self._processes]

    def _arrange(self) -> None:
        """As many parts at once as fit; the one in front among them."""
        wide, tall = self.app.size.width >= WIDE, self.app.size.height >= TALL
        front, processes = self._front, self._processes
        self.set_class(wide, "-wide")
        beside = wide and front is self._facts
        self._facts.display = wide or front is self._facts
        self._charts.display = front is self._charts or beside or (wide and tall)
        room = self.query_one("#details-processes")
        room.display = front is processes or (wide and tall)
        room.set_class(self._charts.display, "-below")
        self.query_one("#details-right").display = wide or front is not self._facts

    @on(DescendantFocus)
    def focus_moved(self, event: DescendantFocus) -> None:
        for part in self._parts:
            if part in event.widget.ancestors_with_self and part is not self._front:
                self._bring_to_front(part)

    def _bring_to_front(self, part: Widget) -> None:
        self._front = part
        self._arrange()
        self.call_after_refresh(self._show)

    def action_part(self, by: int) -> None:
        """To the next part; in a small terminal it takes the place of the one before."""
        parts = self._parts
        part = parts[(parts.index(self._front) + by) % len(parts)]
        self._bring_to_front(part)
        target = next((w for w in (part, *part.query("*")) if w.can_focus), None)
        if target is not None:
            self.set_focus(target)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    def action_gpu(self, by: int) -> None:
        """To the next GPU, and after the last to the first."""
        gpus = self._seen.snapshot.gpus if self._seen.snapshot else ()
        if not gpus:
            return
        uuids = [gpu.identity.uuid for gpu in gpus]
        here = uuids.index(self._memory.uuid) if self._memory.uuid in uuids else -max(by, 0)
        self._memory.uuid = uuids[(here + by) % len(uuids)]
        self._show()

    @on(FactsView.ChooseRequested)
    def choose_requested(self, request: FactsView.ChooseRequested) -> None:
        fact = request.fact
        if fact.metric is None or not fact.chartable:
            what = fact.label or fact.group.lower()
            self.notify(
                "Only readings that move (with a box before them) have a chart.",
                title=f"{what}: no history is kept",
                markup=False,
            )
            return
        self._change(self._memory.charts.toggled(fact.metric.name))

    def action_zoom(self, by: int) -> None:
        self._move(lambda shown, now, begin: shown.zoomed(by, now, begin))

    def action_pan(self, by: int) -> None:
        self._move(lambda shown, now, begin: shown.panned(by, now, begin))

    def action_now(self) -> None:
        self._move(lambda shown, _now, _begin: shown.latest())

    def action_overlay(self) -> None:
        charts = self._memory.charts
        self._change(replace(charts, overlay=not charts.overlay))
        self._uncover_charts()

    def _move(self, to: RangeChange) -> None:
        now, begin, charts = self._history.now, self._history.begin, self._memory.charts
        if now is not None and begin is not None:
            self._change(replace(charts, range=to(charts.range, now, begin)))
        self._uncover_charts()

    def _uncover_charts(self) -> None:
        """A key that changes the charts shows them."""
        if not self._charts.display:
            self._bring_to_front(self._charts)
            self.set_focus(self._charts)

    def _change(self, charts: ChartState) -> None:
        self._memory.charts = charts
        self._show()

    def action_power_limit(self) -> None:
        if self._sample is not None:
            self._power.request_limit(self._sample)

    def restyle(self) -> None:
        self._show()

    def commands(self) -> Iterator[SystemCommand]:
        for title, words, run in (
            ("Next GPU", "its details", partial(self.action_gpu, 1)),
            ("GPU before", "its details", partial(self.action_gpu, -1)),
            ("Zoom in", "a shorter time in the charts", partial(self.action_zoom, 1)),
            ("Zoom out", "a longer time in the charts", partial(self.action_zoom, -1)),
            ("Charts: earlier", "to the left", partial(self.action_pan, -1)),
            ("Charts: later", "to the right", partial(self.action_pan, 1)),
            ("Charts: now", "follow the time", self.action_now),
            ("Other GPUs", "in the same charts, or not", self.action_overlay),
            ("Set power limit", "of this GPU", self.action_power_limit),
            ("Key list", "all keys with their ids", self.action_keys),
            ("Close the details", "back to the dashboard", self.dismiss),
        ):
            yield SystemCommand(title, words, run)


def _problems(snapshot: Snapshot | None, sample: GpuSample | None, *, gone: bool) -> str:
    """What is wrong, in words; "" where nothing is."""
    if snapshot is None:
        return "waiting for the first sample …"
    found: list[Problem] = []
    if snapshot.problem:
        found.append(snapshot.problem)
    elif gone and sample:
        what = f"GPU {sample.identity.index} is gone: the driver no longer lists it."
        found.append(Problem(what, "Its last readings stay, and its history."))
    elif not snapshot.gpus:
        found.append(Problem("No GPU here."))
    if sample and sample.problem and not gone:
        found.append(sample.problem)
    return "\n".join(sentences(problem.message, problem.hint) for problem in found)
