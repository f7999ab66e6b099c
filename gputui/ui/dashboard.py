"""The one screen: header, GPUs, instances, chat."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.screen import Screen
from textual.widgets import Footer, Static

from gputui.chat.endpoints import running_endpoint
from gputui.chat.model import Endpoint
from gputui.errors import ConfigError, GputuiError
from gputui.gpu.history import History
from gputui.gpu.sample import Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import clean_line
from gputui.ui.caretaker import Caretaker
from gputui.ui.chat_panel import SIDES, ChatPanel, Prompt
from gputui.ui.dialogs import Choice, ChoiceDialog, TextScreen, WaitScreen
from gputui.ui.gpu_panel import GpuGrid
from gputui.ui.header import Header
from gputui.ui.instances_panel import InstanceRow, InstancesPanel
from gputui.ui.keys import DASHBOARD_BINDINGS, help_text
from gputui.ui.messages import InstancesObserved, ProblemMet, SamplesTaken
from gputui.ui.palette import Look
from gputui.ui.rows import instance_rows, pinned_names
from gputui.ui.services import Services

PANELS = ("gpus", "instances", "chat")
TOAST = 300
"""Characters of a message in a toast: a longer one would cover the screen."""
FIRST_PICTURE_SECONDS = 0.2
"""How long the first picture waits for the first sample; a driver may be slower, or hang."""


class Dashboard(Screen[None]):
    """Receives facts, passes them to the panels, and turns keys into requests."""

    BINDINGS = DASHBOARD_BINDINGS  # type: ignore[assignment]
    AUTO_FOCUS = "InstancesPanel"

    def __init__(
        self, services: Services, look: Look, problems: Sequence[GputuiError] = ()
    ) -> None:
        super().__init__()
        self._problems = problems
        self._services = services
        self._look = look
        self._snapshot: Snapshot | None = None
        self._maximised: str | None = None
        self._caretaker = Caretaker(self, services, self.say)
        self._to_start: Sequence[str] = services.start
        self._config_problems: list[ConfigError] = []
        self._leaving = False
        self._told_store_problem: str | None = None
        self.history: History | None = None
        self._first_picture = contextlib.ExitStack()

    def compose(self) -> ComposeResult:
        services = self._services
        yield Header(self._look, services.config.power, services.host, services.clock)
        yield Static("", id="banner", markup=False)
        yield GpuGrid(self._look)
        yield InstancesPanel(self._look)
        yield ChatPanel(self._look, self._services.conversation, self._prepare)
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        # One picture with everything in it, rather than five as the parts come in.
        self._first_picture.enter_context(self.app.batch_update())
        self.set_timer(FIRST_PICTURE_SECONDS, self._first_picture.close)
        self._choose_first_sides()
        self._frame_sides()
        self.run_worker(self._caretaker.observe_forever(), group="observe", exclusive=True)
        for problem in self._problems:
            self.say(problem)

    def on_resize(self) -> None:
        self.query_one(ChatPanel).fit(self.app.size.width)
        self._frame_sides()
        self.query_one(GpuGrid).refresh_gpus()
        self._show_rows()

    # ── facts ────────────────────────────────────────────────────────────────────────────────

    @on(SamplesTaken)
    def samples_taken(self, message: SamplesTaken) -> None:
        first = self._snapshot is None
        known = self._snapshot.identities if self._snapshot else None
        self._snapshot = snapshot = message.snapshot
        if snapshot.identities != known:
            self._services.supervisor.set_gpus(snapshot.identities)
            self._frame_sides()
        assert self.history is not None  # noqa: S101 - set before the sampler starts
        pinned = pinned_names(self._caretaker.statuses)
        self.query_one(Header).update_gpus(snapshot)
        self.query_one(GpuGrid).update_gpus(snapshot, self.history, pinned)
        self._show_rows()
        self._start_what_was_asked()
        if first:
            self.call_after_refresh(self._first_picture.close)

    @on(InstancesObserved)
    def instances_observed(self, message: InstancesObserved) -> None:
        self._caretaker.take(message.statuses)
        self._tell_store_problem()
        self.query_one(Header).update_instances(message.statuses)
        self._show_rows()
        self._frame_sides()
        self._start_what_was_asked()

    def _start_what_was_asked(self) -> None:
        """Once it is known which GPUs there are, and what runs already."""
        if self._snapshot is not None and self._caretaker.observed:
            names, self._to_start = self._to_start, ()
            self._caretaker.start_all(names)

    def _tell_store_problem(self) -> None:
        """Once for each new reason why turns are not being kept."""
        problem = self._services.conversation.store_problem
        if problem is not None and problem != self._told_store_problem:
            self.say(GputuiError("Turns are not being kept", problem))
        self._told_store_problem = problem

    # ── instances ────────────────────────────────────────────────────────────────────────────

    def action_toggle_instance(self, key: str) -> None:
        for instance in self._services.config.instances:
            if instance.key == key:
                status = self._caretaker.status(instance.name)
                running = status is not None and status.state in RUNNING
                self._caretaker.request("stop" if running else "start", instance.name)

    def action_instance(self, action: str) -> None:
        row = self.query_one(InstancesPanel).selected
        if row is not None:
            self._caretaker.request(action, row.status.name)

    def action_log(self) -> None:
        row = self.query_one(InstancesPanel).selected
        if row is None:
            return
        name = row.status.name
        read = partial(self._services.supervisor.log_tail, name)
        self.app.push_screen(TextScreen(f"log of {name}", read, follow=True))

    def _show_rows(self) -> None:
        rows: tuple[InstanceRow, ...] = instance_rows(
            self._services.config,
            self._caretaker.statuses,
            self._snapshot,
            self._services.clock(),
        )
        self.query_one(InstancesPanel).update_rows(rows)

    # ── chat ─────────────────────────────────────────────────────────────────────────────────

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The prompt's key is a letter, and bound before all others: not inside the prompt."""
        return not (action == "prompt" and isinstance(self.focused, Prompt))

    def action_prompt(self) -> None:
        # At once, not by Widget.focus, which waits: the letters typed next are the prompt's.
        self.set_focus(self.query_one(Prompt))

    def action_side(self, name: str) -> None:
        self.query_one(ChatPanel).go_to(name)

    def action_other_side(self) -> None:
        self.query_one(ChatPanel).show_other()

    def _prepare(self, side: str) -> GputuiError | None:
        """Point a side at its instance as it runs now; why it cannot be asked, None where it can.

        An instance must be ready: where it is not, another one may answer on its port, under its name.
        """
        talker = self._services.conversation.sides[side]
        endpoint = talker.endpoint
        status = self._caretaker.status(endpoint.name) if endpoint else None
        if endpoint is None or status is None:
            return None
        if status.state is not State.READY:
            hint = status.note or "Start it, or choose another."
            return GputuiError(f"{status.name} is {status.state}", hint)
        if not talker.busy:
            talker.choose(running_endpoint(endpoint, status.url, status.model, owned=status.owned))
        return None

    def action_choose(self, side: str) -> None:
        choices = [
            Choice(status.name, status.name, f"{status.state} {status.url}")
            for status in self._caretaker.statuses
        ]
        choices += [
            Choice(endpoint.name, endpoint.name, endpoint.url)
            for endpoint in self._services.config.endpoints
        ]
        if not choices:
            self.say(GputuiError("There is nothing to choose", "Configure instances or endpoints."))
            return
        self.app.push_screen(
            ChoiceDialog(f"Who answers on side {side}?", choices), partial(self._chosen, side)
        )

    def _chosen(self, side: str, name: str | None) -> None:
        if name is not None:
            self._services.conversation.sides[side].choose(self._endpoint(name))
            self._frame_sides()
            self.query_one(ChatPanel).refresh_sides()

    def _endpoint(self, name: str) -> Endpoint | None:
        try:
            return self._services.endpoint_of(name)
        except GputuiError as error:
            self.say(error)
            return None

    def _choose_first_sides(self) -> None:
        """The first two that are configured, until the user chooses."""
        config = self._services.config
        names = [instance.name for instance in config.instances]
        names += [endpoint.name for endpoint in config.endpoints]
        for side, name in zip(SIDES, names, strict=False):
            if self._services.conversation.sides[side].endpoint is None:
                self._services.conversation.sides[side].choose(self._endpoint(name))

    def _frame_sides(self) -> None:
        """A side wears the hue of the GPU that answers on it; a narrow one names the other."""
        chat, palette = self.query_one(ChatPanel), self._look.palette
        elsewhere = {"A": "ctrl+o: side B", "B": "ctrl+o: side A"} if chat.narrow else {}
        for name in SIDES:
            endpoint = self._services.conversation.sides[name].endpoint
            status = self._caretaker.status(endpoint.name) if endpoint else None
            gpu = self._gpu(status.gpus[0]) if status and status.gpus else None
            hue = palette.hue_color(gpu.index) if gpu else palette.theme.colors.border
            title = f"{name}  {endpoint.name}" if endpoint else name
            chat.pane(name).frame(hue, title, elsewhere.get(name, ""))
            chat.pane(name).say_when_empty(_first_words(endpoint, status))

    def _gpu(self, uuid: str) -> GpuIdentity | None:
        identities = self._snapshot.identities if self._snapshot else ()
        return next((gpu for gpu in identities if gpu.uuid == uuid), None)

    @on(Prompt.Left)
    def prompt_left(self) -> None:
        self.set_focus(self.query_one(InstancesPanel))

    @on(ProblemMet)
    def problem_met(self, message: ProblemMet) -> None:
        self.say(message.error)

    def action_stop_answers(self) -> None:
        self._services.conversation.stop()

    # ── the screen itself ────────────────────────────────────────────────────────────────────

    def say(self, error: GputuiError) -> None:
        """Tell the user: a toast, and for a wrong configuration a banner that stays."""
        if isinstance(error, ConfigError):
            self._config_problems.append(error)
            more = len(self._config_problems) - 1
            banner = self.query_one("#banner", Static)
            banner.update(f"{self._config_problems[0]}" + (f"\n(+{more} more)" if more else ""))
            banner.display = True
        title, hint = clean_line(error.message, TOAST), clean_line(error.hint, TOAST) or " "
        self.notify(hint, title=title, severity="error", markup=False, timeout=8)

    def action_maximise(self) -> None:
        """The focused panel alone, or everything again."""
        target = self._panel_of_focus()
        self._maximised = None if self._maximised else target
        for name in PANELS:
            panel = self.query_one(f"#{name}")
            panel.display = self._maximised in (None, name)
            panel.set_class(self._maximised == name, "-maximised")
        self.query_one(GpuGrid).refresh_gpus()
        self._show_rows()

    def _panel_of_focus(self) -> str:
        nodes = self.focused.ancestors_with_self if self.focused else ()
        return next((node.id for node in nodes if node.id in PANELS), "gpus")

    def action_keys(self) -> None:
        async def read() -> str:
            return help_text(self._services.config.keys)

        self.app.push_screen(TextScreen("Keys", read))

    def action_repaint(self) -> None:
        self.app.refresh(layout=True)

    def action_leave(self) -> None:
        """Quit. Models go on running; only the demo asks, since its servers are for the demo alone."""
        running = self._caretaker.owned_and_running()
        if self._leaving:
            return
        if self._services.demo and running:
            question = f"Stop the demo's servers ({', '.join(running)})?"
            choices = (
                Choice("stop", "Stop them and quit"),
                Choice("keep", "Quit, leave them running"),
                Choice("stay", "Stay here"),
            )
            self.app.push_screen(ChoiceDialog(question, choices), self._leave)
        else:
            self._leave("keep")

    def _leave(self, choice: str | None) -> None:
        if choice in ("stop", "keep"):
            self._leaving = True
            self.run_worker(self._finish(stop=choice == "stop"), group="leave")

    async def _finish(self, *, stop: bool) -> None:
        """Quit once all that was asked for is done: a stop that is left half-way is no stop."""
        if stop:
            for name in self._caretaker.owned_and_running():
                self._caretaker.act("stop", name)
        if self._caretaker.busy:
            self.app.push_screen(WaitScreen("Stopping, then quitting …" if stop else "Finishing …"))
        await self._caretaker.settle()
        self.app.exit(_last_words(self._caretaker.owned_and_running()))

    def restyle(self) -> None:
        """Draw everything again in the theme of now."""
        self._frame_sides()
        self.query_one(GpuGrid).refresh_gpus()
        self._show_rows()
        self.query_one(Header).redraw()
        self.query_one(ChatPanel).restyle()

    def commands(self) -> Iterator[SystemCommand]:
        """Every action for the command palette; instances by name."""
        chat = self.query_one(ChatPanel)
        for status in self._caretaker.statuses:
            for action in ("start", "stop", "restart"):
                title = f"{action.capitalize()} {status.name}"
                run = partial(self._caretaker.request, action, status.name)
                yield SystemCommand(title, str(status.state), run)
        yield SystemCommand("Chat", "type a prompt", self.action_prompt)
        for side in SIDES:
            pane = chat.pane(side)
            choose = partial(self.action_choose, side)
            yield SystemCommand(f"Choose model {side}", f"who answers on side {side}", choose)
            yield SystemCommand(f"Stop answer {side}", "keep what came", pane.action_stop_side)
            yield SystemCommand(f"Retry {side}", "its last prompt again", pane.action_retry_side)
            yield SystemCommand(f"Reasoning {side}", "fold or unfold", pane.action_unfold)
        yield SystemCommand("Stop answers", "both sides", self.action_stop_answers)
        yield SystemCommand("Send to A, B or both", "where the next prompt goes", chat.next_target)
        yield SystemCommand("Log", "of the selected instance", self.action_log)
        yield SystemCommand("Maximise panel", "the focused one, or all again", self.action_maximise)
        yield SystemCommand("Key list", "all keys with their ids", self.action_keys)
        yield SystemCommand("Repaint", "the whole screen", self.action_repaint)


def _first_words(endpoint: Endpoint | None, status: InstanceStatus | None) -> str:
    if endpoint is None:
        return "No model here yet. Press a or b to choose who answers on this side."
    if status is not None and status.state is State.FAILED:
        return f"{endpoint.name} failed; the reason is under the table."
    if status is not None and status.state is not State.READY:
        return f"{endpoint.name} is {status.state}."
    return "Press c, type a prompt, enter sends it."


def _last_words(running: list[str]) -> str | None:
    if not running:
        return None
    names = ", ".join(running)
    return f"Still running: {names}. See them with gputui status, end them with gputui stop NAME."
