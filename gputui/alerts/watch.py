"""The watch: all that is seen goes in, alerts come out; for the screen, the list and the user's program."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gputui.alerts.command import Command
from gputui.alerts.engine import LONGEST_STEP, Alert, Change, Ending, Engine, Event
from gputui.alerts.events import EventLog, Incident, Store
from gputui.alerts.judge import GpuJudge, InstanceJudge, Pace
from gputui.alerts.rules import Rule, Severity
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.gpu.sample import SIMULATED, GpuSample, Snapshot
from gputui.instances.status import InstanceStatus
from gputui.text import error_words

_MOST_NEWS = 100


class AlertWatch:
    """Judges every sample and every look at the instances. From any thread; never raises, never waits.

    GPUs and the rig live by the samples' time, instances by ``clock``. ``state_dir`` is where events are
    kept; None keeps them for this session alone and runs no program: for what is replayed. The same
    holds for simulated GPUs and the rig around them; instances on them are real.
    """

    def __init__(
        self,
        config: Config,
        rules: Sequence[Rule],
        state_dir: Path | None,
        file: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        longest_step = max(LONGEST_STEP, 3 * config.longest_interval)
        self._clock = clock
        self._hints = {rule.name: rule.hint for rule in rules}
        self._lock = threading.Lock()
        self._gpus = Engine(longest_step)
        self._instances = Engine(longest_step)
        self._gpu_judge = GpuJudge(rules, config, file, longest_step=longest_step, steady=steady)
        self._instance_judge = InstanceJudge(rules, config)
        self._samples: Mapping[str, GpuSample] = {}
        self._news: deque[Event] = deque(maxlen=_MOST_NEWS)
        self._problems: deque[GputuiError] = deque(maxlen=_MOST_NEWS)
        self._told: set[str] = set()
        self._pace = Pace()
        self._simulated = False
        self._command = Command(config.on_alert)
        self._log = EventLog(Store(state_dir) if state_dir else None, self._kept)

    def set_config(self, config: Config, rules: Sequence[Rule]) -> None:
        """The rules from now on. What fires under a rule that is in force no more is over; a rule that was
        changed goes on from where it stands."""
        with self._lock:
            self._hints = {rule.name: rule.hint for rule in rules}
            self._gpu_judge.set_rules(rules, config)
            self._instance_judge.set_rules(rules, config)
            self._told.clear()
            self._command.set_template(config.on_alert)

    # ── what is seen ─────────────────────────────────────────────────────────────────────────────

    def sampled(self, snapshot: Snapshot) -> None:
        """A sample, in order."""
        with self._lock:
            try:
                stale = snapshot.problem is not None
                self._samples = {} if stale else {gpu.identity.uuid: gpu for gpu in snapshot.gpus}
                self._simulated = snapshot.source == SIMULATED
                if not snapshot.live:
                    step = self._pace.longest_step(snapshot.taken_at)
                    self._gpus.longest_step = self._gpu_judge.longest_step = step
                events = self._gpus.evaluate(*self._gpu_judge.judge(snapshot))
                self._take(events, keep=not self._simulated)
                for problem in self._gpu_judge.problems:
                    self._tell(problem)
            except Exception as error:  # noqa: BLE001  the sampler goes on: told, once
                self._fault(error)

    def observed(self, statuses: Sequence[InstanceStatus]) -> None:
        """A look at the instances, as of now."""
        with self._lock:
            try:
                now = self._clock()
                judged = self._instance_judge.judge(now, statuses, self._samples)
                self._take(self._instances.evaluate(now, judged), keep=True)
            except Exception as error:  # noqa: BLE001  the screen goes on: told, once
                self._fault(error)

    def answered(self, name: str, ttft_seconds: float) -> None:
        """An instance answered a prompt of gputui's own chat, now."""
        with self._lock:
            self._instance_judge.answered(name, ttft_seconds, self._clock())

    # ── what comes of it ─────────────────────────────────────────────────────────────────────────

    @property
    def stirring(self) -> bool:
        """Whether any alert is pending, or has begun to fire lately."""
        with self._lock:
            return self._gpus.stirring or self._instances.stirring

    @property
    def firing(self) -> tuple[Alert, ...]:
        """What fires and no worse rule hides, the worst first, then the newest."""
        with self._lock:
            alerts = [*self._gpus.firing, *self._instances.firing]
        worst_first = list(Severity)
        shown = [alert for alert in alerts if not alert.muted]
        shown.sort(key=lambda alert: (worst_first.index(alert.rule.severity), -alert.began_at))
        return tuple(shown)

    def take_news(self) -> tuple[Event, ...]:
        """What began since the last call and is worth a word, each once, oldest first."""
        with self._lock:
            news, self._news = tuple(self._news), deque(maxlen=_MOST_NEWS)
        return news

    def take_problems(self) -> tuple[GputuiError, ...]:
        """What goes wrong with the alerts themselves, each once."""
        with self._lock:
            for problem in (self._log.problem, self._command.problem):
                if problem is not None:
                    self._tell(problem)
            problems = tuple(self._problems)
            self._problems.clear()
        return problems

    def incidents(self, limit: int = 500) -> list[Incident]:
        """The list of events, as EventLog has it. Blocks: not for the event loop."""
        return self._log.incidents(limit)

    @property
    def sampled_at(self) -> float:
        """The time of the newest sample: what is replayed has a time of its own."""
        return self._gpus.now or 0.0

    @property
    def keeps(self) -> bool:
        """Whether events outlive this session."""
        return self._log.keeps

    def hint_of(self, rule: str) -> str:
        """The remedy of a rule, "" where it has none or is in force no more."""
        return self._hints.get(rule, "")

    def close(self) -> None:
        """Keep what waits, end what nobody watches any more. Blocks for some seconds at most."""
        with self._lock:
            of_gpus = self._gpus.end(Ending.UNWATCHED)
            last = self._instances.end(Ending.UNWATCHED)
        if not self._simulated:
            last = [*of_gpus, *last]
        self._log.close(last)
        self._command.close()

    # ── inside, under the lock ───────────────────────────────────────────────────────────────────

    def _take(self, events: Sequence[Event], keep: bool) -> None:
        for event in events:
            if event.notify and event.change is Change.FIRING:
                self._news.append(event)
            self._log.put(event, keep)

    def _kept(self, event: Event, news: bool) -> None:
        """On the list's thread: of several gputuis that see an alert, the first one runs the program."""
        if event.notify and news:
            self._command.run_soon(event)

    def _fault(self, error: Exception) -> None:
        what = error_words(error, 200)
        self._tell(GputuiError(f"judging alerts failed: {what}", "Please report this."))

    def _tell(self, problem: GputuiError) -> None:
        if str(problem) not in self._told and len(self._told) < _MOST_NEWS:
            self._told.add(str(problem))
            self._problems.append(problem)
