"""All kept conversations: searched as one types, opened, renamed, deleted, exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Footer, Input

from gputui.chat.keeping.found import Match
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.kept.finder import PAGE, Finder
from gputui.ui.chat.kept.found_list import Found, FoundList
from gputui.ui.chat.kept.keeping import Keeping
from gputui.ui.chat.voting.veiled import veiled
from gputui.ui.filter_box import FilterBox
from gputui.ui.overlay import Overlay, Seen


class SearchBox(FilterBox):
    """The line in which words are typed; enter opens what the cursor of the list is on."""

    BINDINGS = [Binding("enter", "submit", "Open", key_display="enter", id="kept.open")]


class ConversationsScreen(Overlay):
    """The list, and a line in which words are typed. ``words`` are searched for at once."""

    BINDINGS = [
        Binding("enter", "open", "Open", id="kept.open"),
        Binding("f2", "rename", "Rename", id="kept.rename"),
        Binding("f4", "export", "Export", id="kept.export"),
        Binding("f8", "delete", "Delete", id="kept.delete"),
        Binding("tab", "other", "List / search", id="kept.other"),
        Binding("escape", "back", "Close", key_display="esc", id="kept.close"),
        Binding("up", "move(-1)", "Up", show=False, id="kept.up"),
        Binding("down", "move(1)", "Down", show=False, id="kept.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="kept.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="kept.page_down"),
        Binding("home", "move(-1000000)", "First", show=False, id="kept.first"),
        Binding("end", "move(1000000)", "Last", show=False, id="kept.last"),
        Binding("q", "dismiss(None)", "Close", show=False, id="kept.quit"),
        Binding("question_mark", "keys", "Keys", show=False, key_display="?", id="view.keys"),
    ]

    def __init__(self, chatting: Chatting, show_keys: Callable[[], None], words: str = "") -> None:
        super().__init__(show_keys)
        self._chatting = chatting
        self._keeping = Keeping(chatting, self._ask)
        self._finder = Finder(
            chatting.conversation.store,
            lambda work: self.run_worker(work, group="kept-find"),
            self._show,
        )
        self._count = PAGE
        self._box = SearchBox("search all that was said")
        self._box.value = words
        conversation = chatting.conversation
        self._list = FoundList(chatting.look, chatting.services.clock, lambda: conversation.id)

    def compose(self) -> ComposeResult:
        with Vertical(id="kept") as frame:
            frame.border_title = Content("Conversations")
            frame.border_subtitle = Content("type to search  enter opens")
            yield self._box
            yield self._list
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        self.set_focus(self._box)
        self._box.cursor_position = len(self._box.value)
        self._ask()

    def take(self, seen: Seen) -> None:
        """Samples say nothing of conversations."""

    def restyle(self) -> None:
        self._list.redraw()

    # ── finding ──────────────────────────────────────────────────────────────────────────────

    def _ask(self) -> None:
        self._finder.ask(self._box.value, self._count)

    def _show(self, found: Found) -> None:
        if self.is_mounted:
            self._list.show(veiled(found, self._chatting.conversation))

    @on(Input.Changed)
    def words_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._ask()

    @on(FoundList.MoreWanted)
    def more_wanted(self) -> None:
        """Another page, where the list is as long as what was asked for."""
        found = self._list.found
        if found is not None and len(found.conversations) == self._count:
            self._count += PAGE
            self._ask()

    def action_move(self, by: int) -> None:
        self._list.move(by)

    def action_page(self, direction: int) -> None:
        self._list.move(direction * self._list.page)

    def action_other(self) -> None:
        self.set_focus(self._list if self._box.has_focus else self._box)

    def action_search(self) -> None:
        self.set_focus(self._box)

    def action_back(self) -> None:
        """One step: out of the search, out of the screen."""
        if self._box.value:
            self._box.value = ""
        else:
            self.dismiss()

    # ── one conversation ─────────────────────────────────────────────────────────────────────

    @property
    def _selected(self) -> int | None:
        """The id of the conversation that the cursor is on or in."""
        one = self._list.selected
        return one.conversation_id if isinstance(one, Match) else one.id if one else None

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.action_open()

    @on(FoundList.Chosen)
    def action_open(self) -> None:
        one, chosen = self._list.selected, self._selected
        if chosen is not None:
            turn_id = one.turn_id if isinstance(one, Match) else None
            self._keeping.show(chosen, turn_id)
            self.dismiss()

    def action_rename(self) -> None:
        if self._selected is not None:
            self._keeping.work(self._keeping.rename(self._selected))

    def action_export(self) -> None:
        if self._selected is not None:
            self._keeping.work(self._keeping.export(self._selected))

    def action_delete(self) -> None:
        if self._selected is not None:
            self._keeping.work(self._keeping.delete(self._selected))

    def commands(self) -> Iterator[SystemCommand]:
        for title, words, run in (
            ("Open", "and go on with it", self.action_open),
            ("Rename", "the selected conversation", self.action_rename),
            ("Export", "as Markdown, JSON or JSON lines", self.action_export),
            ("Delete", "the selected conversation", self.action_delete),
            ("Search", "all that was said", self.action_search),
            ("Key list", "all keys with their ids", self.action_keys),
            ("Close the conversations", "back", self.dismiss),
        ):
            yield SystemCommand(title, words, run)
