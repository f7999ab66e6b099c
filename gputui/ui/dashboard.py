"""The one screen: header, GPUs, instances, chat."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from gputui.alerts.views import Scope
from gputui.errors import ConfigError, GputuiError
from gputui.gpu.history import History
from gputui.gpu.sample import Snapshot
from gputui.instances.status import RUNNING
from gputui.power.meter import PowerReport
from gputui.text import clean_line
from gputui.ui.alerts.alerting import Alerting
from gputui.ui.chat.chatting import Chatting
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.prompt import Prompt
from gputui.ui.configuring import Configuring
from gputui.ui.editing.editing import Editing
from gputui.ui.gpus.panel import GpuGrid
from gputui.ui.header import Header
from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.instances.columns import InstanceRow
from gputui.ui.instances.layouts import LayoutActions
from gputui.ui.instances.panel import InstancesPanel
from gputui.ui.instances.rows import (
    configured_rows,
    endpoint_rows,
    instance_rows,
    names_by_pid,
    pinned_names,
)
from gputui.ui.instances.views import InstanceViews
from gputui.ui.keys import DASHBOARD_BINDINGS, keys_screen
from gputui.ui.keys_line import KeysLine
from gputui.ui.leaving import Leaving
from gputui.ui.messages import InstancesObserved, ProblemMet, SamplesTaken
from gputui.ui.overlay import Overlay, Seen
from gputui.ui.pace import Pace
from gputui.ui.palette import Look
from gputui.ui.power.actions import PowerActions
from gputui.ui.processes.actions import ProcessActions
from gputui.ui.services import Services
from gputui.ui.still import StillScreen
from gputui.ui.watchers import Watchers

if TYPE_CHECKING:
    from gputui.ui.editing.draft import Purpose
    from gputui.ui.gpus.details import DetailsMemory
    from gputui.ui.power.lines import PowerView


PANELS = ("gpus", "instances", "chat")
TOAST = 300
"""Characters of a message in a toast: a longer one would cover the screen."""
FIRST_PICTURE_SECONDS = 0.2
"""How long the first picture waits for the first sample; a driver may be slower, or hang."""


class Dashboard(StillScreen[None]):
    """Receives facts, passes them to the panels, and turns keys into requests."""

    BINDINGS = DASHBOARD_BINDINGS  # type: ignore[assignment]
    AUTO_FOCUS = "InstancesPanel"

    def __init__(
        self, services: Services, look: Look, problems: Sequence[GputuiError] = ()
    ) -> None:
        super().__init__()
        self.drawn: Callable[[], None] = lambda: None
        self._problems = problems
        self._services = services
        self._look = look
        self._snapshot: Snapshot | None = None
        self._maximised: str | None = None
        self.pace = Pace(services, lambda: self.caretaker.hurry())
        self.caretaker = care = Caretaker(self, services, self.say, self.pace)
        self.watchers = Watchers(
            services.watchers, lambda error: self.post_message(ProblemMet(error))
        )
        self.chatting = Chatting(self, services, self.caretaker, look, self.say)
        self._alerting = Alerting(self, services, look, self.say)
        self._leaving = Leaving(self, services, self.caretaker)
        self._configuring = Configuring(
            self, services, self.say, self._forget_config_problems, self._reconfigured
        )
        self.editing = Editing(
            self,
            services,
            self.caretaker,
            self._configuring,
            look,
            self.say,
            lambda: self.chatting.seating.gpus,
        )
        edit = partial(self.editing.request, "edit")
        self._views = InstanceViews(
            self, services, self.caretaker, look, self._rows, self.say, self.action_keys, edit
        )
        self.process_actions = ProcessActions(self, care, self.say, readonly=services.readonly)
        self.layout_actions = LayoutActions(self, services, self.caretaker, look, self.say)
        self.power_actions = PowerActions(self, services.power, self.say)
        self._to_start: Sequence[str] = services.start
        self._config_problems: list[ConfigError] = []
        self.history: History | None = None
        self._details: DetailsMemory | None = None
        self._first_picture, self._until_drawn = contextlib.ExitStack(), contextlib.ExitStack()

    def compose(self) -> ComposeResult:
        services = self._services
        session = services.power.meter.report if services.power else None
        yield Header(self._look, services.config.power, services.host, services.clock, session)
        yield self._alerting.line()
        yield Static("", id="banner", markup=False)
        yield GpuGrid(self._look)
        yield InstancesPanel(self._look)
        chat = self.chatting
        yield ChatPanel(self._look, services.conversation, chat.seating.prepare, chat.drafting)
        yield KeysLine(held=True)

    def on_mount(self) -> None:
        # One picture with everything in it, rather than five as the parts come in.
        self._first_picture.enter_context(self.app.batch_update())
        self.set_timer(FIRST_PICTURE_SECONDS, self._first_picture.close)
        told_by = self.set_timer(2 * FIRST_PICTURE_SECONDS, self.tell_drawn)
        self._until_drawn.callback(told_by.stop)
        self.chatting.seating.choose_first()
        self.chatting.seating.frame()
        self.run_worker(self.caretaker.observe_forever(), group="observe", exclusive=True)
        for problem in self._problems:
            self.say(problem)

    def first_drawn(self) -> None:
        """Now what the first picture did not need."""
        self._until_drawn.close()
        self.query_one(KeysLine).held = False
        self.refresh_bindings()
        self.drawn()
        self.run_worker(self._configuring.watch_forever(), group="watch", exclusive=True)
        if self._services.endpoints is not None:
            self.run_worker(self._services.endpoints.run_forever(), group="endpoints")

    def on_resize(self) -> None:
        self.query_one(ChatPanel).fit(self.app.size.width)
        self.chatting.seating.frame()
        self._show_facts()

    def on_screen_resume(self) -> None:
        self._show_facts()

    # ── facts ────────────────────────────────────────────────────────────────────────────────

    @on(SamplesTaken)
    def samples_taken(self, message: SamplesTaken) -> None:
        before, self._snapshot = self._snapshot, (snapshot := message.snapshot)
        if before is None or snapshot.identities != before.identities:
            self._services.supervisor.set_gpus(snapshot.identities)
            self.chatting.seating.gpus = snapshot.identities
            self.chatting.seating.frame()
        self.pace.sampled()
        self._show_news()
        self._tell_overlays()
        self._start_what_was_asked()
        if before is None:
            self.call_after_refresh(self._first_picture.close)

    @on(InstancesObserved)
    def instances_observed(self, message: InstancesObserved) -> None:
        self.caretaker.take(message.statuses)
        self.watchers.observed(message.statuses)
        self.power_actions.tell_notices()
        self.chatting.tell_store_problem()
        self.chatting.seating.frame()
        if self.pace.observed(message.statuses):
            self._show_news()
        self._start_what_was_asked()

    @property
    def _seen(self) -> Seen:
        return Seen(self._snapshot, names_by_pid(self.caretaker.statuses))

    def _tell_overlays(self) -> None:
        for screen in self.app.screen_stack:
            if isinstance(screen, Overlay) and screen.is_mounted:  # else it will ask for itself
                screen.take(self._seen)

    def _start_what_was_asked(self) -> None:
        """Once it is known which GPUs there are, and what runs already."""
        if self._snapshot is not None and self.caretaker.observed:
            names, self._to_start = self._to_start, ()
            self.caretaker.start_all(names)

    # ── instances ────────────────────────────────────────────────────────────────────────────

    def action_toggle_instance(self, key: str) -> None:
        for instance in self._services.config.instances:
            if instance.key == key:
                status = self.caretaker.status(instance.name)
                running = status is not None and status.state in RUNNING
                self.caretaker.request("stop" if running else "start", instance.name)

    def action_instance(self, action: str) -> None:
        name = self._chosen_instance()
        if name is not None:
            self.caretaker.request(action, name)

    def _chosen_instance(self, *, file: bool = False) -> str | None:
        """The name of the cursor's row; None where that is no instance, which is told."""
        from gputui.ui.instances.endpoint import refusal

        row = self.query_one(InstancesPanel).selected
        if row is not None and row.endpoint is not None:
            self.say(refusal(row.status.name, file=file))
            return None
        return row.status.name if row is not None else None

    def action_edit(self, purpose: Purpose) -> None:
        name = "" if purpose == "new" else self._chosen_instance(file=True)
        if name is not None:
            self.editing.request(purpose, name)

    def action_remove(self) -> None:
        name = self._chosen_instance(file=True)
        if name is not None:
            self.editing.request_removal(name)

    def _reconfigured(self) -> None:
        """The file was changed, and every room works with it."""
        self.chatting.seating.reconfigured()
        self._show_rows()
        self.caretaker.look()

    def action_log(self) -> None:
        name = self._chosen_instance()
        if name is not None:
            self._views.show_log(name)

    def action_layouts(self) -> None:
        self.layout_actions.request(self._snapshot.identities if self._snapshot else ())

    @on(InstancesPanel.DetailsRequested)
    def details_requested(self, message: InstancesPanel.DetailsRequested) -> None:
        row = self.query_one(InstancesPanel).selected
        if row is not None and row.endpoint is not None:
            self._views.show_endpoint(message.name)
        else:
            self._views.show_details(message.name, self._seen)

    def _rows(self) -> tuple[InstanceRow, ...]:
        if not self.caretaker.observed:
            return configured_rows(self._services.config)
        return instance_rows(
            self._services.config,
            self.caretaker.statuses,
            self._snapshot,
            self._services.clock(),
            self._alerting.marks(Scope.INSTANCE),
            self._report().efficiencies,
        )

    def _show_news(self) -> None:
        self._alerting.update()
        if self.is_current:  # else they are shown when it is again
            self._show_facts()

    def _show_facts(self) -> None:
        statuses, endpoints = self.caretaker.statuses, self._services.endpoint_statuses
        self.query_one(Header).update_facts(self._snapshot, statuses, endpoints)
        pinned, marks = pinned_names(statuses), self._alerting.marks(Scope.GPU)
        self.query_one(GpuGrid).update_gpus(self._snapshot, self.history, pinned, marks)
        self._show_rows()

    def _show_rows(self) -> None:
        endpoints = endpoint_rows(self._services.endpoint_statuses)
        self.query_one(InstancesPanel).update_rows((*self._rows(), *endpoints))

    # ── processes ────────────────────────────────────────────────────────────────────────────

    def action_processes(self) -> None:
        from gputui.ui.processes.screen import ProcessesScreen

        self.app.push_screen(
            ProcessesScreen(self._look, self.process_actions, self.action_keys, self._seen)
        )

    # ── power ────────────────────────────────────────────────────────────────────────────────

    def _report(self) -> PowerReport:
        power = self._services.power
        return power.meter.report() if power else PowerReport()

    def action_power(self) -> None:
        from gputui.ui.power.screen import PowerScreen

        self.app.push_screen(
            PowerScreen(self._look, self._power_view, self.power_actions, self.action_keys)
        )

    def _power_view(self, selected: int) -> PowerView:
        from gputui.ui.power.lines import power_view

        power, prices = self._services.power, self._services.config.power
        plan, statuses = power.schedule.plan() if power else (), self.caretaker.statuses
        facts = self._report(), self._snapshot, prices, plan, statuses
        return power_view(*facts, selected=selected, ascii_only=self._look.ascii_only)

    # ── chat ─────────────────────────────────────────────────────────────────────────────────

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The prompt's key is a letter, and bound before all others: not where letters are typed."""
        return not (action == "prompt" and isinstance(self.focused, Prompt | Input))

    def action_prompt(self) -> None:
        # At once, not by Widget.focus, which waits: the letters typed next are the prompt's.
        self.set_focus(self.query_one(Prompt))

    def action_side(self, name: str) -> None:
        self.query_one(ChatPanel).go_to_place("AB".index(name))

    def action_other_side(self) -> None:
        self.query_one(ChatPanel).show_other()

    def action_chat(self, name: str, argument: str = "") -> None:
        self.chatting.run(name, argument)

    @on(Prompt.Left)
    def prompt_left(self) -> None:
        self.set_focus(self.query_one(InstancesPanel))

    @on(ProblemMet)
    def problem_met(self, message: ProblemMet) -> None:
        self.say(message.error)

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

    def _forget_config_problems(self) -> None:
        """The file is another: what was wrong with it before is told no more."""
        self._config_problems.clear()
        self.query_one("#banner").display = False

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

    def action_gpu_details(self) -> None:
        """The GPU that was looked at last, else the first."""
        from gputui.ui.gpus.details import DetailsMemory, GpuDetails
        from gputui.ui.processes.table import ProcessTable

        if self.history is not None:
            memory = self._details = self._details or DetailsMemory()
            processes = ProcessTable(self._look, self.process_actions, uuid=memory.uuid)
            parts = (self.action_keys, self._look, self.history, memory, self._seen)
            self.app.push_screen(GpuDetails(*parts, processes, self.power_actions))

    def action_keys(self) -> None:
        keys = self._services.config.keys
        self.app.push_screen(keys_screen(keys, self.app.screen.focused))

    def action_events(self) -> None:
        self._alerting.show_events()

    def action_leave(self) -> None:
        self._leaving.request()

    def restyle(self) -> None:
        """Draw everything again in the theme of now."""
        self.chatting.seating.frame()
        self._show_facts()
        self.query_one(ChatPanel).restyle()
