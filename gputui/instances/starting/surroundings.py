"""What a server is started with beside its command: CPUs, memory, and a scope that outlives a login."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Literal

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.instances.starting.logins import Login, Shelter, find_shelter, sheltered, this_login
from gputui.instances.starting.placement import Machine
from gputui.llama.command import Launch


class Surroundings:
    """The machine and the login that servers are started in. From any thread; its methods block.

    ``login_scope`` is the configuration's. ``machine``, ``login`` and ``systemd_run`` are what is here.
    """

    def __init__(
        self,
        login_scope: Literal["auto", "never"] = "auto",
        machine: Machine | None = None,
        login: Login | None = None,
        systemd_run: str = "systemd-run",
    ) -> None:
        self._mode: Literal["auto", "never"] = login_scope
        self._machine = machine or Machine()
        self._login = login
        self._systemd_run = systemd_run
        self._shelter: Shelter | None = None
        self._lock = threading.Lock()

    def surround(self, launch: Launch, instance: InstanceConfig) -> Launch:
        """The launch with its place and its scope. Raises GputuiError for CPUs that are not here."""
        placement = self._machine.place(instance)
        shelter = self.shelter()
        scope = shelter.scope(instance.name)
        return replace(
            launch,
            cpus=placement.cpus,
            numa_node=placement.numa_node,
            scope=scope,
            through=sheltered(shelter.prefix, scope) if scope else (),
            environment={**launch.environment, **shelter.variables},
        )

    def shelter(self) -> Shelter:
        """Whether servers need a scope of their own; found out once."""
        with self._lock:
            if self._shelter is None:
                login = self._login or this_login()
                self._shelter = find_shelter(login, self._mode, self._systemd_run)
            return self._shelter

    def warning(self) -> GputuiError | None:
        """What is to be told where a logout ends what is started here; None where none does."""
        shelter = self.shelter()
        return GputuiError(shelter.warning, shelter.hint) if shelter.warning else None
