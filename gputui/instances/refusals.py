"""Why something is not done with an instance, in words for people."""

from __future__ import annotations

from gputui.config import Config
from gputui.errors import ConfigError, GputuiError
from gputui.instances.locks import Holder
from gputui.instances.status import InstanceStatus
from gputui.text import clean_line, nearest


class UnknownInstanceError(ConfigError):
    """No instance of that name is configured, and none of that name runs."""


def unknown(name: str, config: Config, pid: int | None) -> GputuiError:
    """No instance has that name; ``pid`` is a server's that is called so and was started elsewhere."""
    if pid is not None:
        return GputuiError(
            f"{clean_line(name, 80)} was not started by gputui (pid {pid})",
            "Start and stop it where it was started.",
        )
    if any(endpoint.name == name for endpoint in config.endpoints):
        return GputuiError(
            f"{name} is an endpoint: gputui only talks to it", "Start and stop it where it runs."
        )
    names = [instance.name for instance in config.instances]
    near = nearest(name, names)
    return UnknownInstanceError(
        f'no instance is named "{clean_line(name, 80)}"',
        f'Did you mean "{near}"?' if near else f"Configured: {', '.join(names) or 'none'}.",
    )


def not_ours(status: InstanceStatus, user: tuple[str, str] | None) -> GputuiError:
    """A server that gputui did not start serves the port; ``user`` as lifecycle.port_user has it."""
    who = user[0] if user else "another user's process"
    return GputuiError(
        f"{status.name} was not started by gputui: port {status.port} is served by {who}",
        "Stop it where it was started.",
    )


def waits_elsewhere(name: str, turn: Holder) -> GputuiError:
    """An instance waits for its turn in another gputui."""
    return GputuiError(
        f"{name} waits for its turn in another gputui (pid {turn.pid}): {turn.note}",
        "Give it up there: x in its dashboard, ctrl-C in its terminal.",
    )
