"""Every key of the dashboard, by a stable id that ``[keys]`` in the configuration can rebind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding
from textual.dom import DOMNode

from gputui.errors import ConfigError
from gputui.text import clean_line, nearest

if TYPE_CHECKING:
    from gputui.ui.dialogs import TextScreen

REPAINT = Binding(
    "f5,ctrl+l", "app.repaint", "Repaint", show=False, priority=True, id="view.repaint"
)
"""On every screen, and in dialogs, too: what else wrote to the terminal asks for no leave."""

DASHBOARD_BINDINGS: list[Binding] = [
    Binding("1", "toggle_instance('1')", "Start/stop", key_display="1-9", id="instance.1"),
    *(
        Binding(d, f"toggle_instance('{d}')", f"Start/stop {d}", show=False, id=f"instance.{d}")
        for d in "23456789"
    ),
    Binding("s", "instance('start')", "Start", id="instance.start"),
    Binding("x", "instance('stop')", "Stop", id="instance.stop"),
    Binding("r", "instance('restart')", "Restart", id="instance.restart"),
    Binding("question_mark", "keys", "Keys", key_display="?", id="view.keys"),
    Binding("l", "log", "Log", id="instance.log"),
    Binding("e", "edit('edit')", "Edit", id="instance.edit"),
    Binding("n", "edit('new')", "New", id="instance.new"),
    Binding("L", "layouts", "Layouts", id="view.layouts"),
    Binding("c", "prompt", "Chat", id="chat.prompt", priority=True),
    Binding("q,ctrl+q", "leave", "Quit", id="app.quit", key_display="q"),
    Binding("d", "edit('duplicate')", "Duplicate", show=False, id="instance.duplicate"),
    Binding("delete", "remove", "Remove", show=False, id="instance.remove"),
    Binding("g", "gpu_details", "GPU details", id="gpu.details"),
    Binding("a", "chat('model', 'A')", "Model A", id="chat.model_a"),
    Binding("b", "chat('model', 'B')", "Model B", id="chat.model_b"),
    Binding("v", "chat('vote')", "Vote", show=False, id="chat.vote"),
    Binding("left", "side('A')", "Side A", show=False, id="chat.side_a"),
    Binding("right", "side('B')", "Side B", show=False, id="chat.side_b"),
    Binding("ctrl+o", "other_side", "Other side", show=False, id="chat.other_side"),
    Binding("o", "chat('open')", "Conversations", show=False, id="chat.open"),
    Binding("t", "chat('settings')", "Chat settings", show=False, id="chat.settings"),
    Binding("k", "chat('stop')", "Stop answers", show=False, id="chat.stop"),
    Binding("exclamation_mark", "events", "Events", show=False, key_display="!", id="view.events"),
    Binding("p", "processes", "Processes", id="view.processes"),
    Binding("w", "power", "Power", id="view.power"),
    Binding("z", "maximise", "Maximise", id="view.maximise"),
    REPAINT,
]


class _Place(NamedTuple):
    """Where keys hold; ``widget`` is None for those of the dashboard itself."""

    name: str
    widget: type[DOMNode] | None
    bindings: list[Binding]

    def holds(self, nodes: Sequence[DOMNode]) -> bool:
        """Whether one of these is the widget."""
        return self.widget is not None and any(isinstance(node, self.widget) for node in nodes)


def _by_place() -> Iterator[_Place]:
    """The bindings of the dashboard and its panels, by where they hold."""
    from gputui.ui.chat.kept.found_list import FoundList
    from gputui.ui.chat.kept.screen import ConversationsScreen
    from gputui.ui.chat.prompt import Prompt
    from gputui.ui.chat.reading.difference_screen import DifferenceView
    from gputui.ui.chat.settings.screen import SettingsTable
    from gputui.ui.chat.side_pane import SidePane
    from gputui.ui.chat.voting.dialogs import VoteDialog
    from gputui.ui.chat.voting.screen import VotesView
    from gputui.ui.editing.form import InstanceForm
    from gputui.ui.editing.widgets import GpuField
    from gputui.ui.gpus.chart_view import ChartView
    from gputui.ui.gpus.details import GpuDetails
    from gputui.ui.gpus.facts import FactsView
    from gputui.ui.instances.details import InstanceDetailsScreen
    from gputui.ui.instances.panel import InstancesPanel
    from gputui.ui.log.view import LogView
    from gputui.ui.power.screen import PowerTable
    from gputui.ui.processes.table import ProcessTable

    for where, starts in (("Instances", ("instance.",)), ("Chat", ("chat.",))):
        yield _of_dashboard(where, starts)
    yield _of_dashboard("View", ("view.", "app.", "gpu."))
    places = (
        ("In the table", InstancesPanel),
        ("On a side", SidePane),
        ("In the prompt", Prompt),
        ("Among the conversations", ConversationsScreen),
        ("List of conversations", FoundList),
        ("Among the differences", DifferenceView),
        ("In the chat's settings", SettingsTable),
        ("In a GPU's details", GpuDetails),
        ("GPU readings", FactsView),
        ("GPU charts", ChartView),
        ("Among the processes", ProcessTable),
        ("On the power screen", PowerTable),
        ("In an instance's form", InstanceForm),
        ("Among its GPUs", GpuField),
        ("In an instance's details", InstanceDetailsScreen),
        ("In a log", LogView),
        ("In a vote", VoteDialog),
        ("Among the votes", VotesView),
    )
    for where, widget in places:
        bindings = [binding for binding in widget.BINDINGS if isinstance(binding, Binding)]
        yield _Place(where, widget, bindings)


def _of_dashboard(name: str, starts: tuple[str, ...]) -> _Place:
    bindings = [one for one in DASHBOARD_BINDINGS if (one.id or "").startswith(starts)]
    return _Place(name, None, bindings)


def all_bindings() -> Iterator[Binding]:
    """Every binding that has an id."""
    for place in _by_place():
        yield from place.bindings


def check_keys(keys: Mapping[str, str]) -> dict[str, str]:
    """The user's ``[keys]``. Raises ConfigError for an id that does not exist."""
    known = list(dict.fromkeys(binding.id for binding in all_bindings() if binding.id))
    for name in keys:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f'[keys]: unknown action "{clean_line(name)}"',
                f'Did you mean "{near}"?' if near else f"Known: {', '.join(known)}.",
            )
    return dict(keys)


def _is_folded(binding: Binding, keys: Mapping[str, str]) -> bool:
    """Whether its line is that of 1-9."""
    start, _, digit = (binding.id or "").rpartition(".")
    return start == "instance" and digit in "23456789" and binding.id not in keys


def _once(bindings: Sequence[Binding]) -> Iterator[Binding]:
    """Without those that are the same key again, for when it does something else."""
    ids = [binding.id for binding in bindings]
    for at, binding in enumerate(bindings):
        if binding.id is None or binding.id not in ids[:at]:
            yield binding


def help_text(keys: Mapping[str, str], here: DOMNode | None = None) -> str:
    """All keys with what they do and their ids, as the ``?`` screen shows them.

    First come those that hold ``here``: of the widget with the focus, and of those around it.
    """
    rows = []
    nodes = here.ancestors_with_self if here is not None else ()
    for place in sorted(_by_place(), key=lambda place: not place.holds(nodes)):
        rows.append(place.name)
        for binding in _once(place.bindings):
            if _is_folded(binding, keys):
                continue
            shown = keys.get(binding.id or "", binding.key_display or binding.key)
            words = binding.description or binding.action.partition("(")[0].replace("_", " ")
            name = "instance.1 … instance.9" if binding.id == "instance.1" else binding.id
            rows.append(f"  {shown:<16} {words:<22} {name}")
    return "\n".join(
        [
            'Any key can be changed by its id, in [keys] of the configuration: "instance.stop" = "f8".',
            "",
            *rows,
            "",
            "  tab              next panel         ctrl+p: all commands    ctrl+q: quit at once",
        ]
    )


def keys_screen(keys: Mapping[str, str], here: DOMNode | None) -> TextScreen:
    """``help_text`` on a screen of its own."""
    from gputui.ui.dialogs import TextScreen

    async def read() -> str:
        return help_text(keys, here)

    return TextScreen("Keys", read)
