"""The configuration of now: the file's changes taken over by every room, or told why they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter

from textual.screen import Screen

from gputui.alerts.rules import rules_of
from gputui.config import Config
from gputui.config.watch import LOOK_SECONDS, SETTLING_SECONDS, Seen
from gputui.errors import ConfigError, GputuiError
from gputui.text import error_words
from gputui.ui.header import Header
from gputui.ui.keys import check_keys
from gputui.ui.services import Services

_AT_THE_START = ("interval", "source", "login_scope", "terminal.differences")
"""Keys, as attributes of the configuration, of which a running program takes no new value."""


class Configuring:
    """Watches the file, and hands a changed configuration to all rooms.

    ``adopted`` is called once they have it, to draw it; ``say`` tells the user of a problem, ``forget``
    takes back what was wrong with the file before.
    """

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        say: Callable[[GputuiError], None],
        forget: Callable[[], None],
        adopted: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._services = services
        self._say = say
        self._forget = forget
        self._adopted = adopted
        self._started_with = services.config

    async def watch_forever(self) -> None:
        """Look at the file once a second, and soon again where it changed."""
        told = ""
        while self._services.watch is not None:
            unsettled = self._services.watch.unsettled
            await asyncio.sleep(SETTLING_SECONDS if unsettled else LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  the worker's boundary: told, and looked again
                words = error_words(error)
                if words != told:
                    self._say(GputuiError(words, "Please report this."))
                told = words

    async def look(self, *, settled: bool = False) -> None:
        """Take over what is new. ``settled``: it was written just now, and whole."""
        if self._services.watch is None:
            return
        seen = await asyncio.to_thread(self._services.watch.look, settled=settled)
        if seen is not None:
            self._take(seen)

    def _take(self, seen: Seen) -> None:
        self._forget()
        if seen.config is None:
            assert seen.problem is not None  # noqa: S101 - one or the other
            self._say(seen.problem)
            return
        try:
            self._adopt(seen.config)
        except ConfigError as error:
            self._say(error)

    def _adopt(self, config: Config) -> None:
        """Every room works with it from here on; ConfigError, and none does, where one cannot."""
        from gputui.chat.asking.choosing import follow

        services, file = self._services, self._services.config_file
        keys, rules = check_keys(config.keys), rules_of(config, file)
        before, services.config = services.config, config
        services.supervisor.set_config(config)
        if services.endpoints is not None:
            services.endpoints.set_config(config)
        if services.keeper is not None:
            services.keeper.set_config(config)
        if services.alerts is not None:
            services.alerts.set_config(config, rules)
        if services.power is not None:
            services.power.schedule.set_tables(config.power_limits)
        self._screen.query_one(Header).set_power(config.power)
        follow(services.conversation, before.chat, config.chat)
        if keys != before.keys:
            self._screen.app.set_keymap(keys)
        if config.theme != before.theme and config.theme in services.themes.by_name:
            self._screen.app.theme = config.theme
        self._adopted()
        self._tell_what_waits(before)

    def _tell_what_waits(self, before: Config) -> None:
        config = self._services.config
        waiting = [
            key
            for key in _AT_THE_START
            if (value := attrgetter(key))(config) not in (value(self._started_with), value(before))
        ]
        if waiting:
            words = f"{', '.join(waiting)}: applies when gputui is started again"
            self._screen.notify(words, title="Configuration", markup=False, timeout=8)
