"""The screens about one instance: its details and its log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual.screen import Screen

from gputui.chat.health import EndpointStatus
from gputui.errors import GputuiError
from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.instances.columns import InstanceRow
from gputui.ui.overlay import Seen
from gputui.ui.palette import Look
from gputui.ui.services import Services


class InstanceViews:
    """Opens them over ``screen``. ``rows`` gives the dashboard's rows of now."""

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        caretaker: Caretaker,
        look: Look,
        rows: Callable[[], Sequence[InstanceRow]],
        say: Callable[[GputuiError], None],
        show_keys: Callable[[], None],
        edit: Callable[[str], None],
    ) -> None:
        self._edit = edit
        self._screen = screen
        self._services = services
        self._caretaker = caretaker
        self._look = look
        self._rows = rows
        self._say = say
        self._show_keys = show_keys

    def show_log(self, name: str) -> None:
        """The log of an instance."""
        from gputui.ui.log.screen import LogScreen

        log = self._services.supervisor.log(name)
        self._screen.app.push_screen(LogScreen(self._look, name, log, self._show_keys))

    def show_details(self, name: str, seen: Seen) -> None:
        """All about an instance."""
        from gputui.ui.instances.details import InstanceDetailsScreen, InstanceSource

        supervisor = self._services.supervisor
        source = InstanceSource(
            row=partial(self._row, name),
            details=partial(supervisor.details, name),
            log=supervisor.log(name),
            act=lambda action: self._caretaker.request(action, name),
            show_log=partial(self.show_log, name),
            edit=partial(self._edit, name),
            say=self._say,
            clock=self._services.clock,
        )
        self._screen.app.push_screen(
            InstanceDetailsScreen(self._look, name, source, seen, self._show_keys)
        )

    def show_endpoint(self, name: str) -> None:
        """All about an endpoint."""
        from gputui.ui.instances.endpoint import EndpointDialog

        self._screen.app.push_screen(
            EndpointDialog(self._look, name, partial(self._endpoint, name))
        )

    def _endpoint(self, name: str) -> EndpointStatus | None:
        watch = self._services.endpoints
        return next((one for one in watch.statuses if one.name == name), None) if watch else None

    def _row(self, name: str) -> InstanceRow | None:
        return next((row for row in self._rows() if row.status.name == name), None)
