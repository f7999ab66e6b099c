"""Layouts: what has to stop and to start so that exactly these instances run on their GPUs and ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gputui.config import Config, InstanceConfig, LayoutConfig, resolve_gpus
from gputui.errors import ConfigError, GputuiError
from gputui.identity import GpuIdentity, gpu_label
from gputui.instances.fit.reckoning import Fit
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import nearest


@dataclass(frozen=True, slots=True)
class Leaving:
    """An instance that has to stop. ``reasons`` is what it has that the layout needs: ``GPU 0``."""

    name: str
    gpus: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arriving:
    """An instance that is to start. ``restarts`` is why it is stopped first where it runs, "" where it
    does not; ``fits`` and ``fit_words`` are what is known of its memory."""

    name: str
    gpus: tuple[str, ...]
    restarts: str = ""
    fits: bool | None = None
    fit_words: str = ""

    @property
    def fit_told(self) -> str:
        """Whether it fits, and why it does not or why that is not known; "" where nobody asked."""
        before = {True: "", False: "will not fit: ", None: "whether it fits is not known: "}
        return before[self.fits] + self.fit_words if self.fit_words else ""


@dataclass(frozen=True, slots=True)
class Staying:
    """A member that runs already."""

    name: str
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A member that cannot start as things are."""

    name: str
    gpus: tuple[str, ...]
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class LayoutPlan:
    """The way from what runs now to a layout; GPUs are UUIDs.

    Every one of ``members`` is in one of ``stays``, ``starts`` and ``cannot``, in the layout's order;
    ``stops`` are none of its members. Whatever is in none of them goes on as it is.
    """

    name: str
    members: tuple[str, ...]
    stays: tuple[Staying, ...] = ()
    stops: tuple[Leaving, ...] = ()
    starts: tuple[Arriving, ...] = ()
    cannot: tuple[Blocked, ...] = ()

    @property
    def active(self) -> bool:
        """Whether the layout runs: there is nothing to do."""
        return not (self.stops or self.starts or self.cannot)

    @property
    def ending(self) -> tuple[str, ...]:
        """The instances whose answers end: those that stop, also to be started again."""
        again = (one.name for one in self.starts if one.restarts)
        return (*(one.name for one in self.stops), *again)


_NO_OBSTACLES: Mapping[str, GputuiError] = {}
_NO_FITS: Mapping[str, Fit] = {}


def find_layout(config: Config, name: str) -> LayoutConfig:
    """The layout of that name. Raises ConfigError, with the nearest name."""
    layouts = {layout.name: layout for layout in config.layouts}
    if name in layouts:
        return layouts[name]
    near = nearest(name, layouts)
    known = f"Configured: {', '.join(layouts)}." if layouts else "Write [[layouts]] tables."
    raise ConfigError(f'no layout is named "{name}"', f'Did you mean "{near}"?' if near else known)


def plan(
    layout: LayoutConfig,
    config: Config,
    statuses: Sequence[InstanceStatus],
    gpus: Sequence[GpuIdentity],
    obstacles: Mapping[str, GputuiError] = _NO_OBSTACLES,
    fits: Mapping[str, Fit] = _NO_FITS,
) -> LayoutPlan:
    """What leads from ``statuses`` to ``layout``; nothing is asked or done.

    ``obstacles`` says of members why they cannot start (a missing model, a stranger on the port).
    An instance that is no member stops where it has a GPU, a port or a group that a member needs, and
    goes on where it does not: also on the CPU, where all have room. One that crashed and is to be started
    again counts as running.
    """
    # One without a process waits for its turn in a group, and may yet give that up.
    running = {one.name: one for one in statuses if one.owned and one.pid and one.state in RUNNING}
    external = {one.name: one for one in statuses if not one.owned and one.state in RUNNING}
    configured = {instance.name: instance for instance in config.instances}
    members = [configured[name] for name in layout.instances]
    places = {one.name: _place(one, running.get(one.name), gpus) for one in members}
    stays: list[Staying] = []
    starts: list[Arriving] = []
    cannot: list[Blocked] = []
    for one in members:
        status, place = running.get(one.name), places[one.name]
        again = _restarts(status) if status else ""
        blocked = obstacles.get(one.name) or place.problem or _external(external.get(one.name))
        if status is not None and not again:
            stays.append(Staying(one.name, place.gpus))
        elif blocked is not None:
            cannot.append(Blocked(one.name, place.gpus, blocked.message, blocked.hint))
        else:
            fit = fits.get(one.name)
            known = (fit.fits, fit.words) if fit else (None, "")
            starts.append(Arriving(one.name, place.gpus, again, *known))
    others = (
        one
        for one in statuses
        if one.name not in places and (one.name in running or one.restart_at is not None)
    )
    stops = tuple(
        Leaving(status.name, status.gpus, reasons)
        for status in others
        if (reasons := _in_the_way(status, configured, members, places, gpus))
    )
    return LayoutPlan(
        layout.name, layout.instances, tuple(stays), stops, tuple(starts), tuple(cannot)
    )


def plan_json(plan: LayoutPlan) -> dict[str, object]:
    """The shape of ``gputui layout NAME --json``; ``fits`` is null where it is not known."""
    return {
        "layout": plan.name,
        "active": plan.active,
        "stays": [one.name for one in plan.stays],
        "stops": [{"name": one.name, "reasons": list(one.reasons)} for one in plan.stops],
        "starts": [
            {
                "name": one.name,
                "gpus": list(one.gpus),
                "restarts": one.restarts or None,
                "fits": one.fits,
                "fit": one.fit_words or None,
            }
            for one in plan.starts
        ],
        "cannot": [
            {"name": one.name, "reason": one.reason, "hint": one.hint} for one in plan.cannot
        ],
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a member runs, or will."""

    gpus: tuple[str, ...]
    port: int
    problem: GputuiError | None = None


def _place(
    instance: InstanceConfig, status: InstanceStatus | None, gpus: Sequence[GpuIdentity]
) -> _Place:
    if status is not None and not _restarts(status):
        return _Place(status.gpus, status.port)
    try:
        return _Place(tuple(gpu.uuid for gpu in resolve_gpus(instance, gpus)), instance.port)
    except ConfigError as error:
        return _Place((), instance.port, error)


def _restarts(status: InstanceStatus) -> str:
    """Why one that runs has to be started anew, "" where it does not."""
    if status.state is State.STOPPING:
        return "it is being stopped"
    if status.differs:
        return f"{', '.join(status.differs)} changed"
    return ""


def _external(status: InstanceStatus | None) -> GputuiError | None:
    if status is None:
        return None
    return GputuiError(
        f"port {status.port} is served already, by a server that gputui did not start",
        "Stop it where it was started.",
    )


def _in_the_way(
    status: InstanceStatus,
    configured: Mapping[str, InstanceConfig],
    members: Sequence[InstanceConfig],
    places: Mapping[str, _Place],
    gpus: Sequence[GpuIdentity],
) -> tuple[str, ...]:
    """What a running instance has that members need, in words; () where it may go on."""
    needed = {uuid for place in places.values() for uuid in place.gpus}
    reasons = [gpu_label(uuid, gpus) for uuid in status.gpus if uuid in needed]
    if status.port in {place.port for place in places.values()}:
        reasons.append(f"port {status.port}")
    own = configured.get(status.name)
    if own is not None and own.group and own.group in {one.group for one in members}:
        reasons.append(f"group {own.group}")
    return tuple(reasons)
