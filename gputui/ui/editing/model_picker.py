"""Choosing a model file: from the folders where models lie, or by a path."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from gputui.models.catalogue import (
    Catalogue,
    ModelFacts,
    ModelFile,
    facts_of,
    find,
    folders_of,
    usual_folders,
)
from gputui.models.files import short_name
from gputui.text import UNKNOWN, clean_line, size
from gputui.ui.boundary import told
from gputui.ui.cells import cut
from gputui.ui.palette import Look

MOST_SHOWN = 300
_TYPED_DEPTH = 2
_COLUMNS = 46
"""Cells of everything but the name."""


class ModelPicker(ModalScreen[str | None]):
    """A list of models with what their headers say; the result is a path, None where none was chosen.

    ``configured`` are the models of the configuration, whose folders are looked into, too. ``projectors``:
    files that let a model see are listed instead of models.
    """

    BINDINGS = [
        Binding("escape", "dismiss(None)", "Close", id="picker.close"),
        Binding("down", "move(1)", "Down", show=False, id="picker.down", priority=True),
        Binding("up", "move(-1)", "Up", show=False, id="picker.up", priority=True),
    ]

    def __init__(
        self, look: Look, configured: Sequence[str], text: str = "", *, projectors: bool = False
    ) -> None:
        super().__init__()
        self._look = look
        self._configured = configured
        self._text = text
        self._projectors = projectors
        self._found = Catalogue(())
        self._shown: list[ModelFile] = []
        self._facts: dict[Path, ModelFacts] = {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="picker") as frame:
            what = "a projector (mmproj)" if self._projectors else "a model"
            frame.border_title = Content(f"Choose {what}")
            yield Input(self._text, placeholder="type to filter, or a path", id="picker-filter")
            yield Static("", id="picker-head", markup=False)
            yield OptionList(id="picker-list")
            yield Static("", id="picker-about", markup=False)
            yield Static("", id="picker-keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#picker-list").can_focus = False
        self.query_one(Input).focus()
        keys = "type: filter or path   up down choose   enter takes it   esc closes"
        self.query_one("#picker-keys", Static).update(self._look.text(keys))
        self._about("Looking for models …")
        self._look_in((*folders_of(self._configured), *usual_folders()))

    def _look_in(self, folders: Sequence[Path], depth: int | None = None) -> None:
        work = told(self._list(folders, depth), lambda error: self._about(str(error)))
        self.run_worker(work, group="list", exclusive=True)

    async def _list(self, folders: Sequence[Path], depth: int | None) -> None:
        more = {} if depth is None else {"depth": depth}
        self._found = await asyncio.to_thread(find, folders, **more)
        self._show()
        for one in self._found.files[:MOST_SHOWN]:
            if one.path not in self._facts:
                self._facts[one.path] = await asyncio.to_thread(facts_of, one.path)
                if one in self._shown:
                    self._show_row(self._shown.index(one))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value.startswith(("/", "~")):
            folder = Path(event.value).expanduser()
            if event.value.endswith("/"):
                self._look_in([folder], _TYPED_DEPTH)
                return
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        place = self.query_one(OptionList).highlighted
        if place is not None and place < len(self._shown):
            self.dismiss(str(self._shown[place].path))
        elif event.value.startswith(("/", "~")):
            self.dismiss(event.value.strip())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(str(self._shown[event.option_index].path))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._say_about(event.option_index)

    def on_resize(self) -> None:
        self._show()

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._shown:
            place = -1 if options.highlighted is None else options.highlighted
            options.highlighted = max(0, min(len(self._shown) - 1, place + by))

    def _matching(self) -> list[ModelFile]:
        text = self.query_one(Input).value.strip().lower()
        if text.startswith(("/", "~")):
            text = str(Path(text).expanduser()).lower()
        words = text.split()
        return [
            one
            for one in self._found.files
            if one.is_projector == self._projectors
            and all(word in str(one.path).lower() for word in words)
        ][:MOST_SHOWN]

    def _show(self) -> None:
        self._shown = self._matching()
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._row(one)) for one in self._shown])
        head = "model".ljust(self._name_width) + "  quant    params      size   context"
        self.query_one("#picker-head", Static).update(head if self._shown else "")
        if self._shown:
            options.highlighted = 0
        else:
            self._about(self._found.left_out or "No such file was found. A path can be typed.")

    def _show_row(self, place: int) -> None:
        options = self.query_one(OptionList)
        options.replace_option_prompt_at_index(place, self._row(self._shown[place]))
        if options.highlighted == place:
            self._say_about(place)

    @property
    def _name_width(self) -> int:
        return max(16, self.query_one(OptionList).size.width - 4 - _COLUMNS)

    def _row(self, one: ModelFile) -> Content:
        facts = self._facts.get(one.path, ModelFacts())
        name = short_name(one.path.name).rsplit(" ", 1)[0]
        parts = f" ({one.parts} parts)" if one.parts > 1 else ""
        width = self._name_width
        text = cut(clean_line(name + parts, 200), width)
        line = (
            f"{facts.quantization or UNKNOWN:<9}{parameters(facts.parameters):>6}"
            f"{size(one.bytes):>10}{facts.context or UNKNOWN:>10}"
        )
        broken = one.missing or facts.problem
        end = self._look.text(
            f"{'part missing' if one.missing else 'not usable':>35}" if broken else line
        )
        padded = self._look.text(text).ljust(width)
        return Content.assemble((padded, "dim" if broken else ""), "  ", (end, "dim"))

    def _say_about(self, place: int) -> None:
        if place >= len(self._shown):
            return
        one = self._shown[place]
        facts = self._facts.get(one.path, ModelFacts())
        words = facts.problem or facts_words(facts, one.bytes)
        if one.missing:
            words = f"{one.missing} of its {one.parts} parts are missing"
        self._about(f"{clean_line(str(one.path), 400)}\n{clean_line(words, 300)}")

    def _about(self, words: str) -> None:
        self.query_one("#picker-about", Static).update(Content(self._look.text(words)))


def parameters(count: int | None) -> str:
    """``7.6B``, ``135M``."""
    if count is None:
        return UNKNOWN
    return f"{count / 1e9:.1f}B" if count >= 995e6 else f"{count / 1e6:.0f}M"


def facts_words(facts: ModelFacts, file_bytes: int | None = None) -> str:
    """``llama, 135M parameters, Q4_1, 92.1 MiB, trained for 8192 tokens``."""
    parts = [
        facts.architecture,
        f"{parameters(facts.parameters)} parameters" if facts.parameters else "",
        facts.quantization,
        size(file_bytes) if file_bytes else "",
        f"trained for {facts.context} tokens" if facts.context else "",
    ]
    return ", ".join(part for part in parts if part)
