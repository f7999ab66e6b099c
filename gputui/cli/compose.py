"""Putting the rooms together: the one place where GPUs, instances and chat meet below the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gputui import config as configuration
from gputui.config import Config
from gputui.identity import GpuIdentity, MemoryReader, no_gpu_memory

if TYPE_CHECKING:
    from gputui.alerts.watch import AlertWatch
    from gputui.chat.conversation import Conversation
    from gputui.chat.health import EndpointWatch
    from gputui.chat.keeping.store import Store
    from gputui.chat.voting.box import VoteBox
    from gputui.gpu.source import Source
    from gputui.host import HostReader
    from gputui.instances.supervisor import Supervisor
    from gputui.instances.switching.switch import Layouts
    from gputui.power.session import PowerSession


@dataclass(frozen=True, slots=True)
class Options:
    """The options for all commands, as given; None where not given."""

    config_file: Path | None = None
    source: str | None = None
    speed: float | None = None
    readonly: bool = False
    no_mouse: bool = False

    def load_config(self) -> Config:
        """The configuration these options name. Raises ConfigError."""
        return configuration.load(self.config_file)


def make_source(options: Options, config: Config) -> Source:
    """The source that the options, else the configuration, name. Raises GputuiError for a bad trace."""
    from gputui.gpu.sources import open_source

    return open_source(options.source or config.source, pinned_pids, options.speed)


def make_host_reader(config: Config, source: Source, delay: float = 0.0) -> HostReader | None:
    """What reads this machine beside ``source``, begun; None for a recording, which is of another time."""
    if source.name not in ("nvml", "simulated"):
        return None
    import os

    from gputui.host import HostReader

    paths = (os.path.expanduser(instance.model) for instance in config.instances)  # noqa: PTH111
    folders = (Path(os.path.abspath(path)).parent for path in paths)  # noqa: PTH100  keeps links
    return HostReader(folders, delay=delay).start()


def make_power(options: Options, config: Config, source: Source) -> PowerSession:
    """The session's power: its meter, the schedules of limits, and setting one."""
    from gputui.power.session import power_session

    return power_session(
        config,
        source,
        configuration.state_dir(),
        readonly=options.readonly,
        file=options.config_file,
    )


def make_supervisor(
    options: Options,
    config: Config,
    gpus: Sequence[GpuIdentity],
    memory: MemoryReader = no_gpu_memory,
) -> Supervisor:
    """The supervisor of the configured instances, on the given GPUs, whose memory ``memory`` tells."""
    from gputui.instances.discovery import Discovery
    from gputui.instances.supervisor import Supervisor

    state = configuration.state_dir()
    return Supervisor(
        config,
        gpus,
        state,
        config_file=options.config_file,
        memory=memory,
        discovery=Discovery(),
    )


def make_layouts(supervisor: Supervisor) -> Layouts:
    """The configured layouts, switched by ``supervisor``."""
    from gputui.instances.switching.switch import Layouts

    return Layouts(supervisor, configuration.state_dir())


def make_conversation(config: Config | None = None) -> Conversation:
    """A new conversation whose turns are kept in the user's database; with ``config`` as its ``[chat]``
    begins one."""
    from gputui.chat.asking.choosing import choose_configured
    from gputui.chat.conversation import Conversation

    conversation = Conversation(make_store())
    if config is not None:
        choose_configured(conversation, None, config.chat)
    return conversation


def make_store() -> Store:
    """The user's database of conversations; it is opened at first use."""
    from gputui.chat.keeping.store import Store

    return Store(configuration.state_dir() / "gputui.db")


def make_votes() -> VoteBox:
    """The votes of the user's database."""
    from gputui.chat.voting.box import VoteBox
    from gputui.chat.voting.store import VoteStore

    return VoteBox(VoteStore(configuration.state_dir() / "gputui.db"))


def make_endpoint_watch(config: Config) -> EndpointWatch:
    """The watch over the health of ``[[endpoints]]``."""
    from gputui.chat.health import EndpointWatch

    return EndpointWatch(config)


def make_alerts(options: Options, config: Config) -> AlertWatch:
    """The watch over all rules in force. Raises ConfigError where ``[[alerts]]`` is wrong.

    What a trace replays is shown, but is no event of this rig: it is not kept, and nobody is called.
    """
    from gputui.alerts.command import check_command
    from gputui.alerts.rules import rules_of
    from gputui.alerts.watch import AlertWatch
    from gputui.gpu.sources import WORDS

    check_command(config, options.config_file)
    live = (options.source or config.source) in WORDS
    return AlertWatch(
        config,
        rules_of(config, options.config_file),
        configuration.state_dir() if live else None,
        options.config_file,
    )


def pinned_pids() -> Mapping[str, Sequence[int]]:
    """The pids of running instances by the UUID of the GPU they are pinned to, from the records."""
    from gputui.instances.records import running_pids

    return running_pids(configuration.state_dir())
