"""The metric table: one row a metric; panels, JSON and later the exporter follow from it.

Names are nvidia-smi's (``nvidia-smi --help-query-gpu``) with dots as underscores.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Unit(StrEnum):
    """Base units, as Prometheus wants them; NONE for plain counts, codes and bit masks."""

    PERCENT = "percent"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes_per_second"
    CELSIUS = "celsius"
    WATTS = "watts"
    HERTZ = "hertz"
    NONE = ""


class Tier(StrEnum):
    """How often a metric is read; costs and reasons are NVML's (a slow call must not hold a tick)."""

    TICK = "tick"
    SLOW = "slow"
    LANE = "lane"
    ONCE = "once"


TIER_SECONDS = MappingProxyType({Tier.TICK: 0.0, Tier.SLOW: 5.0, Tier.LANE: 2.0})
"""Seconds between two readings of a tier; TICK at every sample, ONCE when the GPU is opened."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One reading of a GPU. ``name`` keys samples and history; ``key`` names it in JSON."""

    name: str
    unit: Unit
    tier: Tier
    label: str

    @property
    def key(self) -> str:
        """The name with its base unit: ``memory_used_bytes``."""
        return f"{self.name}_{self.unit}" if self.unit else self.name


METRICS: tuple[Metric, ...] = (
    Metric("utilization_gpu", Unit.PERCENT, Tier.TICK, "GPU utilization"),
    Metric("utilization_memory", Unit.PERCENT, Tier.TICK, "memory controller utilization"),
    Metric("memory_used", Unit.BYTES, Tier.TICK, "memory used"),
    Metric("memory_total", Unit.BYTES, Tier.TICK, "memory"),
    Metric("temperature_gpu", Unit.CELSIUS, Tier.TICK, "GPU temperature"),
    Metric("power_draw", Unit.WATTS, Tier.TICK, "power draw"),
    Metric("power_limit", Unit.WATTS, Tier.SLOW, "power limit in force"),
    Metric("clocks_sm", Unit.HERTZ, Tier.TICK, "SM clock"),
    Metric("clocks_sm_max", Unit.HERTZ, Tier.ONCE, "SM clock, maximum"),
    Metric("clocks_mem", Unit.HERTZ, Tier.TICK, "memory clock"),
    Metric("clocks_mem_max", Unit.HERTZ, Tier.ONCE, "memory clock, maximum"),
    Metric("fan_speed", Unit.PERCENT, Tier.SLOW, "fan speed"),
    Metric("pcie_link_gen", Unit.NONE, Tier.SLOW, "PCIe generation"),
    Metric("pcie_link_gen_max", Unit.NONE, Tier.SLOW, "PCIe generation, maximum"),
    Metric("pcie_link_width", Unit.NONE, Tier.SLOW, "PCIe lanes"),
    Metric("pcie_link_width_max", Unit.NONE, Tier.SLOW, "PCIe lanes, maximum"),
    Metric("pcie_tx", Unit.BYTES_PER_SECOND, Tier.LANE, "PCIe sent by the GPU"),
    Metric("pcie_rx", Unit.BYTES_PER_SECOND, Tier.LANE, "PCIe received by the GPU"),
    Metric("throttle_reasons", Unit.NONE, Tier.TICK, "clocks event reasons, bit mask"),
    Metric("pstate", Unit.NONE, Tier.SLOW, "performance state, 0 highest"),
    Metric(
        "ecc_uncorrected", Unit.NONE, Tier.SLOW, "uncorrected ECC errors since the driver loaded"
    ),
)

METRICS_BY_NAME = MappingProxyType({metric.name: metric for metric in METRICS})

THROTTLE_REASONS: tuple[tuple[int, str, bool], ...] = (
    (0x1, "idle", False),
    (0x2, "applications clocks", False),
    (0x4, "power cap", True),
    (0x8, "HW slowdown", True),
    (0x10, "sync boost", False),
    (0x20, "SW thermal", True),
    (0x40, "HW thermal", True),
    (0x80, "power brake", True),
    (0x100, "display clock", False),
)
"""Bit, words, and whether it costs speed (nvmlDeviceGetCurrentClocksEventReasons)."""


def throttle_words(mask: float | None) -> tuple[str, ...]:
    """The reasons in ``mask`` that cost speed, in words; () where it is 0 or not known."""
    if mask is None:
        return ()
    return tuple(words for bit, words, costs in THROTTLE_REASONS if costs and int(mask) & bit)
