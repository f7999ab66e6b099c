"""The metric table: one row a metric; panels, JSON, details, exporter and alert rules follow from it.

Names are nvidia-smi's (``nvidia-smi --help-query-gpu``) with dots as underscores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gputui.text import UNKNOWN, size


class Unit(StrEnum):
    """Base units, as Prometheus wants them; NONE for plain counts, codes and bit masks."""

    PERCENT = "percent"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes_per_second"
    CELSIUS = "celsius"
    WATTS = "watts"
    JOULES = "joules"
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


class Kind(StrEnum):
    """How a metric behaves in time."""

    GAUGE = "gauge"  # moves up and down; has a history and a graph
    COUNTER = "counter"  # only grows, until the driver is loaded again
    FACT = "fact"  # a limit, a mode, a code: worth its newest value alone


class Group(StrEnum):
    """Where a metric stands in the details."""

    UTILIZATION = "Utilization"
    MEMORY = "Memory"
    POWER = "Power"
    THERMAL = "Temperature and fan"
    CLOCKS = "Clocks"
    PCIE = "PCIe"
    HEALTH = "Errors and modes"


@dataclass(frozen=True, slots=True)
class Metric:
    """One reading of a GPU.

    ``name`` keys samples and history; ``key`` names it in JSON. ``ceiling`` is what it cannot exceed:
    another metric's name or a number in the base unit, None where there is no such thing. ``words``
    says a value that is a code in words.
    """

    name: str
    unit: Unit
    tier: Tier
    label: str
    group: Group
    kind: Kind = Kind.GAUGE
    ceiling: str | float | None = None
    words: Callable[[float], str] | None = None

    @property
    def key(self) -> str:
        """The name with its base unit: ``memory_used_bytes``."""
        return f"{self.name}_{self.unit}" if self.unit else self.name

    def show(self, value: float | None) -> str:
        """A value as people read it, with its unit: ``54.0 GiB``, ``2617 MHz``, ``power cap``."""
        if value is None:
            return UNKNOWN
        return self.words(value) if self.words else _AMOUNTS[self.unit](value)


def _joules(value: float) -> str:
    """Joules below one watt-hour, then Wh and kWh."""
    for least, unit in ((3.6e6, "kWh"), (3.6e3, "Wh")):
        if value >= least:
            return f"{value / least:.1f} {unit}"
    return f"{value:.0f} J"


def _rate(value: float) -> str:
    return f"{value / 1e9:.1f} GB/s" if value >= 1e8 else f"{value / 1e6:.1f} MB/s"


_AMOUNTS = MappingProxyType[Unit, Callable[[float], str]](
    {
        Unit.PERCENT: lambda value: f"{value:.0f} %",
        Unit.BYTES: size,
        Unit.BYTES_PER_SECOND: _rate,
        Unit.CELSIUS: lambda value: f"{value:.0f} °C",
        Unit.WATTS: lambda value: f"{value:.0f} W",
        Unit.JOULES: _joules,
        Unit.HERTZ: lambda value: f"{value / 1e6:.0f} MHz",
        Unit.NONE: lambda value: f"{value:.0f}",
    }
)

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


def reason_words(mask: float) -> str:
    """All reasons in ``mask``, in words: ``idle``, ``power cap, HW thermal``, ``none``."""
    known = [words for bit, words, _ in THROTTLE_REASONS if int(mask) & bit]
    return ", ".join(known) or ("none" if mask == 0 else f"{int(mask):#x}")


def _on_off(value: float) -> str:
    return "on" if value else "off"


def _lanes(value: float) -> str:
    return f"×{value:.0f}"


def _tenths(value: float) -> str:
    return f"{value:.1f}"


METRICS: tuple[Metric, ...] = (
    Metric(
        "utilization_gpu", Unit.PERCENT, Tier.TICK, "GPU", Group.UTILIZATION, ceiling=100.0
    ),
    Metric(
        "utilization_memory", Unit.PERCENT, Tier.TICK, "memory controller", Group.UTILIZATION,
        ceiling=100.0,
    ),
    Metric(
        "utilization_encoder", Unit.PERCENT, Tier.SLOW, "encoder", Group.UTILIZATION, ceiling=100.0
    ),
    Metric(
        "utilization_decoder", Unit.PERCENT, Tier.SLOW, "decoder", Group.UTILIZATION, ceiling=100.0
    ),
    Metric(
        "memory_used", Unit.BYTES, Tier.TICK, "memory used", Group.MEMORY, ceiling="memory_total"
    ),
    Metric("memory_total", Unit.BYTES, Tier.TICK, "memory", Group.MEMORY, Kind.FACT),
    Metric("memory_reserved", Unit.BYTES, Tier.TICK, "driver's reserve", Group.MEMORY, Kind.FACT),
    Metric("power_draw", Unit.WATTS, Tier.TICK, "draw", Group.POWER, ceiling="power_limit"),
    Metric(
        "power_limit", Unit.WATTS, Tier.SLOW, "limit in force", Group.POWER,
        ceiling="power_max_limit",
    ),
    Metric("power_default_limit", Unit.WATTS, Tier.ONCE, "default limit", Group.POWER, Kind.FACT),
    Metric("power_min_limit", Unit.WATTS, Tier.ONCE, "lowest limit", Group.POWER, Kind.FACT),
    Metric("power_max_limit", Unit.WATTS, Tier.ONCE, "highest limit", Group.POWER, Kind.FACT),
    Metric(
        "total_energy_consumption", Unit.JOULES, Tier.TICK, "energy since the driver loaded",
        Group.POWER, Kind.COUNTER,
    ),
    Metric("temperature_gpu", Unit.CELSIUS, Tier.TICK, "GPU", Group.THERMAL),
    Metric("temperature_memory", Unit.CELSIUS, Tier.SLOW, "memory", Group.THERMAL),
    Metric(
        "temperature_gpu_slowdown", Unit.CELSIUS, Tier.ONCE, "slows down at", Group.THERMAL,
        Kind.FACT,
    ),
    Metric(
        "temperature_gpu_shutdown", Unit.CELSIUS, Tier.ONCE, "shuts down at", Group.THERMAL,
        Kind.FACT,
    ),
    Metric(
        "temperature_gpu_tlimit", Unit.CELSIUS, Tier.SLOW, "left before it slows down",
        Group.THERMAL,
    ),
    Metric("fan_speed", Unit.PERCENT, Tier.SLOW, "fan", Group.THERMAL, ceiling=100.0),
    Metric("clocks_sm", Unit.HERTZ, Tier.TICK, "SM", Group.CLOCKS, ceiling="clocks_sm_max"),
    Metric("clocks_sm_max", Unit.HERTZ, Tier.ONCE, "SM, maximum", Group.CLOCKS, Kind.FACT),
    Metric("clocks_mem", Unit.HERTZ, Tier.TICK, "memory", Group.CLOCKS, ceiling="clocks_mem_max"),
    Metric("clocks_mem_max", Unit.HERTZ, Tier.ONCE, "memory, maximum", Group.CLOCKS, Kind.FACT),
    Metric(
        "throttle_reasons", Unit.NONE, Tier.TICK, "held down by", Group.CLOCKS, Kind.FACT,
        words=reason_words,
    ),
    Metric(
        "pstate", Unit.NONE, Tier.SLOW, "performance state", Group.CLOCKS,
        words=lambda value: f"P{value:.0f}",
    ),
    Metric(
        "pcie_link_gen", Unit.NONE, Tier.SLOW, "generation", Group.PCIE,
        ceiling="pcie_link_gen_max", words=_tenths,
    ),
    Metric(
        "pcie_link_gen_max", Unit.NONE, Tier.SLOW, "generation, maximum", Group.PCIE, Kind.FACT,
        words=_tenths,
    ),
    Metric(
        "pcie_link_width", Unit.NONE, Tier.SLOW, "lanes", Group.PCIE,
        ceiling="pcie_link_width_max", words=_lanes,
    ),
    Metric(
        "pcie_link_width_max", Unit.NONE, Tier.SLOW, "lanes, maximum", Group.PCIE, Kind.FACT,
        words=_lanes,
    ),
    Metric("pcie_tx", Unit.BYTES_PER_SECOND, Tier.LANE, "sent by the GPU", Group.PCIE),
    Metric("pcie_rx", Unit.BYTES_PER_SECOND, Tier.LANE, "received by the GPU", Group.PCIE),
    Metric(
        "ecc_corrected", Unit.NONE, Tier.SLOW, "corrected ECC errors", Group.HEALTH, Kind.COUNTER
    ),
    Metric(
        "ecc_uncorrected", Unit.NONE, Tier.SLOW, "uncorrected ECC errors", Group.HEALTH,
        Kind.COUNTER,
    ),
    Metric(
        "persistence_mode", Unit.NONE, Tier.SLOW, "persistence mode", Group.HEALTH, Kind.FACT,
        words=_on_off,
    ),
    Metric(
        "mig_mode", Unit.NONE, Tier.SLOW, "MIG mode", Group.HEALTH, Kind.FACT, words=_on_off
    ),
    Metric(
        "compute_cap", Unit.NONE, Tier.ONCE, "compute capability", Group.HEALTH, Kind.FACT,
        words=_tenths,
    ),
)  # fmt: skip

METRICS_BY_NAME = MappingProxyType({metric.name: metric for metric in METRICS})
