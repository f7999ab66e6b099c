"""The screen of the chat's settings: every parameter, for both and for each side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from gputui.chat.asking import choosing
from gputui.chat.asking.parameters import PARAMETERS, shown
from gputui.chat.asking.settings import NAMES
from gputui.config import PresetConfig
from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.cells import CellView, Line
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.settings.dialog import ValueDialog
from gputui.ui.chat.settings.presets import ask_name
from gputui.ui.chat.settings.table import ROWS, Place, columns, help_of, lines
from gputui.ui.dialogs import Choice, ChoiceDialog


class SettingsTable(CellView, can_focus=True):
    """The table, with the cursor on a cell."""

    BINDINGS = [
        Binding("up", "move(-1, 0)", "Up", show=False, id="settings.up"),
        Binding("down", "move(1, 0)", "Down", show=False, id="settings.down"),
        Binding("left", "move(0, -1)", "Both / side before", show=False, id="settings.left"),
        Binding("right", "move(0, 1)", "Next side", show=False, id="settings.right"),
        Binding("enter", "edit", "Edit", id="settings.edit"),
        Binding("space", "edit", "Edit", show=False, id="settings.switch"),
        Binding("delete,backspace", "default", "Default", id="settings.default"),
        Binding("p", "preset", "Preset", id="settings.preset"),
        Binding("S", "save", "Save preset", id="settings.save"),
        Binding("o", "order", "Order", id="settings.order"),
    ]

    def __init__(self, chatting: Chatting) -> None:
        super().__init__(chatting.look, id="settings-table")
        self._chatting = chatting
        self._row = 3
        self._column = 0

    @property
    def place(self) -> Place:
        """Where the cursor is."""
        return Place(ROWS[self._row], columns(self._chatting.conversation)[self._column])

    def lines(self, width: int) -> Sequence[Line]:
        chatting = self._chatting
        config = chatting.services.config
        return lines(
            chatting.conversation,
            config,
            self.place,
            width,
            self.look.palette,
            chatting.seating.style_of,
        )

    def show(self) -> None:
        """Draw what holds now, here and on the sides."""
        self.styles.height = len(ROWS) + 2
        self.redraw()
        help = f"{self.place.row}: {help_of(self.place.row)}"
        self.screen.query_one("#settings-help", Static).update(Content(self.look.text(help)))
        self._chatting.seating.frame()
        self._chatting.panel.refresh_sides()

    def on_mount(self) -> None:
        self.show()

    def action_move(self, rows: int, column: int) -> None:
        """The cursor to another cell."""
        self._row = max(0, min(len(ROWS) - 1, self._row + rows))
        last = len(columns(self._chatting.conversation)) - 1
        self._column = max(0, min(last, self._column + column))
        self.show()
        self.scroll_to_cursor()

    def scroll_to_cursor(self) -> None:
        """Where the screen is low, keep the cursor in sight."""
        frame = self.screen.query_one("#settings-frame", VerticalScroll)
        line = self._row + (2 if self._row > 2 else 1)
        height = frame.scrollable_content_region.height
        if line < frame.scroll_y + 1 or line > frame.scroll_y + height - 3:
            frame.scroll_to(y=max(0, line - height // 2), animate=False)

    def action_edit(self) -> None:
        """Another value: typed, chosen from a list, or the other one of two."""
        place, conversation = self.place, self._chatting.conversation
        if not self._may_change():
            return
        if place.row == "preset":
            self.action_preset()
        elif place.row == "order":
            self.action_order()
        elif place.row == "system":
            self._edit_system(place.side)
        elif PARAMETERS[place.row].kind == "switch":
            value = getattr(choosing.settings_for(conversation, place.side).sampling, place.row)
            following = {None: "off", False: "on", True: "default"}[value]
            self._choose_value(place, following)
        else:
            self._edit_value(place)

    def action_default(self) -> None:
        """Take back what was chosen here."""
        if not self._may_change():
            return
        place, conversation = self.place, self._chatting.conversation
        if place.row == "preset":
            self._take_preset(choosing.DEFAULT, place.side)
        elif place.row == "order":
            choosing.choose_order(conversation, self._chatting.services.config.chat.order)
        elif place.row == "system":
            choosing.choose_system(conversation, place.side, choosing.DEFAULT)
        else:
            self._choose_value(place, choosing.DEFAULT)
        self.show()

    def _may_change(self) -> bool:
        """Whether what the cursor is on can be changed now; why it cannot is told."""
        try:
            if self.place.row != "order":
                choosing.check_alike(self._chatting.conversation, self.place.side)
        except GputuiError as error:
            self._chatting.say(error)
            return False
        return True

    def action_order(self) -> None:
        """Together, or one after the other."""
        conversation = self._chatting.conversation
        choosing.choose_order(conversation, "one" if conversation.at_once is None else "together")
        self.show()

    def action_preset(self) -> None:
        """Choose a preset for the cursor's column."""
        if not self._may_change():
            return
        side = self.place.side
        presets = self._chatting.services.config.presets
        first = "as configured" if side is None else "as both"
        width = max([len(one.name) for one in presets] + [len(first)])
        choices = [Choice(choosing.DEFAULT, first.ljust(width))]
        choices += [Choice(one.name, one.name.ljust(width), _summary(one)) for one in presets]
        who = "both" if side is None else f"side {side}"
        note = "" if presets else "\nNone is configured yet: S saves the settings of both as one."
        dialog = ChoiceDialog(self.look.text(f"Preset for {who}{note}"), choices)
        self.app.push_screen(dialog, partial(self._preset_chosen, side))

    def action_save(self) -> None:
        """Keep the settings of both as a preset."""
        ask_name(self._chatting)

    def _preset_chosen(self, side: str | None, name: str | None) -> None:
        if name is not None:
            self._take_preset(name, side)
            self.show()

    def _take_preset(self, name: str, side: str | None) -> None:
        config, conversation = self._chatting.services.config, self._chatting.conversation
        if name == choosing.DEFAULT:
            choosing.choose_configured(conversation, side, config.chat)
        else:
            choosing.choose_preset(conversation, side, choosing.preset_named(config.presets, name))

    def _choose_value(self, place: Place, text: str) -> None:
        choosing.choose_value(self._chatting.conversation, place.side, place.row, text)
        self.show()

    def _edit_value(self, place: Place) -> None:
        value = getattr(
            choosing.settings_for(self._chatting.conversation, place.side).sampling, place.row
        )
        help = f"{PARAMETERS[place.row].range}, or default; {PARAMETERS[place.row].words}"
        keep = partial(self._choose_typed, place)
        dialog = ValueDialog(_title(place), help, shown(value), keep, self.look)
        self.app.push_screen(dialog)

    def _choose_typed(self, place: Place, text: str) -> None:
        self._choose_value(place, text or choosing.DEFAULT)

    def _edit_system(self, side: str | None) -> None:
        system = choosing.settings_for(self._chatting.conversation, side).system or ""
        empty = "empty: none" if side is None else "empty: as for both; none: none on this side"
        place = Place("system", side)
        keep = partial(self._choose_system, side)
        dialog = ValueDialog(_title(place), empty, system, keep, self.look, several=True)
        self.app.push_screen(dialog)

    def _choose_system(self, side: str | None, text: str) -> None:
        choosing.choose_system(self._chatting.conversation, side, text or choosing.DEFAULT)
        self.show()


class SettingsScreen(ModalScreen[None]):
    """The table in a frame, with what the cursor's row means beneath it."""

    AUTO_FOCUS = "SettingsTable"
    BINDINGS = [
        Binding("escape,t,q", "dismiss(None)", "Close", key_display="esc", id="settings.close")
    ]

    def __init__(self, chatting: Chatting) -> None:
        super().__init__()
        self._chatting = chatting

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="settings-frame", can_focus=False) as frame:
            frame.border_title = Content("Chat settings, from the next prompt on")
            frame.border_subtitle = Content(
                "enter edits  del default  p preset  S save  o order  esc closes"
            )
            yield SettingsTable(self._chatting)
            yield Static("", id="settings-help", markup=False)


def _title(place: Place) -> str:
    what = "system prompt" if place.row == "system" else place.row
    return f"{what}, {'both' if place.side is None else f'side {place.side}'}"


def _summary(preset: PresetConfig) -> str:
    """What a preset says, in a line."""
    words = [
        f"{name} {shown(value)}" for name in NAMES if (value := getattr(preset, name)) is not None
    ]
    if preset.system:
        words.append(f"“{clean_line(preset.system, 40)}”")
    return ", ".join(words)
