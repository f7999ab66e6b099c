"""The slow lane: PCIe throughput, each call of which measures for 20 ms before it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from gputui.gpu.metrics import TIER_SECONDS, Tier
from gputui.gpu.nvml_library import SETTLED, Unavailable
from gputui.gpu.nvml_readers import READERS, OpenGpu, Reading
from gputui.gpu.sample import NOT_READ

SLACK_SECONDS = 0.05
"""A reading due with a tick is not put off because that came a little early."""

_READERS = tuple(reader for reader in READERS if reader.tier is Tier.LANE)
_METRICS = tuple(metric for reader in _READERS for metric in reader.metrics)
_PERIOD = TIER_SECONDS[Tier.LANE]
_HUNG_SECONDS = 3 * _PERIOD

Spawn = Callable[[Callable[[], None]], object]
"""Runs a function beside its caller."""


def on_thread(work: Callable[[], None]) -> None:
    """Run ``work`` on a thread of its own, which does not hold the exit of the program."""
    threading.Thread(target=work, name="nvml-pcie", daemon=True).start()


def settled(readings: Iterable[Reading]) -> bool:
    """Whether there is no value, and there will be none a second later."""
    for reading in readings:
        if not isinstance(reading, Unavailable) or reading.code not in SETTLED:
            return False
    return True


class Lane:
    """Rounds over all GPUs beside the ticks, one GPU after the other, one round at a time.

    A round that hangs in the driver holds nothing but the next round. ``clock`` gives seconds.
    """

    def __init__(self, gpus: Sequence[OpenGpu], clock: Callable[[], float], spawn: Spawn) -> None:
        self._gpus = gpus
        self._clock = clock
        self._spawn = spawn
        self._due = [0.0] * len(gpus)
        not_read = dict.fromkeys(_METRICS, Unavailable(NOT_READ))
        self._readings: list[Mapping[str, Reading]] = [not_read] * len(gpus)
        self._began = 0.0
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._over.set()

    @property
    def resting(self) -> bool:
        """Whether no round is under way."""
        return self._over.is_set()

    def begin(self, now: float) -> None:
        """Begin a round over the GPUs that are due, unless one is under way."""
        due = [index for index, at in enumerate(self._due) if now >= at]
        if not due or not self.resting:
            return
        self._began = now
        self._over.clear()
        try:
            self._spawn(lambda: self._round(due, now))
        except RuntimeError:  # no thread to be had now
            self._over.set()

    def readings(self, index: int, now: float) -> Mapping[str, Reading]:
        """Of the last round; Unavailable while the one under way does not come to its end."""
        age = now - self._began
        if self.resting or age <= _HUNG_SECONDS:
            return self._readings[index]
        return dict.fromkeys(_METRICS, Unavailable(f"no answer for {age:.0f} s"))

    def stop(self, wait: float) -> bool:
        """Begin no more; False where a round does not come back within ``wait`` seconds."""
        self._stopped.set()
        return self._over.wait(wait)

    def _round(self, due: Sequence[int], now: float) -> None:
        try:
            for index in due:
                self._read(index, now)
        finally:
            self._over.set()

    def _read(self, index: int, now: float) -> None:
        readings: dict[str, Reading] = {}
        for reader in _READERS:
            if self._stopped.is_set():
                return
            answers = reader.read(self._gpus[index])
            readings.update(zip(reader.metrics, answers, strict=True))
        pause = TIER_SECONDS[Tier.SLOW] if settled(readings.values()) else _PERIOD
        self._due[index] = now + pause - SLACK_SECONDS
        self._readings[index] = readings
