"""What the GPUs draw and have used this session, and what each instance made of it."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gputui.gpu.sample import GpuSample, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import RUNNING, InstanceStatus
from gputui.power.efficiency import Account, Efficiency, Used
from gputui.power.energy import Energy, EnergyMeter, total

MEAN_AFTER_SECONDS = 300.0
"""A session shorter than this has no mean that is worth a forecast."""

_LEAST_GAP_SECONDS = 5.0
_STEPS_OF_A_PACE = 9
_WORKING_PERCENT = 10.0
"""From this SM utilization on, another process has a part in what its GPU draws."""


@dataclass(frozen=True, slots=True)
class GpuPower:
    """One GPU: its draw now in watts (None: not known, ``reason`` says why) and its energy so far."""

    identity: GpuIdentity
    draw: float | None
    energy: Energy
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PowerReport:
    """All GPUs of this session, and each instance's tokens per joule by its name.

    ``seconds``: the time in which something is known of any GPU.
    """

    gpus: tuple[GpuPower, ...] = ()
    efficiencies: Mapping[str, Efficiency] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def draws(self) -> tuple[float, ...]:
        """The draw of each GPU that says its own, in watts."""
        return tuple(gpu.draw for gpu in self.gpus if gpu.draw is not None)

    @property
    def draw(self) -> float | None:
        """The sum of the draws that are known, in watts; None where none is."""
        return sum(self.draws) if self.draws else None

    @property
    def energy(self) -> Energy:
        """The energy of all GPUs together."""
        return total(tuple(gpu.energy for gpu in self.gpus))

    @property
    def mean_watts(self) -> float | None:
        """The energy of all GPUs over the session's time in watts; None for a short session.

        A GPU that was there for a part of it has that part in it.
        """
        joules = self.energy.joules
        if joules is None or self.seconds < MEAN_AFTER_SECONDS:
            return None
        return joules / self.seconds


def since_boot() -> float:
    """Seconds since the machine was booted, those in which it slept included (clock_gettime(2)).

    Nobody sets that clock, as they do the one on the wall.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PowerMeter:
    """A watcher of samples and instances. ``interval`` is the most seconds between two samples.

    ``clock`` (``since_boot``) times the samples of a live source as they come, since the one on the wall
    may be set; without it, and for a recording, their own times count. A recording has its own pace too.
    Samples are told on one thread and instances on another; ``report`` is for any.
    """

    def __init__(self, interval: float = 1.0, *, clock: Callable[[], float] | None = None) -> None:
        self._times = _Times(max(_LEAST_GAP_SECONDS, 3 * interval), clock)
        self._seconds = 0.0
        self._lock = threading.Lock()
        self._snapshot = Snapshot("", 0.0)
        self._meters: dict[str, EnergyMeter] = {}
        self._identities: dict[str, GpuIdentity] = {}
        self._accounts: dict[str, Account] = {}
        self._placed: dict[str, tuple[str, ...]] = {}

    def sampled(self, snapshot: Snapshot) -> None:
        """Add one sample; one under a problem is an old one again, and adds nothing."""
        with self._lock:
            self._snapshot = snapshot
            if snapshot.problem is not None:
                return
            self._add_all(snapshot)
            for name, account in self._accounts.items():
                account.sampled(self._used(self._placed[name]))

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        """Take in a look at all instances."""
        with self._lock:
            for status in statuses:
                account = self._accounts.setdefault(status.name, Account())
                self._placed[status.name] = status.gpus
                account.observed(status, self._used(status.gpus), self._shared(status, statuses))
            for name in self._accounts.keys() - {status.name for status in statuses}:
                del self._accounts[name], self._placed[name]

    def report(self) -> PowerReport:
        """What is known now."""
        with self._lock:
            samples = {gpu.identity.uuid: gpu for gpu in self._snapshot.gpus}
            known = self._identities | {uuid: gpu.identity for uuid, gpu in samples.items()}
            gpus = sorted(known.values(), key=lambda gpu: gpu.index)
            return PowerReport(
                tuple(self._power(gpu, samples.get(gpu.uuid)) for gpu in gpus),
                {name: account.efficiency for name, account in self._accounts.items()},
                min(self._seconds, self._times.elapsed),
            )

    def _add_all(self, snapshot: Snapshot) -> None:
        at = self._times.take(snapshot)
        self._seconds += max((self._add(at, gpu) for gpu in snapshot.gpus), default=0.0)

    def _add(self, at: float, gpu: GpuSample) -> float:
        """Of how many seconds more its energy is known by now."""
        draw, counter = gpu.get("power_draw"), gpu.get("total_energy_consumption")
        uuid = gpu.identity.uuid
        if uuid not in self._meters:
            if draw is None and counter is None:
                return 0.0
            self._meters[uuid] = EnergyMeter(self._times.longest_gap)
        self._identities[uuid] = gpu.identity
        most = gpu.get("power_max_limit") or gpu.get("power_limit")
        meter = self._meters[uuid]
        before = meter.energy.seconds
        meter.longest_gap = self._times.longest_gap
        meter.add(at, draw, counter, most)
        return meter.energy.seconds - before

    def _power(self, identity: GpuIdentity, sample: GpuSample | None) -> GpuPower:
        meter = self._meters.get(identity.uuid)
        energy = meter.energy if meter else Energy()
        problem = self._snapshot.problem or (sample.problem if sample else None)
        if problem is not None or sample is None:
            return GpuPower(identity, None, energy, problem.message if problem else "gone")
        draw = sample.get("power_draw")
        reason = "" if draw is not None else sample.unavailable.get("power_draw", "not known")
        return GpuPower(identity, draw, energy, reason)

    def _used(self, gpus: Sequence[str]) -> Used | None:
        """What these GPUs have used; None where that is not known of one of them, or there is none."""
        parts = [self._meters[uuid].energy for uuid in gpus if uuid in self._meters]
        joules = [part.joules for part in parts if part.joules is not None]
        if not gpus or len(joules) < len(gpus):
            return None
        return Used(sum(joules), sum(part.missing_seconds for part in parts))

    def _shared(self, status: InstanceStatus, statuses: Sequence[InstanceStatus]) -> str:
        """Who else works on its GPUs, in words; "" where nobody does."""
        running = [other for other in statuses if other.state in RUNNING]
        if status not in running:
            return ""
        for other in running:
            both = [uuid for uuid in status.gpus if uuid in other.gpus]
            if other.name != status.name and both:
                return f"{self._label(both[0])} is shared with {other.name}"
        return self._stranger(status.gpus, {other.pid for other in running})

    def _stranger(self, gpus: Sequence[str], known: Collection[int | None]) -> str:
        """A process of nobody's instance that works on one of these GPUs, in words.

        Foreign pids say nothing: they may be those of the instances themselves (in a container).
        """
        for gpu in self._snapshot.gpus:
            for process in gpu.processes if gpu.identity.uuid in gpus else ():
                works = (process.utilization_sm or 0) >= _WORKING_PERCENT
                if works and process.host is not None and process.pid not in known:
                    label = self._label(gpu.identity.uuid)
                    return f"process {process.pid} ({process.name}) works on {label} too"
        return ""

    def _label(self, uuid: str) -> str:
        known = self._identities.get(uuid)
        return f"GPU {known.index}" if known else "its GPU"


class _Times:
    """When samples were taken, in seconds, and what is a gap between two of them.

    A recording may have been taken at another pace than this program's, and no clock of now counts for
    it. One step makes no pace: it may be the gap.
    """

    def __init__(self, longest_gap: float, clock: Callable[[], float] | None) -> None:
        self.longest_gap = self._least = longest_gap
        self.elapsed = 0.0
        self._clock = clock
        self._taken_at: float | None = None
        self._at = 0.0
        self._steps: deque[float] = deque(maxlen=_STEPS_OF_A_PACE)

    def take(self, snapshot: Snapshot) -> float:
        """The time of one; the one before again has the time that it had."""
        if snapshot.taken_at == self._taken_at:
            return self._at
        clock = self._clock if snapshot.live else None
        at = snapshot.taken_at if clock is None else clock()
        if self._taken_at is not None and at > self._at:
            self.elapsed += at - self._at
            if not snapshot.live:
                self._keep_pace(at - self._at)
        self._taken_at, self._at = snapshot.taken_at, at
        return at

    def _keep_pace(self, step: float) -> None:
        self._steps.append(step)
        if len(self._steps) > 1:
            self.longest_gap = max(self._least, 3 * statistics.median_low(self._steps))
