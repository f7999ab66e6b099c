"""What the instances table shows, put together from states and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gputui.chat.health import EndpointState, EndpointStatus
from gputui.config import Config
from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceStatus, State
from gputui.power.efficiency import Efficiency
from gputui.text import clean_line
from gputui.ui.alerts.marks import AlertMark
from gputui.ui.instances.columns import InstanceRow

_NONE: Mapping[str, AlertMark] = {}


def instance_rows(
    config: Config,
    statuses: Sequence[InstanceStatus],
    snapshot: Snapshot | None,
    now: float,
    marks: Mapping[str, AlertMark] = _NONE,
    efficiencies: Mapping[str, Efficiency] | None = None,
) -> tuple[InstanceRow, ...]:
    """One row an instance, in the order of ``statuses``; ``now`` is Unix time, ``marks`` by name."""
    keys = {instance.name: instance.key or "" for instance in config.instances}
    indexes = {gpu.uuid: gpu.index for gpu in snapshot.identities} if snapshot else {}
    return tuple(
        InstanceRow(
            status=status,
            key=keys.get(status.name, ""),
            gpu_indexes=tuple(indexes[uuid] for uuid in status.gpus if uuid in indexes)
            or _seen_on(status, snapshot),
            gpu_memory=_gpu_memory(status.pid, snapshot),
            uptime=None if status.started_at is None else now - status.started_at,
            alert=marks.get(status.name),
            tokens_per_joule=_tokens_per_joule(status.name, efficiencies or {}),
        )
        for status in statuses
    )


def configured_rows(config: Config) -> tuple[InstanceRow, ...]:
    """One row for each that is configured, while nobody has looked at them yet."""
    from gputui.models.files import short_name

    return tuple(
        InstanceRow(
            status=InstanceStatus(
                name=instance.name,
                state=State.STOPPED,
                port=instance.port,
                url=instance.url,
                model=clean_line(short_name(instance.model), 120),
                role=instance.role,
            ),
            key=instance.key or "",
            gpu_indexes=(),
            gpu_memory=None,
            uptime=None,
            observed=False,
        )
        for instance in config.instances
    )


def endpoint_rows(endpoints: Sequence[EndpointStatus]) -> tuple[InstanceRow, ...]:
    """One row an endpoint: it is there to be talked to, and nothing else is known of it."""
    return tuple(
        InstanceRow(
            status=InstanceStatus(
                name=one.name,
                state=State.READY if one.state is EndpointState.UP else State.STOPPED,
                port=_port(one.url),
                url=one.url,
                model=one.served or one.url,
                note=f"endpoint {one.url}" + (f": {one.problem}" if one.problem else ""),
                external=True,
            ),
            key="",
            gpu_indexes=(),
            gpu_memory=None,
            uptime=None,
            endpoint=one,
        )
        for one in endpoints
    )


def _port(url: str) -> int:
    try:
        parts = urlsplit(url)
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return 0


def _seen_on(status: InstanceStatus, snapshot: Snapshot | None) -> tuple[int, ...]:
    """The GPUs on which NVML shows the process of a server that gputui did not start."""
    if not status.external or snapshot is None or not snapshot.live:
        return ()
    return tuple(
        gpu.identity.index
        for gpu in snapshot.gpus
        if any(process.pid == status.pid and process.host for process in gpu.processes)
    )


def _tokens_per_joule(name: str, efficiencies: Mapping[str, Efficiency]) -> float | None:
    return efficiencies[name].tokens_per_joule if name in efficiencies else None


def pinned_names(statuses: Sequence[InstanceStatus]) -> Mapping[str, tuple[str, ...]]:
    """The names of running instances by the UUID of each GPU they are pinned to."""
    names: dict[str, tuple[str, ...]] = {}
    for status in statuses:
        if status.pid is not None:
            for uuid in status.gpus:
                names[uuid] = (*names.get(uuid, ()), status.name)
    return names


def names_by_pid(statuses: Sequence[InstanceStatus]) -> Mapping[int, str]:
    """The names of running instances by pid."""
    return {status.pid: status.name for status in statuses if status.pid is not None}


def _gpu_memory(pid: int | None, snapshot: Snapshot | None) -> int | None:
    """Bytes that the process holds on all GPUs; None where NVML does not say."""
    if pid is None or snapshot is None:
        return None
    held = [
        process.used_gpu_memory
        for gpu in snapshot.gpus
        for process in gpu.processes
        if process.pid == pid
        and process.used_gpu_memory is not None
        # A foreign process may have the same pid elsewhere; a recording knows no host.
        and (process.host is not None or not snapshot.live)
    ]
    return sum(held) if held else None
