"""What the screen needs of the rooms below: handed over by whoever composes the program."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gputui.alerts.watch import AlertWatch
from gputui.chat.conversation import Conversation
from gputui.chat.health import EndpointStatus, EndpointWatch
from gputui.chat.model import Endpoint
from gputui.config import Config, InstanceConfig
from gputui.config.watch import FileWatch
from gputui.errors import GputuiError
from gputui.gpu.history import History
from gputui.gpu.sample import Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceStatus
from gputui.power.session import PowerSession
from gputui.themes import Themes

if TYPE_CHECKING:
    from gputui.chat.voting.box import VoteBox
    from gputui.instances.details import InstanceDetails
    from gputui.instances.fit.reckoning import Fit
    from gputui.instances.log.reader import InstanceLog
    from gputui.instances.switching.layouts import LayoutPlan
    from gputui.instances.switching.switch import Report


class SamplerLike(Protocol):
    """The sampler thread; ``history`` is filled before the listener is told."""

    history: History

    def start(self) -> None:
        """Begin sampling."""

    def set_interval(self, interval: float) -> None:
        """Seconds between two samples from now on; a shorter one brings a sample at once."""

    def stop(self) -> None:
        """End sampling; never waits for a driver that hangs."""


class SupervisorLike(Protocol):
    """The instances; every refusal is a GputuiError."""

    async def observe(self) -> tuple[InstanceStatus, ...]:
        """All instances now."""

    async def start(self, name: str, *, force: bool = False) -> None:
        """Start one. AnsweringError where another of its group answers; ``force`` breaks that off."""

    async def stop(self, name: str) -> None:
        """Stop one; returns when it is gone."""

    async def restart(self, name: str, *, force: bool = False) -> None:
        """Stop one if it runs, and start it; else as ``start``."""

    async def fit(self, name: str) -> Fit:
        """Whether one would fit now."""

    def set_config(self, config: Config) -> None:
        """The configuration from now on."""

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        """The GPUs that are known now."""

    async def login_warning(self) -> GputuiError | None:
        """What is to be told where a logout ends the servers that are started here; else None."""

    async def details(self, name: str, url: str = "") -> InstanceDetails:
        """How one was started, or would be, and what its server says; never waits long."""

    def log(self, name: str) -> InstanceLog:
        """The log of an instance; nothing is read yet."""

    def give_up_waits(self) -> None:
        """Refuse the starts that wait for another instance's answer."""

    async def close(self) -> None:
        """Give back sockets; running servers go on."""


class LayoutsLike(Protocol):
    """The layouts; every refusal is a GputuiError."""

    async def all(self) -> tuple[LayoutPlan, ...]:
        """Each layout's plan, without obstacles and fits."""

    async def plan(self, name: str) -> LayoutPlan:
        """What a switch would do now."""

    async def switch(
        self, shown: LayoutPlan, report: Report = ..., *, force: bool = False
    ) -> LayoutPlan:
        """Carry it out."""

    def break_off(self) -> None:
        """End a switch after the step that it is at."""


class KeeperLike(Protocol):
    """What falls due while the program is there; see ``gputui.instances.keeping.keeper``."""

    def tend(self, statuses: Sequence[InstanceStatus]) -> tuple[GputuiError, ...]:
        """Begin what is due by these newest states; what went wrong with what was begun before."""

    @property
    def busy(self) -> bool:
        """Whether anything that was begun is not done yet."""

    async def settle(self) -> None:
        """Return when all that was begun is done."""

    def set_config(self, config: Config) -> None:
        """What is kept from now on, and how."""


def _nothing() -> None:
    """What needs nothing to be told."""


class Watcher(Protocol):
    """Headless work on all that is seen: alerts, energy. Its own locks; returns soon, never raises."""

    def sampled(self, snapshot: Snapshot) -> None:
        """Every sample in order, on the sampler's thread, before the screen is told of it."""

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        """Every look at the instances, on the event loop's thread."""


@dataclass
class Services:
    """Everything the dashboard works with. ``config_error`` is shown, and defaults are used.

    ``alerts`` is one of ``watchers``, if there is one; what comes of it is shown. The
    parts of ``power`` are watchers, too. ``keeper``: None where nothing may be started or stopped.
    ``endpoints`` is asked for their health while the screen is there. ``watch`` looks at the
    configuration's file, which may change ``config``. ``fit`` says of an instance, as it would be
    configured, whether it fits now. ``votes``: None where there is no database to keep them. ``shown`` is
    told once the first picture is on the screen: what it did not need can be loaded now.
    """

    config: Config
    themes: Themes
    sampler: Callable[[Callable[[Snapshot], None]], SamplerLike]
    supervisor: SupervisorLike
    conversation: Conversation
    endpoint_of: Callable[[str], Endpoint]
    watchers: Sequence[Watcher] = ()
    alerts: AlertWatch | None = None
    power: PowerSession | None = None
    keeper: KeeperLike | None = None
    layouts: LayoutsLike | None = None
    endpoints: EndpointWatch | None = None
    config_error: GputuiError | None = None
    config_file: Path | None = None
    watch: FileWatch | None = None
    fit: Callable[[InstanceConfig], Awaitable[Fit]] | None = None
    votes: VoteBox | None = None
    readonly: bool = False
    ascii_only: bool = False
    start: Sequence[str] = field(default_factory=tuple)
    demo: bool = False
    host: str = ""
    clock: Callable[[], float] = time.time
    shown: Callable[[], None] = _nothing

    @property
    def endpoint_statuses(self) -> Sequence[EndpointStatus]:
        """The endpoints at their last answers; () where none are watched."""
        return self.endpoints.statuses if self.endpoints else ()
