"""The form of one instance: every field with what is wrong beneath it, the table as it will be written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.text import sentences
from gputui.ui.boundary import told
from gputui.ui.dialogs import ConfirmDialog
from gputui.ui.editing.checks import Judgement, Judging
from gputui.ui.editing.draft import Draft, diff, names_gpus
from gputui.ui.editing.fields import BY_KEY, FIELDS, shown, typeable, typed_values, value_of
from gputui.ui.editing.model_picker import ModelPicker
from gputui.ui.editing.preview import PreviewScreen, diff_content
from gputui.ui.editing.widgets import ChoiceField, FieldChanged, GpuField, TextField
from gputui.ui.palette import Look

JUDGE_SECONDS = 0.25
"""From the last key to the look at the whole: the file, the model, the flags, the fit."""
LINGER_SECONDS = 0.3
"""For so long it takes keys and does nothing once it is saved: a second enter is none for what is beneath."""
NARROW = 110
_NEEDED = ("name", "model", "port")
_NEEDED_WORDS = "needed"
_KEYS = "ctrl+s save   esc leave   up down fields"
_KEYS_OF = {
    "gpus": "   digits or space choose",
    "model": "   enter opens the list",
    "mmproj": "   enter opens the list",
}


@dataclass(frozen=True, slots=True)
class FormParts:
    """What the form works with. ``gpus`` are the machine's, ``chosen`` the UUIDs of the instance's.

    ``save`` writes the text and raises GputuiError where it does not; ``reread`` is the draft anew on the
    file as it is now. ``running``: the instance runs, so its name stays. ``models`` are those of the
    configuration.
    """

    look: Look
    gpus: Sequence[GpuIdentity]
    chosen: Sequence[str]
    judging: Judging
    save: Callable[[Draft, str], Awaitable[None]]
    reread: Callable[[Draft], Awaitable[Draft]]
    models: Sequence[str] = ()
    running: bool = False


class Trouble(Static):
    """What is said beneath a field: takes a line only while there is something."""

    class Laid(Message):
        """It has its place now."""

    said = ("", "")

    def say(self, words: str, kind: str) -> None:
        """``kind`` is error, doubt, note or success; nothing is drawn where it is said already."""
        if self.said == (words, kind):
            return
        self.said = (words, kind)
        for name in ("error", "doubt", "note", "success"):
            self.set_class(kind == name, f"-{name}")
        self.update(Content(words))
        self.display = bool(words)

    def on_resize(self) -> None:
        self.post_message(self.Laid())


class InstanceForm(ModalScreen[str | None]):
    """Edits one instance. The result is its name once it is saved, None where it is left."""

    BINDINGS = [
        Binding("escape", "leave", "Leave", id="form.leave"),
        Binding("ctrl+s,f2", "save", "Save", id="form.save", priority=True, key_display="ctrl+s"),
        # Before all others, so that of keys in a burst each goes to the field that is meant.
        Binding("up,shift+tab", "go(-1)", "Up", show=False, id="form.up", priority=True),
        Binding("down,tab", "go(1)", "Down", show=False, id="form.down", priority=True),
        Binding("enter", "enter", "Models, or next", show=False, id="form.enter", priority=True),
    ]

    def __init__(self, draft: Draft, parts: FormParts) -> None:
        super().__init__()
        self._draft = draft
        self._parts = parts
        self._raw = draft.raw
        start = {**self._raw, **draft.proposed}
        self._start = {f.key: shown(f.key, start.get(f.key)) for f in FIELDS if f.key != "gpus"}
        self._locked = [f.key for f in FIELDS if not typeable(start.get(f.key, ""))]
        self._timer: Timer | None = None
        self._judgement = Judgement()
        self._refused = ""
        self._tried = self._done = False

    # ── what it looks like ───────────────────────────────────────────────────────────────────────

    def compose(self) -> ComposeResult:
        with Vertical(classes="instance-form") as frame:
            frame.border_title = Content(self._draft.title)
            with Horizontal(id="form-body"):
                with VerticalScroll(id="form-fields", can_focus=False):
                    for field in FIELDS:
                        with Horizontal(classes="form-row"):
                            yield Static(
                                field.label,
                                id=f"label-{field.key}",
                                classes="form-label",
                                markup=False,
                            )
                            yield self._widget(field.key)
                        yield Trouble(id=f"trouble-{field.key}", classes="trouble", markup=False)
                with VerticalScroll(id="form-side", can_focus=False) as side:
                    side.border_title = Content("in the file")
                    yield Static("", id="form-preview", markup=False)
            yield Static("", id="form-help", markup=False)
            yield Trouble(id="form-general", classes="trouble", markup=False)
            yield Trouble(id="form-fit", classes="trouble", markup=False)
            yield Static(_KEYS, id="form-keys", markup=False)

    def _widget(self, key: str) -> Widget:
        field, look = BY_KEY[key], self._parts.look
        if key == "gpus":
            return GpuField(look, "field-gpus", self._parts.gpus, self._parts.chosen)
        if field.choices:
            start = self._start[key] or field.choices[0]
            return ChoiceField(look, f"field-{key}", field.choices, start, "default")
        locked = key in self._locked
        text = "has several lines: change it in the file" if locked else self._start[key]
        return TextField(text, id=f"field-{key}", classes="form-input", disabled=locked)

    def on_mount(self) -> None:
        self.set_focus(self._field("name"))
        self._judge_soon()

    def on_resize(self) -> None:
        self.query_one("#form-side").display = self.app.size.width >= NARROW

    @on(DescendantFocus)
    def _help(self, event: DescendantFocus) -> None:
        key = (event.widget.id or "").removeprefix("field-")
        if key in BY_KEY:
            words = f"{BY_KEY[key].label}: {BY_KEY[key].help}"
            self.query_one("#form-help", Static).update(self._parts.look.text(words))
            for label in self.query(".form-label"):
                label.set_class(label.id == f"label-{key}", "-focused")
            more = "   left right choose" if BY_KEY[key].choices else _KEYS_OF.get(key, "")
            self.query_one("#form-keys", Static).update(_KEYS + more)
            self._reveal()

    def _reveal(self) -> None:
        """The focused field, and what is said beneath it, where they can be seen."""
        self.call_after_refresh(self._scroll_to_focused)

    @on(Trouble.Laid)
    def _scroll_to_focused(self) -> None:
        field = self.focused
        key = (field.id or "").removeprefix("field-") if field else ""
        if field is not None and key in BY_KEY:
            fields = self.query_one("#form-fields", VerticalScroll)
            for widget in (self.query_one(f"#trouble-{key}", Trouble), field):
                if widget.display:
                    fields.scroll_to_widget(widget, animate=False)

    # ── what is typed ────────────────────────────────────────────────────────────────────────────

    def _field(self, key: str) -> Widget:
        return self.query_one(f"#field-{key}")

    def _texts(self) -> dict[str, str]:
        texts = {}
        for field in FIELDS:
            widget = self._field(field.key)
            if isinstance(widget, Input | ChoiceField) and field.key not in self._locked:
                texts[field.key] = widget.value.strip()
        return texts

    def _gpus(self) -> list[str] | None:
        """How the GPUs are written; None where nobody has touched them."""
        field = self.query_one("#field-gpus", GpuField)
        if not field.touched:
            return list(self._draft.proposed.get("gpus", [])) or None
        return names_gpus(field.chosen, self._raw.get("gpus", []), self._parts.chosen)

    def _changes(self) -> dict[str, Any]:
        return typed_values(self._texts(), self._raw, self._gpus())

    @property
    def changed(self) -> bool:
        """Whether anything was typed."""
        touched = self.query_one("#field-gpus", GpuField).touched
        start = {
            key: text or (BY_KEY[key].choices or ("",))[0] for key, text in self._start.items()
        }
        return touched or any(text != start[key] for key, text in self._texts().items())

    @on(Input.Changed)
    @on(FieldChanged)
    def _typed(self) -> None:
        self._refused = ""
        self._judge_soon()

    def _judge_soon(self) -> None:
        self._show_troubles()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(JUDGE_SECONDS, self._judge)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that come before all others are the form's own only while nothing is over it."""
        if self._done:
            return False
        return action not in ("go", "enter", "save") or self.app.screen is self

    def action_go(self, by: int) -> None:
        """Another field."""
        self.focus_next() if by > 0 else self.focus_previous()

    def action_enter(self) -> None:
        """The list of models where one is wanted, else the next field."""
        field = self.focused
        key = (field.id or "").removeprefix("field-") if field else ""
        if isinstance(field, Input) and key in ("model", "mmproj"):
            picker = ModelPicker(self._parts.look, self._parts.models, projectors=key == "mmproj")
            self.app.push_screen(picker, partial(self._picked, field))
        else:
            self.focus_next()

    def _picked(self, field: Input, path: str | None) -> None:
        if path is not None:
            field.value = path
            field.cursor_position = len(path)
            name = self.query_one("#field-name", Input)
            if field.id == "field-model" and not name.value:
                name.value = self._parts.judging.name_for(path)

    # ── what is wrong ────────────────────────────────────────────────────────────────────────────

    def _own_troubles(self) -> dict[str, str]:
        """What can be said of each field alone."""
        troubles: dict[str, str] = {}
        for key, text in self._texts().items():
            try:
                value_of(key, text)
            except GputuiError as error:
                troubles[key] = sentences(error.message, error.hint)
            if key in _NEEDED and not text:
                troubles[key] = _NEEDED_WORDS
        if self._parts.running and self._texts()["name"] != self._draft.name:
            troubles["name"] = "It runs under its name: stop it first, or make a copy."
        return troubles

    @property
    def _there(self) -> bool:
        """Whether its fields are there: a look may end after the form was left."""
        return bool(self.query("#form-fit"))

    def _judge(self) -> None:
        if not self._there:
            return
        right = not self._own_troubles()
        work = self._judge_whole(self._changes()) if right else self._judge_parts()
        self.run_worker(told(work, self._refuse), group="judge", exclusive=True)

    async def _judge_parts(self) -> None:
        self._judgement = await self._parts.judging.judge_parts(self._draft, self._texts())
        if self._there:
            self._show_troubles()

    async def _judge_whole(self, changes: Mapping[str, Any]) -> None:
        async for judgement in self._parts.judging.judge(self._draft, changes, self._texts()):
            self._judgement = judgement
            if not self._there:
                return
            self._show_troubles()
            self._show_preview()

    def _show_troubles(self) -> None:
        own, found = self._own_troubles(), self._judgement
        empty = [key for key in _NEEDED if own.get(key) == _NEEDED_WORDS and not self._tried]
        needed = {key: own.pop(key) for key in empty}
        for field in FIELDS:
            kinds = (
                (own, "error"),
                (found.errors, "error"),
                (found.doubts, "doubt"),
                (found.notes, "note"),
                (needed, "note"),
            )
            words, kind = next(
                ((of[field.key], kind) for of, kind in kinds if of.get(field.key)), ("", "")
            )
            trouble = self.query_one(f"#trouble-{field.key}", Trouble)
            trouble.say(self._parts.look.text(words), kind)
        general = self._refused or ("" if own else found.errors.get("", ""))
        self.query_one("#form-general", Trouble).say(self._parts.look.text(general), "error")
        kind = {True: "success", False: "error", None: "note"}[found.fits]
        self.query_one("#form-fit", Trouble).say(self._parts.look.text(found.fit), kind)

    def _show_preview(self) -> None:
        outcome = self._judgement.outcome
        if outcome is None or outcome.after is None:
            return
        lines = diff(self._draft.text, outcome.after, around=8) or self._draft.lines
        self.query_one("#form-preview", Static).update(diff_content(lines, self._parts.look))

    # ── ways out ─────────────────────────────────────────────────────────────────────────────────

    def action_leave(self) -> None:
        if not self.changed:
            self.dismiss(None)
            return
        question = ConfirmDialog("Leave without saving what was typed?", yes="Leave", no="Go on")
        self.app.push_screen(question, self._leave_if)

    def _leave_if(self, answer: str | None) -> None:
        if answer == "yes":
            self.dismiss(None)

    def action_save(self) -> None:
        troubles, self._tried = self._own_troubles(), True
        if troubles:
            self._say_wrong(len(troubles))
            self.set_focus(self._field(next(iter(troubles))))
        else:
            self.run_worker(told(self._review(), self._refuse), group="save", exclusive=True)

    async def _review(self) -> None:
        """Ask with the lines that will differ, and write them."""
        outcome = await self._parts.judging.outcome(self._draft, self._changes())
        if outcome.after is None:
            self._judgement = Judgement(outcome, {outcome.field: outcome.words})
            if outcome.field:
                self._say_wrong(1)
            self._show_troubles()
            if outcome.field in BY_KEY:
                self.set_focus(self._field(outcome.field))
            return
        lines = diff(self._draft.text, outcome.after)
        if not lines:
            self.dismiss(None)
            return
        screen = PreviewScreen(f"Write this to {self._draft.file}?", lines, self._parts.look)
        if await self.app.push_screen_wait(screen):
            self._done = True
            await self._write(outcome.after)

    async def _write(self, after: str) -> None:
        try:
            await self._parts.save(self._draft, after)
        except GputuiError as error:
            self._refuse(error)
            await self._reread()
            return
        self.set_timer(LINGER_SECONDS, self._close)

    def _close(self) -> None:
        self.dismiss(self._texts()["name"])

    async def _reread(self) -> None:
        """What was typed stays, on the file as it is now."""
        draft = await self._parts.reread(self._draft)
        self._raw, self._draft = draft.raw, draft

    def _refuse(self, error: GputuiError) -> None:
        """Say what went wrong with the whole; it stays there until something is typed."""
        self._refused, self._done = sentences(error.message, error.hint), False
        if self._there:
            self._show_troubles()

    def _say_wrong(self, count: int) -> None:
        wrong = "1 field is" if count == 1 else f"{count} fields are"
        self._refused = f"Not saved: {wrong} wrong."
        self._show_troubles()
