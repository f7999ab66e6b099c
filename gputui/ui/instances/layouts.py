"""Layouts on the dashboard: chosen, shown, asked for, switched to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.text import error_words
from gputui.ui.boundary import told
from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.palette import Look
from gputui.ui.services import Services

if TYPE_CHECKING:
    from gputui.instances.switching.layouts import LayoutPlan


class LayoutActions:
    """Switches layouts for ``screen``. ``say`` tells the user of a problem."""

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        caretaker: Caretaker,
        look: Look,
        say: Callable[[GputuiError], None],
    ) -> None:
        self._screen = screen
        self._services = services
        self._layouts = services.layouts
        self._caretaker = caretaker
        self._look = look
        self._say = say
        self._gpus: Sequence[GpuIdentity] = ()

    def request(self, gpus: Sequence[GpuIdentity]) -> None:
        """Ask for a layout; ``gpus`` are those that are known now."""
        self._gpus = gpus
        self._look_up(self._choose())

    async def _choose(self) -> None:
        from gputui.ui.dialogs import Choice, ChoiceDialog

        plans = await self._layouts.all() if self._layouts else ()
        if not plans:
            error = GputuiError(
                "No layout is configured", "Write a [[layouts]] table: see the README."
            )
            self._say(error)
            return
        width = max(len(_name(plan)) for plan in plans)
        choices = [
            Choice(plan.name, _name(plan).ljust(width), ", ".join(plan.members)) for plan in plans
        ]
        active = next((place for place, plan in enumerate(plans) if plan.active), 0)
        self._screen.app.push_screen(
            ChoiceDialog("Switch to a layout", choices, active), self._chosen
        )

    def _chosen(self, name: str | None) -> None:
        if name is not None:
            self._look_up(self._show(name))

    async def _show(self, name: str) -> None:
        from gputui.ui.instances.layout_dialog import LayoutDialog

        assert self._layouts is not None  # noqa: S101 - a layout was chosen
        plan = await self._layouts.plan(name)
        dialog = LayoutDialog(self._look, plan, self._gpus)
        self._screen.app.push_screen(dialog, partial(self._confirmed, plan, False))

    def _confirmed(self, plan: LayoutPlan, force: bool, answer: str | None) -> None:
        if answer != "yes":
            return
        if self._services.readonly:
            what = f"layout {plan.name} is not switched to"
            self._say(GputuiError(what, "gputui runs with --readonly."))
            return
        if force:
            for name in plan.ending:
                self._caretaker.end_streams_to(name)
        if not force:
            self._notify(plan, "Looking at what has to stop …")
        self._caretaker.undertake(self._switch(plan, force), f"layout {plan.name}")

    async def _switch(self, plan: LayoutPlan, force: bool) -> None:
        from gputui.instances.switching.words import AnsweringError
        from gputui.ui.dialogs import ConfirmDialog

        assert self._layouts is not None  # noqa: S101 - a layout was chosen
        try:
            await self._layouts.switch(plan, force=force)
        except AnsweringError as error:
            self._screen.app.push_screen(
                ConfirmDialog(
                    f"{error.message}. Switch all the same? Its answers end.", "Switch", "Leave it"
                ),
                partial(self._confirmed, plan, True),
            )
        except GputuiError as error:
            self._tell(error)
        except Exception as error:  # noqa: BLE001  the worker's boundary: told, the screen goes on
            self._tell(GputuiError(error_words(error), "Please report this."))
        else:
            self._notify(plan, f"{', '.join(plan.members)} run{'s' * (len(plan.members) == 1)}.")
        await self._caretaker.observe()

    def _notify(self, plan: LayoutPlan, words: str) -> None:
        self._screen.notify(words, title=f"Layout {plan.name}", markup=False)

    def _tell(self, error: GputuiError) -> None:
        """On the screen, or where that is about to go, on the terminal after it."""
        self._say(error)
        if self._caretaker.ending:
            self._caretaker.last_words.append(str(error))

    def _look_up(self, work: Awaitable[None]) -> None:
        self._screen.run_worker(told(work, self._say), group="layouts", exclusive=True)


def _name(plan: LayoutPlan) -> str:
    """Its name, and whether it runs."""
    return f"{plan.name}  (active)" if plan.active else plan.name
