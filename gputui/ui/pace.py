"""How often the rig is looked at and drawn: at full pace while somebody looks, or something happens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from gputui.config import duration_seconds
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.ui.services import SamplerLike, Services

QUICK_SECONDS = 1.5
"""Numbers that moved wait for the next sample where that is at most so far away."""

_ON_THE_WAY = frozenset({State.STARTING, State.LOADING, State.STOPPING})
_NO_METRICS = InstanceMetrics()


class Pace:
    """Sets the sampler's interval, and says what is drawn with the next sample rather than at once.

    The full pace is the configured interval. A terminal that lost focus, or in which nothing was pressed
    for long, gets fewer samples, looks at the instances, and pictures (``[terminal]`` of the configuration).
    A key or focus brings the full pace back, and a sample and a look at once. While an alert is pending or
    has begun to fire lately, an instance is on its way up or down or has a request in work, or the chat
    answers, the pace is always full: nothing that happens is seen late, and no figure of it is of fewer
    samples. What fires for good, as of a card in a narrow slot, keeps no terminal busy.

    ``hurry`` is called where the pace becomes quicker. ``clock`` gives seconds.
    """

    def __init__(
        self,
        services: Services,
        hurry: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sampler: SamplerLike | None = None
        self.interval = self._full = services.config.interval
        self._services = services
        self._hurry = hurry
        self._clock = clock
        self._focused = True
        self._pressed_at = clock()
        self._sampled_at = -math.inf
        self._statuses: Sequence[InstanceStatus] = ()
        self._seen: Sequence[InstanceStatus] | None = None

    @property
    def slowed(self) -> float:
        """Seconds between two looks at the instances while they are fewer than usual, else 0."""
        return self.interval if self.interval > self._full else 0.0

    def pressed(self) -> None:
        """A key, the mouse, something pasted: somebody is there, whatever the terminal said of its focus."""
        self._pressed_at, self._focused = self._clock(), True
        if self.slowed:
            self._adjust()

    def focus(self, focused: bool) -> None:
        """The terminal has focus from now on, or has lost it."""
        self._focused = focused
        self._adjust()

    def sampled(self) -> None:
        """A sample was taken, and is about to be drawn."""
        self._sampled_at = self._clock()
        self._adjust()

    def observed(self, statuses: Sequence[InstanceStatus]) -> bool:
        """The instances were looked at: whether that is worth a picture of its own.

        Numbers that moved are drawn with the next sample, where one is near: one picture, not two.
        """
        before, self._seen = self._seen, [_without_numbers(status) for status in statuses]
        self._statuses = statuses
        self._adjust()
        near = self._clock() - self._sampled_at <= QUICK_SECONDS * max(self.interval, 1.0)
        wait = near and (self._full <= QUICK_SECONDS or bool(self.slowed))
        return self._seen != before or not wait

    def _adjust(self) -> None:
        interval = max(self._full, self._wanted())
        quicker, self.interval = interval < self.interval, interval
        if self.sampler is not None:
            self.sampler.set_interval(interval)
        if quicker:
            self._hurry()

    def _wanted(self) -> float:
        terminal = self._services.config.terminal
        wanted = 0.0 if self._focused else terminal.unfocused_interval
        if self._clock() - self._pressed_at >= duration_seconds(terminal.idle_after):
            wanted = max(wanted, terminal.idle_interval)
        return 0.0 if wanted and self._something_happens() else wanted

    def _something_happens(self) -> bool:
        alerts = self._services.alerts
        return (
            any(_happens(status) for status in self._statuses)
            or self._services.conversation.unsettled
            or (alerts is not None and alerts.stirring)
        )


def _happens(status: InstanceStatus) -> bool:
    """Whether an instance is on its way up or down, or has a request in work."""
    metrics = status.metrics
    work = metrics.slots_busy or metrics.requests_processing or metrics.requests_deferred
    return status.state in _ON_THE_WAY or status.restart_at is not None or bool(work)


def _without_numbers(status: InstanceStatus) -> InstanceStatus:
    """What of it is worth a picture as soon as it changes."""
    return replace(
        status,
        metrics=_NO_METRICS,
        load_progress=None,
        load_seconds_left=None,
        stop_seconds_left=None,
        prompt_progress=None,
        stalled_seconds=None,
        idle_seconds=None,
        availability=None,
    )
