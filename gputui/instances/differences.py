"""Where the configuration of now says something else than what a running server was started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gputui.config import InstanceConfig
from gputui.instances.records import as_written

_OF_GPUTUI = frozenset(
    {"name", "key", "targets", "restart", "group", "idle_unload", "stop_grace_seconds"}
)
"""Keys that mean something to gputui alone: they hold at once, and the process knows nothing of them."""


def differences(settings: Mapping[str, Any], instance: InstanceConfig | None) -> tuple[str, ...]:
    """The keys that a restart would apply, in the order of the documentation.

    ``settings`` are the keys it was started with (Record.settings). A key that the gputui which started it
    did not know yet is no difference.
    """
    if instance is None or not settings:
        return ()
    now = as_written(instance)
    before = as_written(settings)
    return tuple(
        key
        for key, value in now.items()
        if key not in _OF_GPUTUI and key in before and before[key] != value
    )
