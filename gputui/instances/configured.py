"""What the configuration adds to the status of an instance that does not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gputui.config import InstanceConfig, resolve_gpus
from gputui.errors import ConfigError
from gputui.identity import GpuIdentity
from gputui.instances.status import RUNNING, InstanceStatus, State


def as_configured(
    status: InstanceStatus,
    instance: InstanceConfig | None,
    gpus: Sequence[GpuIdentity] | None,
    file: Path | None,
    *,
    port_user: str | None = None,
    way_back: str = "",
) -> InstanceStatus:
    """The status with its pin, and with what forbids a start.

    ``gpus`` are all GPUs, None where they are not known; ``file`` is the configuration's. ``port_user`` is
    the instance that has its port; ``way_back`` how to have again what made room for it.
    """
    if port_user is not None and status.state is State.STOPPED:
        status = replace(status, note=f"port {status.port} is used by {port_user}")
    external = status.state in RUNNING and not status.owned
    if instance is None or external:
        return status
    status = replace(status, pinned=bool(instance.gpus))
    if status.state is State.FAILED and way_back:
        status = replace(status, hint=f"{status.hint} {way_back}".strip())
    if gpus is None:
        return status
    try:
        pinned = resolve_gpus(instance, gpus, file)
    except ConfigError as error:
        if status.last_error is not None:
            return status
        return replace(status, last_error=error.message, hint=error.hint)
    return replace(status, gpus=tuple(gpu.uuid for gpu in pinned))
