"""From what is seen to what the rules are judged by: which rule is about which subject, and its value now."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median_low

from gputui.alerts.engine import LONGEST_STEP, RIG, Judged, Subject
from gputui.alerts.readings import READINGS
from gputui.alerts.rules import Rule, resolve
from gputui.alerts.views import BUSY_PERCENT, GpuView, InstanceView, RigView, Scope
from gputui.config import Config, TargetsConfig
from gputui.errors import ConfigError
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceStatus

REQUESTS_SECONDS = 600.0
LEAST_REQUESTS = 10
"""The error rate is of the requests of the last ten minutes; of fewer than ten it is not known."""
TTFT_SECONDS = 600.0
"""For how long the TTFT of an answer says how the instance is."""
_STEPS = 15


def _subject(gpu: GpuIdentity) -> Subject:
    return Subject(Scope.GPU, gpu.uuid, f"GPU {gpu.index}")


def _judged(rule: Rule, subject: Subject, view: object) -> Judged:
    """``view`` is what the rule's metric is read of; None where nothing of it is known."""
    reading = READINGS[rule.metric]
    if view is None:
        return Judged(rule, subject, None, str)
    return Judged(rule, subject, reading.value(view), partial(reading.words, view))


class Pace:
    """The pace of a recording, which is that of the machine where it was made."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._steps: deque[float] = deque(maxlen=_STEPS)

    def longest_step(self, at: float) -> float:
        """Seconds that the step to a sample at ``at`` may be long: three times the usual one before it."""
        longest = max(LONGEST_STEP, 3 * median_low(self._steps)) if self._steps else LONGEST_STEP
        if self._at is not None and at > self._at:
            self._steps.append(at - self._at)
        self._at = at
        return longest


class GpuJudge:
    """Judges GPUs and the rig by samples, in their order.

    ``problems`` are selectors that name no GPU, found once the GPUs are known; their rules hold for none.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        config: Config,
        file: Path | None = None,
        *,
        longest_step: float = LONGEST_STEP,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.problems: list[ConfigError] = []
        self._file = file
        self.longest_step = longest_step
        self._steady = steady
        self._identities: tuple[GpuIdentity, ...] | None = None
        self.set_rules(rules, config)
        self._chosen: list[tuple[Rule, frozenset[str]]] = []
        self._busy: dict[str, float] = {}
        self._now: float | None = None
        self._seen = 0.0

    def set_rules(self, rules: Sequence[Rule], config: Config) -> None:
        """The rules from now on; what is known of the GPUs stays."""
        self._gpu_rules = [rule for rule in rules if rule.scope is Scope.GPU]
        self._rig_rules = [rule for rule in rules if rule.scope is Scope.RIG]
        self._psu_watts = config.power.psu_watts
        self._identities = None

    def judge(self, snapshot: Snapshot) -> tuple[float, list[Judged]]:
        """The time of a sample, and what the rules are judged by then.

        Under a Problem of the whole source the values are old: none is known then. Such a sample can
        come again and again with its own old time, so the time then goes on by our clock.
        """
        steady = self._steady()
        stale = snapshot.problem is not None
        now, passed = snapshot.taken_at, 0.0
        if self._now is not None:
            if stale and now <= self._now:
                now = self._now + max(0.0, steady - self._seen)
            passed = max(0.0, now - self._now)
        self._now, self._seen = now, steady
        if not stale:
            self._learn(snapshot.identities)
            self._follow_busy(snapshot, passed)
        return now, [*self._judge_gpus(snapshot, stale), *self._judge_rig(snapshot, stale)]

    def _judge_gpus(self, snapshot: Snapshot, stale: bool) -> Iterator[Judged]:
        samples = {} if stale else {gpu.identity.uuid: gpu for gpu in snapshot.gpus}
        for gpu in self._identities or ():
            sample = samples.get(gpu.uuid)
            view = GpuView(sample, self._busy.get(gpu.uuid, 0.0)) if sample else None
            subject = _subject(gpu)
            for rule, chosen in self._chosen:
                if gpu.uuid in chosen:
                    yield _judged(rule, subject, view)

    def _judge_rig(self, snapshot: Snapshot, stale: bool) -> Iterator[Judged]:
        view = None if stale else RigView(snapshot, self._psu_watts)
        return (_judged(rule, RIG, view) for rule in self._rig_rules)

    def _learn(self, gpus: tuple[GpuIdentity, ...]) -> None:
        """Which rule is about which GPU, anew where the GPUs are others."""
        if gpus == self._identities:
            return
        self._identities, self._chosen, self.problems = gpus, [], []
        for rule in self._gpu_rules:
            try:
                found = resolve(rule, gpus, self._file)
            except ConfigError as error:
                self.problems.append(error)
            else:
                self._chosen.append((rule, frozenset(gpu.uuid for gpu in found)))

    def _follow_busy(self, snapshot: Snapshot, passed: float) -> None:
        """For how long each GPU has been busy without a gap."""
        busy: dict[str, float] = {}
        for gpu in snapshot.gpus:
            utilization, uuid = gpu.get("utilization_gpu"), gpu.identity.uuid
            if utilization is not None and utilization >= BUSY_PERCENT:
                before = self._busy.get(uuid)
                gap = before is None or passed > self.longest_step
                busy[uuid] = 0.0 if gap or before is None else before + passed
        self._busy = busy


class InstanceJudge:
    """Judges instances by what is observed of them, at times of one clock."""

    def __init__(self, rules: Sequence[Rule], config: Config) -> None:
        self.set_rules(rules, config)
        self._requests: dict[tuple[str, int | None], RequestWindow] = {}
        self._ttft: dict[str, tuple[float, float]] = {}

    def set_rules(self, rules: Sequence[Rule], config: Config) -> None:
        """The rules and targets from now on; what is known of the instances stays."""
        self._rules = [rule for rule in rules if rule.scope is Scope.INSTANCE]
        self._targets = {instance.name: instance.targets for instance in config.instances}

    def answered(self, name: str, ttft_seconds: float, at: float) -> None:
        """An instance answered a prompt of gputui's own chat, at Unix time ``at``."""
        if name in self._targets:
            self._ttft[name] = (at, ttft_seconds)

    def judge(
        self, now: float, statuses: Sequence[InstanceStatus], gpus: Mapping[str, GpuSample]
    ) -> list[Judged]:
        """What the rules are judged by; ``gpus`` are the samples of now, by UUID."""
        processes = [(status.name, status.pid) for status in statuses]
        self._requests = {key: self._requests.get(key) or RequestWindow() for key in processes}
        return [
            _judged(rule, Subject(Scope.INSTANCE, status.name, status.name), view)
            for status in statuses
            for view in (self._view(now, status, gpus),)
            for rule in self._rules
            if rule.instances is None or status.name in rule.instances
        ]

    def _view(
        self, now: float, status: InstanceStatus, gpus: Mapping[str, GpuSample]
    ) -> InstanceView:
        metrics = status.metrics
        window = self._requests[status.name, status.pid]
        lately = window.take(now, metrics.requests_total, metrics.requests_failed)
        return InstanceView(
            status=status,
            targets=self._targets.get(status.name, TargetsConfig()),
            gpus=tuple(gpus[uuid] for uuid in status.gpus if uuid in gpus),
            ttft_seconds=self._newest_ttft(now, status),
            requests=lately[0] if lately else None,
            failures=lately[1] if lately else None,
            rig=tuple(gpus.values()),
        )

    def _newest_ttft(self, now: float, status: InstanceStatus) -> float | None:
        at, ttft = self._ttft.get(status.name, (0.0, 0.0))
        current = at >= (status.started_at or 0.0)
        return ttft if at and current and abs(now - at) <= TTFT_SECONDS else None


@dataclass(slots=True)
class RequestWindow:
    """How two counters grew over the last ``REQUESTS_SECONDS``, or since the first look at them."""

    _counts: deque[tuple[float, int, int]] = field(default_factory=deque)

    def take(self, now: float, total: int | None, failed: int | None) -> tuple[int, int] | None:
        """Requests and failures of the window that ends now.

        None where the counters are not known, or grew by less than ``LEAST_REQUESTS``. Where they, or
        the clock, went back, it begins anew.
        """
        if total is None or failed is None:
            return None
        counts = self._counts
        if counts and (now < counts[-1][0] or total < counts[-1][1] or failed < counts[-1][2]):
            counts.clear()
        if not counts or (total, failed) != counts[-1][1:]:
            counts.append((now, total, failed))
        while len(counts) > 1 and counts[1][0] <= now - REQUESTS_SECONDS:
            counts.popleft()
        grown = total - counts[0][1], failed - counts[0][2]
        return grown if grown[0] >= LEAST_REQUESTS else None
