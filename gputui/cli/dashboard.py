"""``gputui`` without a command: composes the program and opens the screen."""

from __future__ import annotations

import locale
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from gputui.cli.compose import (
    Options,
    make_alerts,
    make_conversation,
    make_endpoint_watch,
    make_host_reader,
    make_power,
    make_source,
    make_votes,
)
from gputui.config import Config, default_path
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from pathlib import Path

    from textual.driver import Driver

    from gputui.chat.conversation import Conversation
    from gputui.cli.late import Instances
    from gputui.config.watch import FileWatch
    from gputui.gpu.sample import Snapshot
    from gputui.gpu.source import Source
    from gputui.host import HostSample
    from gputui.identity import GpuMemory, MemoryReader
    from gputui.themes import Themes
    from gputui.ui.services import Services


AFTER_THE_FIRST_PICTURE = 0.5
"""Seconds in which nothing else may hold the processor."""


class EarlySampler:
    """A sampler that runs from its making on, so that the first sample is there when the screen is.

    Importing the screen takes a quarter of a second; a driver answers in less. What comes before
    ``start`` is kept, and passed on then. A trace waits: it is there at once, and may come at speed.
    """

    def __init__(
        self, source: Source, interval: float, host: Callable[[], HostSample | None] | None = None
    ) -> None:
        from gputui.gpu.sampler import Sampler

        self._lock = threading.Lock()
        self._listener: Callable[[Snapshot], None] | None = None
        self._early: list[Snapshot] = []
        self._newest: Snapshot | None = None
        self._sampler = Sampler(source, interval, self._sampled, host=host)
        self.history = self._sampler.history
        self._live = source.live
        if self._live:
            self._sampler.start()

    def listen(self, listener: Callable[[Snapshot], None]) -> EarlySampler:
        """Who is told, from ``start`` on."""
        self._tell = listener
        return self

    def start(self) -> None:
        """Pass on what came, and all that comes."""
        with self._lock:
            for snapshot in self._early:
                self._tell(snapshot)
            self._early.clear()
            self._listener = self._tell
        if not self._live:
            self._sampler.start()

    def set_interval(self, interval: float) -> None:
        """As Sampler.set_interval."""
        self._sampler.set_interval(interval)

    def stop(self) -> None:
        """Sample no more; does not wait."""
        self._sampler.stop()

    def memory(self) -> Mapping[str, GpuMemory]:
        """The memory of each GPU at the newest sample, from any thread; empty before the first."""
        newest = self._newest
        return newest.memory() if newest else {}

    def _sampled(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        with self._lock:
            if self._listener is None:
                self._early.append(snapshot)
                return
        self._listener(snapshot)


def run_dashboard(options: Options, start: Sequence[str] = (), *, demo: bool = False) -> None:
    """Open the dashboard, starting the instances named in ``start``; returns when the user quits."""
    from gputui.ui.collecting import keep_still

    keep_still()
    services = make_services(options, start, demo=demo)
    from gputui.ui.app import GputuiApp  # a quarter of a second, in which the first sample is taken

    app = GputuiApp(services, _driver(services.config))
    last_words = app.run(mouse=not options.no_mouse)
    if services.votes is not None and (lost := services.votes.lost) is not None:
        click.echo(str(lost), err=True)
    if app.failure is not None:
        raise app.failure
    if last_words:
        click.echo(last_words)


def make_services(options: Options, start: Sequence[str] = (), *, demo: bool = False) -> Services:
    """All rooms, composed. A configuration that cannot be used is shown on the screen instead."""
    from gputui.config import user_file

    problem: GputuiError | None = None
    file, content = options.config_file or default_path(), None
    try:
        content = user_file.read(file)  # before it is loaded: what changes in between is a change
        config = options.load_config()
    except GputuiError as error:
        config, problem = Config(), error
    source = make_source(options, config)
    host = make_host_reader(config, source, delay=AFTER_THE_FIRST_PICTURE)
    sampler = EarlySampler(source, config.interval, host)
    power = make_power(options, config, source)
    from msgspec.structs import replace

    from gputui.chat.endpoints import endpoint_of
    from gputui.cli.late import Late, LateKeeper, LateLayouts, LateSupervisor
    from gputui.themes import load_themes
    from gputui.ui.services import Services

    try:
        alerts = make_alerts(options, config)
    except GputuiError as error:  # the built-in rules are better than none
        alerts = make_alerts(options, replace(config, alerts=(), on_alert=()))
        problem = error
    conversation = make_conversation(config)
    late = Late(config, lambda now: _instances(options, now, sampler.memory, conversation))
    supervisor = LateSupervisor(late)
    themes = load_themes()
    services: Services = Services(
        config=config,
        themes=themes,
        sampler=sampler.listen,
        supervisor=supervisor,
        layouts=LateLayouts(late),
        conversation=conversation,
        endpoint_of=lambda name: endpoint_of(services.config, name),  # which may change
        watchers=(alerts, power.meter, power.schedule),
        alerts=alerts,
        power=power,
        keeper=None if options.readonly else LateKeeper(late),
        endpoints=make_endpoint_watch(config),
        config_error=problem,
        config_file=options.config_file,
        watch=_watch(file, content, themes),
        fit=supervisor.fit_of,
        votes=make_votes(),
        readonly=options.readonly,
        ascii_only=not _unicode_terminal(),
        start=tuple(start),
        demo=demo,
        host=socket.gethostname(),
        shown=late.release,
    )
    return services


def _instances(
    options: Options, config: Config, memory: MemoryReader, conversation: Conversation
) -> Instances:
    """What works on instances; loads what it is made of."""
    from gputui.cli.compose import make_layouts, make_supervisor
    from gputui.cli.late import Instances
    from gputui.instances.keeping.keeper import Keeper

    supervisor = make_supervisor(options, config, (), memory)
    keeper = Keeper(supervisor, config, in_use=lambda url: conversation.answers_from(f"{url}/v1"))
    return Instances(supervisor, make_layouts(supervisor), keeper)


def _watch(file: Path, content: bytes | None, themes: Themes) -> FileWatch:
    """The watch over the configuration's file, which held ``content`` when it was loaded."""
    from gputui.config.watch import FileWatch

    def check(config: Config) -> None:
        from gputui.alerts.command import check_command
        from gputui.alerts.rules import rules_of
        from gputui.ui.keys import check_keys

        themes.choose(config.theme)
        check_keys(config.keys)
        check_command(config, file)
        rules_of(config, file)

    return FileWatch(file, content, check)


def _driver(config: Config) -> type[Driver] | None:
    """What writes to the terminal; None for Textual's own driver."""
    if not config.terminal.differences or sys.platform == "win32":
        return None
    from gputui.ui.terminal.driver import difference_driver

    return difference_driver()


def _unicode_terminal() -> bool:
    """Whether the terminal's encoding holds the block characters; the Linux console's font does not."""
    encoding = locale.getpreferredencoding(do_setlocale=False).lower().replace("-", "")
    return encoding == "utf8" and os.environ.get("TERM") not in ("linux", "vt100", "dumb")
