"""The Textual application: starts what runs in the background and hands facts to the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterable
from pathlib import Path

from textual import events, on
from textual.app import App, SystemCommand
from textual.driver import Driver
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from gputui.errors import GputuiError
from gputui.gpu.sample import Snapshot
from gputui.themes import DEFAULT_THEME, Theme
from gputui.ui.collecting import IDLE_SECONDS, Collecting
from gputui.ui.dashboard import Dashboard
from gputui.ui.keys import REPAINT
from gputui.ui.messages import AnswersStreamed, Newest
from gputui.ui.overlay import Overlay
from gputui.ui.pace import Pace
from gputui.ui.palette import Look, Palette, textual_theme
from gputui.ui.services import SamplerLike, Services
from gputui.ui.still import StillScreen

PRESSED = (events.Key, events.MouseDown, events.MouseScrollUp, events.MouseScrollDown, events.Paste)
"""By these somebody is there; a mouse may move over a terminal that nobody looks at."""
OVER_CSS = Path(__file__).with_name("over.tcss")
LAST_RESORT_SECONDS = 5.0
"""From a signal to the end of the program at the latest."""


class GputuiApp(App[str | None]):
    """The dashboard. Its result is a last word for the terminal, or None.

    ``driver_class`` is what writes to the terminal; None is Textual's own for the platform.
    """

    BINDINGS = [REPAINT]
    CSS_PATH = "gputui.tcss"
    TITLE = "gputui"
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, services: Services, driver_class: type[Driver] | None = None) -> None:
        self.services = services
        self.problems: list[GputuiError] = [services.config_error] if services.config_error else []
        self.look = Look(Palette.of(self._chosen_theme()), services.ascii_only)
        self.sampler: SamplerLike | None = None
        self.collecting = Collecting()
        self._pace: Pace | None = None
        super().__init__(driver_class=driver_class)
        for theme in services.themes.by_name.values():
            self.register_theme(textual_theme(theme))
        self.theme = self.look.palette.theme.name
        for name in BUILTIN_THEMES:  # they know no GPU's hue
            if name not in services.themes.by_name:
                self.unregister_theme(name)
        self.set_class(services.ascii_only, "-ascii")
        self._variables = self.get_css_variables()
        self.stylesheet.set_variables(self._variables)

    def get_default_screen(self) -> StillScreen[None]:
        """Beneath the dashboard, never seen: it draws nothing, either."""
        return StillScreen(id="_default")

    def _load_screen_css(self, screen: Screen[object]) -> None:
        """With the first screen that opens over the dashboard comes the stylesheet of all of them."""
        if not isinstance(screen, Dashboard) and not self.stylesheet.has_source(str(OVER_CSS), ""):
            self.stylesheet.read(OVER_CSS)
        super()._load_screen_css(screen)

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, lambda _theme: self._adopt_theme())
        self._set_keys()
        self._end_on_signals()
        dashboard = Dashboard(self.services, self.look, self.problems)
        dashboard.drawn = self._first_drawn
        self._watchers = dashboard.watchers
        newest = Newest(dashboard)
        self.sampler = self.services.sampler(lambda snapshot: self._sampled(newest, snapshot))
        dashboard.history, dashboard.pace.sampler = self.sampler.history, self.sampler
        self._pace = dashboard.pace
        self.push_screen(dashboard)
        self.sampler.start()  # before the first layout: it has room for what is known already

    def _first_drawn(self) -> None:
        self.services.shown()
        self.collecting.started()

    def get_theme(self, theme_name: str) -> TextualTheme | None:
        """Textual's makes a table of all of them, and is asked at each widget that is rendered."""
        return self._registered_themes.get(theme_name) or super().get_theme(theme_name)

    async def on_event(self, event: events.Event) -> None:
        """Whatever comes from the terminal says whether somebody is there."""
        if self._pace is not None and isinstance(event, events.AppFocus | events.AppBlur):
            self._pace.focus(isinstance(event, events.AppFocus))
        elif isinstance(event, PRESSED):
            self.collecting.pressed()
            if self._pace is not None:
                self._pace.pressed()
        await super().on_event(event)

    async def on_unmount(self) -> None:
        self.collecting.close()
        if self.sampler:
            self.sampler.stop()
        await self.services.conversation.close()
        if self.services.votes:
            await self.services.votes.close()
        await self.services.supervisor.close()
        if self.services.alerts:
            await asyncio.to_thread(self.services.alerts.close)

    def refresh_css(self, animate: bool = True) -> None:
        """Textual (8.2) asks for it at its start and for each screen that is opened, and parses all its
        stylesheets anew: needed only where the theme's colours are others."""
        variables = self.get_css_variables()
        if variables != self._variables:
            self._variables = variables
            super().refresh_css(animate)
            return
        for screen in self.screen_stack:
            if screen._css_update_count != self._css_update_count:
                screen._css_update_count = self._css_update_count
                self.stylesheet.update(screen, animate=animate)

    @on(AnswersStreamed)
    def answers_streamed(self, message: AnswersStreamed) -> None:
        """The collector of cycles keeps still meanwhile."""
        self.collecting.streaming(message.streaming)
        self._collect_when_idle()

    def _collect_when_idle(self) -> None:
        if not self.collecting.streams and not self.collecting.idle():
            self.set_timer(IDLE_SECONDS, self._collect_when_idle)

    def _fatal_error(self) -> None:
        """Textual would print a traceback with every local variable; ``failure`` is told instead."""
        self._close_messages_no_wait()

    @property
    def failure(self) -> Exception | None:
        """What ended the program against its will, None where nothing did."""
        return self._exception

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The theme, the way out, and every action of the dashboard by its name."""
        from gputui.ui.commands import commands

        yield SystemCommand("Theme", "change the colours", self.action_change_theme)
        yield SystemCommand("Quit", "models go on running", self.action_quit)
        yield SystemCommand("Repaint", "the whole screen", self.action_repaint)
        if isinstance(screen, Dashboard):
            yield from commands(screen)
        if isinstance(screen, Overlay):
            yield from screen.commands()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """A toast; one that is up already and says the same goes for it, and is not there twice."""
        for one in list(self._notifications):
            if (one.message, one.title, one.severity) == (message, title, severity):
                self._unnotify(one, refresh=False)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    async def action_quit(self) -> None:
        """However the user quits, the dashboard says what goes on running."""
        for screen in self.screen_stack:
            if isinstance(screen, Dashboard):
                screen.action_leave()

    def action_repaint(self) -> None:
        """Draw everything, and send it even where the terminal should show it."""
        from gputui.ui.terminal.driver import DifferenceDriver

        if isinstance(self._driver, DifferenceDriver):
            self._driver.forget()
        self.refresh(layout=True)

    def _sampled(self, newest: Newest, snapshot: Snapshot) -> None:
        """Called on the sampler's thread: only hands the sample over."""
        self._watchers.sampled(snapshot)
        with contextlib.suppress(RuntimeError):  # the loop is gone: the program is leaving
            newest.put(snapshot)

    def _chosen_theme(self) -> Theme:
        themes = self.services.themes
        self.problems += themes.problems
        try:
            return themes.choose(self.services.config.theme)
        except GputuiError as error:
            self.problems.append(error)
            return themes.choose(DEFAULT_THEME)

    def _adopt_theme(self) -> None:
        """Textual changed its theme (the palette of commands can): the panels follow."""
        theme = self.services.themes.by_name.get(self.theme)
        if theme is not None:
            self.look.palette = Palette.of(theme)
        for screen in self.screen_stack:
            if isinstance(screen, Dashboard | Overlay):
                screen.restyle()

    def _end_on_signals(self) -> None:
        """SIGTERM and a lost terminal end the program in order: partial answers are kept, and the
        terminal, where there still is one, is given back as it was."""
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self._end_soon)

    def _end_soon(self) -> None:
        """Leave; by force where that does not succeed.

        Once the terminal is gone, Textual's own driver (8.2) can wait for good for the thread that writes
        to it; and the last words, for a terminal that takes nothing. All that is worth keeping is kept
        before that.
        """
        last_resort = threading.Timer(LAST_RESORT_SECONDS, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        self.exit()

    def _set_keys(self) -> None:
        """The user's own keys, by the binding's id; an id that does not exist is told, not ignored."""
        keys = self.services.config.keys
        if not keys:
            return  # to know all ids, every screen is loaded
        from gputui.ui.keys import check_keys

        try:
            self.set_keymap(check_keys(keys))
        except GputuiError as error:
            self.problems.append(error)
