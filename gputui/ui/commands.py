"""Every action of the dashboard by its name, for the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.app import SystemCommand

from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.commands import COMMANDS
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.dashboard import Dashboard
from gputui.ui.instances.panel import InstancesPanel


def commands(dashboard: Dashboard) -> Iterator[SystemCommand]:
    """Every action for the command palette; instances by name."""
    chat = dashboard.query_one(ChatPanel)
    for status in dashboard.caretaker.statuses:
        for action in () if status.external else ("start", "stop", "restart"):
            title = f"{action.capitalize()} {status.name}"
            run = partial(dashboard.caretaker.request, action, status.name)
            yield SystemCommand(title, str(status.state), run)
        for purpose in ("edit", "duplicate"):
            ask = partial(dashboard.editing.request, purpose, status.name)
            yield SystemCommand(f"{purpose.capitalize()} {status.name}", "in the file", ask)
        drop = partial(dashboard.editing.request_removal, status.name)
        yield SystemCommand(f"Remove {status.name}", "from the file", drop)
    yield SystemCommand("New instance", "in the file", partial(dashboard.editing.request, "new"))
    yield SystemCommand("Chat", "type a prompt", dashboard.action_prompt)
    yield from chat_commands(dashboard.chatting)
    yield SystemCommand("Send to A, B or both", "where the next prompt goes", chat.next_target)
    yield SystemCommand("Layouts", "switch to a set of instances", dashboard.action_layouts)
    yield SystemCommand("Processes", "on all GPUs", dashboard.action_processes)
    yield SystemCommand("Power and cost", "draw, limits, energy", dashboard.action_power)
    yield SystemCommand("Log", "of the selected instance", dashboard.action_log)
    panel = dashboard.query_one(InstancesPanel)
    yield SystemCommand("Details", "of the selected instance", panel.action_details)
    yield SystemCommand(
        "Maximise panel", "the focused one, or all again", dashboard.action_maximise
    )
    yield SystemCommand("GPU details", "readings and charts", dashboard.action_gpu_details)
    yield SystemCommand("Events", "what fires, and what fired", dashboard.action_events)
    yield SystemCommand("Key list", "all keys with their ids", dashboard.action_keys)


def chat_commands(chatting: Chatting) -> Iterator[SystemCommand]:
    """The chat's; one that has to be told more is begun in the prompt."""
    for command in COMMANDS:
        offered = tuple(command.offered(chatting))
        for title, argument in offered:
            run = partial(chatting.run, command.name, argument)
            yield SystemCommand(title, command.words, run)
        if command.begun(offered):
            begin = partial(chatting.begin_command, command.name)
            yield SystemCommand(f"{command.title} …", command.words, begin)
