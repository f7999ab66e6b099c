"""What a layout stops and starts, shown before it is done."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from gputui.identity import GpuIdentity
from gputui.instances.switching.layouts import LayoutPlan
from gputui.text import sentences
from gputui.ui.cells import CellView, Line
from gputui.ui.dialogs import Choice, ConfirmDialog
from gputui.ui.palette import Look, Palette

_VERB, _LONGEST, _BADGES, _GAP = 8, 24, 3, 2
"""Cells of what happens, of a name at most; the badges shown; what stands between columns."""


class PlanView(CellView):
    """The lines of a plan, as high as they are many."""

    def __init__(self, look: Look, plan: LayoutPlan, gpus: Sequence[GpuIdentity]) -> None:
        super().__init__(look, id="layout-plan")
        self._plan = plan
        self._indexes = {gpu.uuid: gpu.index for gpu in gpus}

    def lines(self, width: int) -> Sequence[Line]:
        return tuple(plan_lines(self._plan, self._indexes, width, self.look.palette))

    def on_resize(self) -> None:
        width = self.content_size.width
        self.styles.height = max(1, len(self.lines(width))) if width > 0 else 1
        self.redraw()


class LayoutDialog(ConfirmDialog):
    """A plan, and whether it is meant; one that cannot be carried out is only shown."""

    def __init__(self, look: Look, plan: LayoutPlan, gpus: Sequence[GpuIdentity]) -> None:
        super().__init__(_question(plan), yes="Switch", no="Leave it")
        self._view = PlanView(look, plan, gpus)
        self._possible = not (plan.active or plan.cannot)
        if not self._possible:
            self._choices = (Choice("no", "Close"),)
            self._preselected = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="layout") as frame:
            frame.border_subtitle = Content(self.KEYS if self._possible else "enter or esc closes")
            yield Static(Content(self._question), classes="question", markup=False)
            yield self._view
            yield OptionList(*(self._option(choice) for choice in self._choices))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """``y`` means nothing where there is nothing to say yes to."""
        return self._possible or parameters != ("yes",)


def plan_lines(
    plan: LayoutPlan, indexes: Mapping[str, int], width: int, palette: Palette
) -> Iterator[Line]:
    """A line an instance: what happens to it, its GPUs' badges, why; and what stands in the way.

    ``indexes`` are those of the GPUs by UUID.
    """
    entries = tuple(_entries(plan, palette))
    names = min(_LONGEST, max((len(entry.name) for entry in entries), default=0))
    badges = max((len(entry.gpus[:_BADGES]) * 2 or 3 for entry in entries), default=0)
    end = _VERB + names + badges + 2 * _GAP
    for entry in entries:
        line = Line().add(entry.verb.ljust(_VERB), palette.dim)
        line.cell(entry.name, names, palette.strong, gap=_GAP)
        if not entry.gpus:
            line.add("CPU", palette.dim)
        for uuid in entry.gpus[:_BADGES]:
            index = indexes.get(uuid)
            line.add("■?" if index is None else f"■{index}", palette.hue(index or 0))
        line.pad_to(end)
        wrapped = textwrap.wrap(entry.words, max(20, width - end)) or [""]
        yield line.add(wrapped[0], entry.style)
        for more in wrapped[1:]:
            yield Line().pad_to(end).add(more, entry.style)


@dataclass(frozen=True)
class _Entry:
    """What happens to one instance."""

    verb: str
    name: str
    gpus: tuple[str, ...]
    words: str
    style: Style


def _entries(plan: LayoutPlan, palette: Palette) -> Iterator[_Entry]:
    for leaving in plan.stops:
        words = f"in the way: {', '.join(leaving.reasons)}"
        yield _Entry("stops", leaving.name, leaving.gpus, words, palette.dim)
    for staying in plan.stays:
        yield _Entry("stays", staying.name, staying.gpus, "runs already", palette.dim)
    for arriving in plan.starts:
        again = f"stops first: {arriving.restarts}" if arriving.restarts else ""
        words = sentences(again, arriving.fit_told)
        style = palette.warning if arriving.fits is False else palette.dim
        yield _Entry("starts", arriving.name, arriving.gpus, words, style)
    for blocked in plan.cannot:
        words = sentences(blocked.reason, blocked.hint)
        yield _Entry("cannot", blocked.name, blocked.gpus, words, palette.error)


def _question(plan: LayoutPlan) -> str:
    if plan.active:
        return f"Layout {plan.name} runs already"
    if plan.cannot:
        return f"Layout {plan.name} cannot be had as things are"
    return f"Switch to layout {plan.name}?"
