"""The one screen: header, GPUs, instances, chat."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

from textual import on, work
from textual.app import ComposeResult, SystemCommand
from textual.screen import Screen
from textual.widgets import Footer, Static

from gputui.chat.model import Endpoint
from gputui.errors import ConfigError, GputuiError
from gputui.gpu.history import History
from gputui.gpu.sample import Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.ui.chat_panel import SIDES, ChatPanel, Prompt
from gputui.ui.dialogs import Choice, ChoiceDialog, ConfirmDialog, TextScreen
from gputui.ui.gpu_panel import GpuGrid
from gputui.ui.header import Header
from gputui.ui.instances_panel import InstanceRow, InstancesPanel
from gputui.ui.keys import DASHBOARD_BINDINGS, help_text
from gputui.ui.messages import InstancesObserved, ProblemMet, SamplesTaken
from gputui.ui.palette import Look
from gputui.ui.rows import instance_rows, pinned_names
from gputui.ui.services import Services

PANELS = ("gpus", "instances", "chat")
OBSERVE_SECONDS = 1.0
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
        self._statuses: tuple[InstanceStatus, ...] = ()
        self._snapshot: Snapshot | None = None
        self._maximised: str | None = None
        self._told_store_problem: str | None = None
        self.history: History | None = None
        self._first_picture = contextlib.ExitStack()

    def compose(self) -> ComposeResult:
        services = self._services
        yield Header(self._look, services.config.power, services.host, services.clock)
        yield Static("", id="banner", markup=False)
        yield GpuGrid(self._look)
        yield InstancesPanel(self._look)
        yield ChatPanel(self._look, self._services.conversation)
        yield Footer(show_command_palette=True)

    def on_mount(self) -> None:
        # One picture with everything in it, rather than five as the parts come in.
        self._first_picture.enter_context(self.app.batch_update())
        self.set_timer(FIRST_PICTURE_SECONDS, self._first_picture.close)
        self._choose_first_sides()
        self._frame_sides()
        self._observe_forever()
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
        known = self._snapshot.identities if self._snapshot else None
        self._snapshot = snapshot = message.snapshot
        if snapshot.identities != known:
            self._services.supervisor.set_gpus(snapshot.identities)
            self._frame_sides()
        if known is None:  # an instance can only be pinned once the GPUs are known
            for name in self._services.start:
                self._act("start", name)
        assert self.history is not None  # noqa: S101 - set before the sampler starts
        self.query_one(Header).update_gpus(snapshot)
        self.query_one(GpuGrid).update_gpus(snapshot, self.history, pinned_names(self._statuses))
        self._show_rows()
        if known is None:
            self.call_after_refresh(self._first_picture.close)

    @on(InstancesObserved)
    def instances_observed(self, message: InstancesObserved) -> None:
        before = {status.name: status for status in self._statuses}
        self._statuses = message.statuses
        for status in message.statuses:
            old = before.get(status.name)
            if status.state is State.FAILED and old is not None and old.state is not State.FAILED:
                self.say(
                    GputuiError(f"{status.name}: {status.last_error or 'failed'}", status.hint)
                )
        self._tell_store_problem()
        self.query_one(Header).update_instances(message.statuses)
        self._show_rows()
        self._frame_sides()

    def _tell_store_problem(self) -> None:
        """Once for each new reason why turns are not being kept."""
        problem = self._services.conversation.store_problem
        if problem is not None and problem != self._told_store_problem:
            self.say(GputuiError("Turns are not being kept", problem))
        self._told_store_problem = problem

    @work(group="observe", exclusive=True)
    async def _observe_forever(self) -> None:
        """Ask for all states once a second; a problem is shown and asked again, never fatal."""
        while True:
            try:
                self.post_message(InstancesObserved(await self._services.supervisor.observe()))
            except GputuiError as error:
                self.say(error)
            await asyncio.sleep(OBSERVE_SECONDS)

    # ── instances ────────────────────────────────────────────────────────────────────────────

    def action_toggle_instance(self, key: str) -> None:
        for instance in self._services.config.instances:
            if instance.key == key:
                status = self._status(instance.name)
                running = status is not None and status.state in RUNNING
                self._request("stop" if running else "start", instance.name)

    def action_instance(self, action: str) -> None:
        row = self.query_one(InstancesPanel).selected
        if row is not None:
            self._request(action, row.status.name)

    def action_log(self) -> None:
        row = self.query_one(InstancesPanel).selected
        if row is None:
            return
        name = row.status.name
        read = partial(self._services.supervisor.log_tail, name)
        self.app.push_screen(TextScreen(f"log of {name}", read, follow=True))

    def _request(self, action: str, name: str) -> None:
        """Stopping asks first; read-only refuses."""
        if self._services.readonly:
            self.say(GputuiError(f"{name}: not {action}ed", "gputui was started with --readonly."))
        elif action == "start":
            self._act(action, name)
        else:
            question = f"{action.capitalize()} {name}? Its open answers end."
            self.app.push_screen(
                ConfirmDialog(question, yes=action.capitalize(), no="Leave it running"),
                partial(self._confirmed, action, name),
            )

    def _confirmed(self, action: str, name: str, answer: str | None) -> None:
        if answer == "yes":
            self._act(action, name)

    @work(group="act")
    async def _act(self, action: str, name: str) -> None:
        supervisor = self._services.supervisor
        if action in ("stop", "restart"):
            self._end_streams_to(name)
        try:
            await {
                "start": supervisor.start,
                "stop": supervisor.stop,
                "restart": supervisor.restart,
            }[action](name)
        except GputuiError as error:
            self.say(error)
        try:
            self.post_message(InstancesObserved(await supervisor.observe()))
        except GputuiError as error:
            self.say(error)

    def _end_streams_to(self, name: str) -> None:
        """A server waits for its open streams when told to stop: ours are closed first."""
        status = self._status(name)
        if status is not None:
            self._services.conversation.stop_endpoint(f"{status.url}/v1")

    def _status(self, name: str) -> InstanceStatus | None:
        return next((status for status in self._statuses if status.name == name), None)

    def _show_rows(self) -> None:
        rows: tuple[InstanceRow, ...] = instance_rows(
            self._services.config, self._statuses, self._snapshot, self._services.clock()
        )
        self.query_one(InstancesPanel).update_rows(rows)

    # ── chat ─────────────────────────────────────────────────────────────────────────────────

    def action_prompt(self) -> None:
        self.query_one(Prompt).focus()

    def action_side(self, name: str) -> None:
        self.query_one(ChatPanel).go_to(name)

    def action_other_side(self) -> None:
        self.query_one(ChatPanel).show_other()

    def action_choose(self, side: str) -> None:
        choices = [
            Choice(status.name, status.name, f"{status.state} {status.url}")
            for status in self._statuses
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
            status = self._status(endpoint.name) if endpoint else None
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
        self.query_one(InstancesPanel).focus()

    @on(ProblemMet)
    def problem_met(self, message: ProblemMet) -> None:
        self.say(message.error)

    def action_stop_answers(self) -> None:
        self._services.conversation.stop()

    # ── the screen itself ────────────────────────────────────────────────────────────────────

    def say(self, error: GputuiError) -> None:
        """Tell the user: a toast, and for a wrong configuration a banner that stays."""
        if isinstance(error, ConfigError):
            banner = self.query_one("#banner", Static)
            banner.update(str(error))
            banner.display = True
        self.notify(
            error.hint or " ", title=error.message, severity="error", markup=False, timeout=8
        )

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
        running = [s.name for s in self._statuses if s.owned and s.state in RUNNING]
        if self._services.demo and running:
            question = f"Stop the demo's servers ({', '.join(running)})?"
            choices = (
                Choice("stop", "Stop them and quit"),
                Choice("keep", "Quit, leave them running"),
                Choice("stay", "Stay here"),
            )
            self.app.push_screen(ChoiceDialog(question, choices), partial(self._leave, running))
        else:
            self._leave(running, "keep")

    def _leave(self, running: list[str], choice: str | None) -> None:
        if choice == "stop":
            self._stop_all_and_quit(running)
        elif choice == "keep":
            self.app.exit(_last_words(running))

    @work(group="act")
    async def _stop_all_and_quit(self, names: list[str]) -> None:
        self._services.conversation.stop()
        stops = [self._services.supervisor.stop(name) for name in names]
        results = await asyncio.gather(*stops, return_exceptions=True)
        errors = [str(result) for result in results if isinstance(result, BaseException)]
        self.app.exit("\n".join(errors) or None)

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
        for status in self._statuses:
            for action in ("start", "stop", "restart"):
                yield SystemCommand(
                    f"{action.capitalize()} {status.name}",
                    str(status.state),
                    partial(self._request, action, status.name),
                )
        yield SystemCommand(
            "Choose model A", "who answers on side A", partial(self.action_choose, "A")
        )
        yield SystemCommand(
            "Choose model B", "who answers on side B", partial(self.action_choose, "B")
        )
        yield SystemCommand("Stop answers", "both sides", self.action_stop_answers)
        yield SystemCommand("Send to A, B or both", "where the next prompt goes", chat.next_target)
        yield SystemCommand("Show the log", "of the selected instance", self.action_log)
        yield SystemCommand("Maximise", "the focused panel, or all again", self.action_maximise)
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
