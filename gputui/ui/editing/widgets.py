"""What a form is made of beside text: one of several values, and GPUs by their hues."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from textual.binding import Binding
from textual.events import Key
from textual.message import Message
from textual.widgets import Input

from gputui.identity import GpuIdentity, short_name
from gputui.ui.cells import CellView, Line
from gputui.ui.palette import Look


class FieldChanged(Message):
    """A field of the form has another value."""


_INPUT_KEYS = {
    key.strip(): binding.action
    for binding in Input.BINDINGS
    if isinstance(binding, Binding) and binding.action != "submit"
    for key in binding.key.split(",")
}


class TextField(Input):
    """One line to type in, whose keys act in the order in which they come.

    A binding waits until its key has bubbled up to the screen; of keys in a burst, what is printed after it
    would be there before it.
    """

    async def on_key(self, event: Key) -> None:
        action = _INPUT_KEYS.get(event.key)
        if action is not None and not event.is_printable:
            event.stop().prevent_default()
            await self.run_action(action)


class ChoiceField(CellView, can_focus=True):
    """One of several words; "" is shown as ``empty``."""

    BINDINGS = [
        Binding("left", "step(-1)", "Before", show=False, id="form.before"),
        Binding("right,space", "step(1)", "Next", show=False, id="form.next"),
    ]

    def __init__(self, look: Look, id: str, words: Sequence[str], value: str, empty: str) -> None:
        super().__init__(look, id=id)
        self._words = words
        self._empty = empty
        self.value = value

    def lines(self, width: int) -> Sequence[Line]:
        palette = self.look.palette
        arrows = palette.value if self.has_focus else palette.dim
        style = palette.value if self.value else palette.dim
        line = Line().add("‹ ", arrows).add(self.value or self._empty, style).add(" ›", arrows)
        if self.has_focus:
            line.runs = [(text, style + palette.cursor) for text, style in line.runs]
        return [line]

    def action_step(self, by: int) -> None:
        """Another word."""
        words = list(self._words)
        place = words.index(self.value) if self.value in words else 0
        self.value = words[(place + by) % len(words)]
        self.redraw()
        self.post_message(FieldChanged())

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()


class GpuField(CellView, can_focus=True):
    """The GPUs of the machine, some of them chosen: by their index, or with the cursor and space.

    ``touched``: the user has changed what is chosen. ``chosen`` are UUIDs, in the order of the machine
    unless they came in another.
    """

    BINDINGS = [
        Binding("left", "move(-1)", "Before", show=False, id="form.gpu_before"),
        Binding("right", "move(1)", "Next", show=False, id="form.gpu_next"),
        Binding("space", "choose", "Choose", show=False, id="form.gpu_choose"),
    ]

    def __init__(
        self, look: Look, id: str, gpus: Sequence[GpuIdentity], chosen: Sequence[str]
    ) -> None:
        super().__init__(look, id=id)
        self._gpus = gpus
        self._cursor = 0
        self.chosen = list(chosen)
        self.touched = False

    def lines(self, width: int) -> Sequence[Line]:
        palette = self.look.palette
        if not self._gpus:
            return [Line().add("no GPU is known here: it runs on the CPU", palette.dim)]
        lines = [Line()]
        for place, gpu in enumerate(self._gpus):
            words = f"[{'x' if gpu.uuid in self.chosen else ' '}] {gpu.index} {short_name(gpu.name)[:24]}"
            if lines[-1].width and lines[-1].width + len(words) > width:
                lines.append(Line())
            style = palette.hue(gpu.index) if gpu.uuid in self.chosen else palette.dim
            if self.has_focus and place == self._cursor:
                style += palette.cursor + Style(bold=True)
            lines[-1].add(words, style).add("  ", palette.dim)
        if not self.chosen:
            lines[-1].add("CPU only", palette.value)
        return lines

    def show(self) -> None:
        """As high as it needs."""
        self.styles.height = max(1, len(self.lines(self.content_size.width or 60)))
        self.redraw()

    def on_resize(self) -> None:
        self.show()

    def action_move(self, by: int) -> None:
        """The cursor to another GPU."""
        self._cursor = max(0, min(len(self._gpus) - 1, self._cursor + by))
        self.redraw()

    def action_choose(self) -> None:
        """Choose the cursor's GPU, or not."""
        if self._gpus:
            self._toggle(self._gpus[self._cursor])

    def on_key(self, event: Key) -> None:
        """A GPU's index chooses it."""
        if event.character and event.character.isdecimal():
            for place, gpu in enumerate(self._gpus):
                if gpu.index == int(event.character):
                    self._cursor = place
                    self._toggle(gpu)
                    event.stop()

    def _toggle(self, gpu: GpuIdentity) -> None:
        if gpu.uuid in self.chosen:
            self.chosen.remove(gpu.uuid)
        else:
            order = [one.uuid for one in self._gpus]
            self.chosen = sorted([*self.chosen, gpu.uuid], key=order.index)
        self.touched = True
        self.show()
        self.post_message(FieldChanged())

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()
