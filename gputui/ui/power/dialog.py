"""Asking for a GPU's power limit."""

from __future__ import annotations

from functools import partial

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.widgets.input import Selection

from gputui.errors import GputuiError
from gputui.gpu.power_limit import PowerRange, power_range, watts_of
from gputui.gpu.sample import GpuSample
from gputui.identity import short_name
from gputui.text import clean_line, number
from gputui.ui.dialogs import ConfirmDialog

STEP = 5.0
"""Watts that an arrow key adds or takes."""


class PowerLimitDialog(ModalScreen[float | None]):
    """Asks for the limit of one GPU in watts, within its range, and whether that is meant.

    The result is the limit, or None where the user leaves it as it is.
    """

    BINDINGS = [
        Binding("escape", "dismiss(None)", "Leave it", id="dialog.cancel"),
        Binding("up", "step(1)", "Up", show=False, id="power_limit.up"),
        Binding("down", "step(-1)", "Down", show=False, id="power_limit.down"),
    ]

    def __init__(self, sample: GpuSample) -> None:
        super().__init__()
        self._sample = sample
        self._limits = power_range(sample)

    def compose(self) -> ComposeResult:
        gpu = self._sample.identity
        question = f"Power limit of GPU {gpu.index}, {short_name(gpu.name)}"
        with Vertical(classes="dialog", id="power-limit"):
            yield Static(Content(question), classes="question", markup=False)
            yield Static(Content(range_words(self._limits)), markup=False)
            with Horizontal(id="power-limit-row"):
                yield Input(id="power-limit-watts", max_length=12, placeholder="watts, or default")
                yield Static("W", markup=False)
            yield Static("", id="power-limit-trouble", markup=False)
            keys = "enter sets it   up, down: by 5 W   escape leaves it"
            yield Static(keys, id="power-limit-keys", markup=False)

    def on_mount(self) -> None:
        field = self.query_one(Input)
        if self._limits.limit is not None:
            field.value = f"{self._limits.limit:g}"
            field.selection = Selection(0, len(field.value))  # what is typed takes its place
        self.set_focus(field)  # at once: the digits typed next are the field's

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong with what is typed so far."""
        words = ""
        try:
            watts_of(event.value, self._limits)
        except GputuiError as error:
            words = f"{error.message}. {error.hint}" if event.value else error.hint
        self.query_one("#power-limit-trouble", Static).update(Content(words))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            watts = watts_of(event.value, self._limits)
        except GputuiError:
            return  # it is said under the field already
        before = number(self._limits.limit)
        question = f"Hold GPU {self._sample.identity.index} to {watts:g} W ({before} W now)?"
        self.app.push_screen(
            ConfirmDialog(question, yes=f"Set {watts:g} W", no="Leave it as it is"),
            partial(self._confirmed, watts),
        )

    def action_step(self, direction: int) -> None:
        """The next multiple of 5 W, within the range."""
        field = self.query_one(Input)
        try:
            watts = watts_of(field.value, PowerRange(default=self._limits.default))
        except GputuiError:
            return
        steps = watts // STEP + direction if direction > 0 else -(-watts // STEP) + direction
        wanted = steps * STEP
        if self._limits.lowest is not None:
            wanted = max(self._limits.lowest, wanted)
        if self._limits.highest is not None:
            wanted = min(self._limits.highest, wanted)
        field.value = f"{wanted:g}"
        field.cursor_position = len(field.value)

    def _confirmed(self, watts: float, answer: str | None) -> None:
        if answer == "yes":
            self.dismiss(watts)


def range_words(limits: PowerRange) -> str:
    """``now 575 W, default 575 W, from 400 to 600 W``."""
    parts = [f"now {number(limits.limit)} W", f"default {number(limits.default)} W"]
    if limits.lowest is not None or limits.highest is not None:
        parts.append(clean_line(f"from {limits.words}"))
    return ", ".join(parts)
