"""Every action of the dashboard by its name, for the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.app import SystemCommand

from gputui.ui.chat.panel import SIDES, ChatPanel
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
    for side in SIDES:
        pane = chat.pane(side)
        choose = partial(dashboard.action_choose, side)
        yield SystemCommand(f"Choose model {side}", f"who answers on side {side}", choose)
        yield SystemCommand(f"Stop answer {side}", "keep what came", pane.action_stop_side)
        yield SystemCommand(f"Retry {side}", "its last prompt again", pane.action_retry_side)
        yield SystemCommand(f"Reasoning {side}", "fold or unfold", pane.action_unfold)
    yield SystemCommand("Stop answers", "both sides", dashboard.action_stop_answers)
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
    yield SystemCommand("Repaint", "the whole screen", dashboard.action_repaint)
