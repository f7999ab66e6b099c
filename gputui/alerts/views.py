"""What a rule looks at: a GPU, an instance or the rig, each at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gputui.config import TargetsConfig
from gputui.gpu.metrics import TIER_SECONDS, Tier
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.instances.status import InstanceStatus

BUSY_PERCENT = 20.0
BUSY_SECONDS = 2 * TIER_SECONDS[Tier.SLOW]
"""A GPU is busy once its utilization has been ``BUSY_PERCENT`` for as long as two readings of its link
take: an older one is from before, when it idled."""


class Scope(StrEnum):
    """What a reading is of."""

    GPU = "gpu"
    INSTANCE = "instance"
    RIG = "rig"


@dataclass(frozen=True, slots=True)
class GpuView:
    """A GPU at one moment; ``busy_seconds``: for how long it has been at ``BUSY_PERCENT`` or more."""

    sample: GpuSample
    busy_seconds: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether it works, and has for long enough that slow readings know it."""
        return self.busy_seconds >= BUSY_SECONDS


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance at one moment.

    ``gpus`` are the samples of those it is pinned to, as far as they are known now. ``ttft_seconds``:
    of the newest answer to a prompt from gputui's own chat, None where that is long ago.
    ``requests`` and ``failures``: how many there were lately, None where not known. ``rig`` are the
    samples of all GPUs that are known now.
    """

    status: InstanceStatus
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    gpus: Sequence[GpuSample] = ()
    ttft_seconds: float | None = None
    requests: int | None = None
    failures: int | None = None
    rig: Sequence[GpuSample] = ()


@dataclass(frozen=True, slots=True)
class RigView:
    """All GPUs and the host at one moment; ``psu_watts`` is what the power supply can give."""

    snapshot: Snapshot
    psu_watts: float | None = None
