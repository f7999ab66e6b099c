"""Rules: the built-in ones as rows of a table, and what the configuration makes of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gputui.alerts.readings import READINGS
from gputui.alerts.views import Scope
from gputui.config import AlertConfig, Config, default_path, duration_seconds
from gputui.errors import ConfigError
from gputui.identity import GpuIdentity, GpuSelectionError, select_gpus
from gputui.instances.status import HUNG_SECONDS
from gputui.text import clean_line, duration, nearest

KEEP_FIRING_SECONDS = 60.0

COMPARISONS: MappingProxyType[str, Callable[[float, float], bool]] = MappingProxyType(
    {
        ">": operator.gt,
        ">=": operator.ge,
        "<": operator.lt,
        "<=": operator.le,
        "==": operator.eq,
        "!=": operator.ne,
    }
)


class Severity(StrEnum):
    """How bad it is; the worst comes first."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """When to raise an alert.

    It holds where ``metric`` (a name of READINGS, in its base unit) compares so with ``threshold``. It
    fires once it has held for ``for_seconds``, and ends once it has not held for
    ``keep_firing_seconds``. ``gpus`` are selectors, ``instances`` names; None is all of them. ``says``
    is what a message says of the subject, from the fields ``what``, ``value`` and ``condition``;
    ``mark`` says it in one word on a panel. ``hint`` is the remedy. ``unless`` names a worse rule:
    while that one fires for the same subject, this one is not told.
    """

    name: str
    metric: str
    comparison: str
    threshold: float
    for_seconds: float = 0.0
    keep_firing_seconds: float = KEEP_FIRING_SECONDS
    severity: Severity = Severity.WARNING
    gpus: tuple[str, ...] | None = None
    instances: tuple[str, ...] | None = None
    says: str = "{what} {value} ({condition})"
    mark: str = ""
    hint: str = ""
    unless: str = ""

    @property
    def scope(self) -> Scope:
        """Whether it is about a GPU, an instance or the rig."""
        return READINGS[self.metric].scope

    @property
    def condition(self) -> str:
        """``> 85 °C for 30 s``."""
        bound = f"{self.comparison} {READINGS[self.metric].show(self.threshold)}"
        return f"{bound} for {duration(self.for_seconds)}" if self.for_seconds else bound

    def holds(self, value: float) -> bool:
        """Whether it holds at that value."""
        return COMPARISONS[self.comparison](value, self.threshold)

    def message(self, subject: str, value: str) -> str:
        """``GPU 1 temperature 87 °C (> 85 °C for 30 s)``, from the value in words."""
        what = READINGS[self.metric].what
        fields = {"what": what, "value": value, "condition": self.condition}
        return clean_line(f"{subject} {self.says.format_map(fields)}")


_COOLER = "Look at fans, filters and room; a lower power limit cools at once."
_LINK = "Reseat the card or its riser; look at the slot and its setting in the BIOS."

BUILT_IN: tuple[Rule, ...] = (
    Rule(
        "temperature-critical", "temperature_gpu", ">", 90, 10, severity=Severity.CRITICAL,
        mark="hot", hint=_COOLER,
    ),
    Rule(
        "temperature", "temperature_gpu", ">", 85, 30, mark="hot", hint=_COOLER,
        unless="temperature-critical",
    ),
    Rule(
        "memory", "memory_used_percent", ">", 95, 60, mark="memory",
        hint="A longer context may not fit. Use a smaller ctx_size or model, or stop what else is there.",
    ),
    Rule(
        "power-supply", "power_draw_psu_percent", ">", 90, 10, severity=Severity.CRITICAL,
        mark="power",
        hint="Lower the power limit of a GPU before the power supply switches off.",
    ),
    Rule(
        "throttle-thermal", "throttle_thermal", ">", 0, 30, says="held down by heat: {value}",
        mark="throttled", hint=_COOLER,
    ),
    Rule(
        "throttle-power-brake", "throttle_power_brake", ">", 0, 10, severity=Severity.CRITICAL,
        says="held down by the power brake: the power supply or the board asks for it",
        mark="power brake", hint="Look at the power supply, its cables and what else hangs on it.",
    ),
    Rule(
        "throttle-hw-slowdown", "throttle_hw_slowdown", ">", 0, 30,
        says="slowed down by its hardware, by half or more", mark="slowdown",
        hint="Heat, the power brake or a jump in power draw; this GPU does not say which.",
    ),
    Rule(
        "pcie-width", "pcie_link_width_missing", ">", 0, 60, says="PCIe link {value}",
        mark="PCIe", hint=_LINK,
    ),
    Rule(
        "pcie-generation", "pcie_link_gen_missing", ">", 0, 60,
        says="PCIe generation {value} while busy", mark="PCIe", hint=_LINK,
    ),
    Rule(
        "ecc-uncorrected", "ecc_uncorrected", ">", 0, keep_firing_seconds=0,
        severity=Severity.CRITICAL, says="{value} uncorrected ECC errors since the driver loaded",
        mark="ECC", hint="What it computed may be wrong. Restart what runs on it; see nvidia-smi -q -d ECC.",
    ),
    Rule(
        "gpu-lost", "gpu_lost", ">", 0, 10, severity=Severity.CRITICAL,
        says="gives no reading: {value}", mark="lost",
        hint="See the kernel log: journalctl -k | grep -i -e nvrm -e xid",
    ),
    Rule(
        "wrong-gpu", "wrong_gpu", ">", 0, 10, severity=Severity.CRITICAL, says="{value}",
        mark="wrong GPU",
        hint="See its log for the devices it found; llama-server --list-devices names those of its build.",
    ),
    Rule(
        "idle-gpu", "gpu_utilization_while_busy", "<", 20, 300,
        says="is busy, its GPU only {value} ({condition})", mark="GPU idle",
        hint="Most of it may run on the CPU: more n_gpu_layers, if they fit, or a smaller model.",
    ),
    Rule(
        "generation-speed", "generation_target_percent", "<", 100, 600,
        says="generates {value} ({condition})", mark="slow",
        hint="Does something else work on its GPU, or hold down its clocks? Is it split over GPUs?",
    ),
    Rule(
        "ttft", "ttft_target_percent", ">", 100, says="TTFT {value}", mark="TTFT",
        hint="A long prompt, a full queue or a busy GPU; a larger ubatch_size reads prompts faster.",
    ),
    Rule(
        "queue", "requests_deferred", ">", 5, 30, says="queue of {value} ({condition})",
        mark="queue", hint="More slots (parallel), or a second instance.",
    ),
    Rule(
        "error-rate", "error_rate_percent", ">", 0.1, says="error rate {value} ({condition})",
        mark="errors", hint="The reasons are in its log: l in the table, or gputui logs NAME.",
    ),
    Rule(
        "instance-hung", "stalled_seconds", ">", HUNG_SECONDS, keep_firing_seconds=0,
        severity=Severity.CRITICAL, says="is busy, and no token for {value}", mark="hung",
        hint="r restarts it. A long batch on a slow CPU can look the same: does it use the processor?",
    ),
    Rule(
        "instance-failed", "failed", ">", 0, keep_firing_seconds=0, severity=Severity.CRITICAL,
        says="failed: {value}", mark="failed",
    ),
)  # fmt: skip
"""What gputui watches without being told to."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rule of the user stands in the file."""

    file: Path
    name: str

    def error(self, what: str, hint: str = "") -> ConfigError:
        return ConfigError(f"{self.file}: [[alerts]] {self.name}: {what}", hint)


def rules_of(config: Config, file: Path | None = None) -> tuple[Rule, ...]:
    """The rules in force: the built-in ones as ``[[alerts]]`` leaves them, then the user's own.

    Raises ConfigError naming file, rule, key and the nearest valid value.
    """
    rules = {rule.name: rule for rule in BUILT_IN}
    known = tuple(instance.name for instance in config.instances)
    for table in config.alerts:
        place = _Place(file or default_path(), table.name)
        if table.enabled or table.name not in rules:
            rules[table.name] = _checked(_merged(rules.get(table.name), table, place), place, known)
        if not table.enabled:
            del rules[table.name]
    return tuple(rules.values())


def resolve(
    rule: Rule, gpus: Sequence[GpuIdentity], file: Path | None = None
) -> tuple[GpuIdentity, ...]:
    """The GPUs that a rule is about. Raises ConfigError where a selector names none, or several."""
    if rule.gpus is None:
        return tuple(gpus)
    try:
        return select_gpus(rule.gpus, gpus)
    except GpuSelectionError as error:
        place = _Place(file or default_path(), rule.name)
        raise place.error(f"gpus: {error.message}", error.hint) from error


def _merged(built_in: Rule | None, table: AlertConfig, place: _Place) -> Rule:
    """The rule as the table has it; what it leaves out is as the built-in rule of that name says."""
    if built_in is None:
        built_in = _new_rule(table, place)
    elif table.metric is not None and table.metric != built_in.metric:
        raise place.error(
            f'metric = "{clean_line(table.metric)}": this built-in rule is about {built_in.metric}',
            "Give a rule of your own another name.",
        )
    keep = table.keep_firing_for
    changes: dict[str, Any] = {
        "comparison": table.comparison,
        "threshold": table.threshold,
        "for_seconds": None if table.for_ is None else duration_seconds(table.for_),
        "keep_firing_seconds": None if keep is None else duration_seconds(keep),
        "severity": None if table.severity is None else Severity(table.severity),
        "gpus": table.gpus,
        "instances": table.instances,
    }
    return replace(built_in, **{k: v for k, v in changes.items() if v is not None})


def _new_rule(table: AlertConfig, place: _Place) -> Rule:
    if table.metric is None or table.comparison is None or table.threshold is None:
        raise _incomplete(table, place)
    if table.metric not in READINGS:
        raise _unknown_metric(table.metric, place)
    mark = clean_line(table.name, 14)
    return Rule(table.name, table.metric, table.comparison, table.threshold, mark=mark)


def _incomplete(table: AlertConfig, place: _Place) -> ConfigError:
    needed = ("metric", "comparison", "threshold")
    missing = [key for key in needed if getattr(table, key) is None]
    names = [rule.name for rule in BUILT_IN]
    near = nearest(table.name, names)
    hint = f'Did you mean "{near}"?' if near else f"Built-in: {', '.join(names)}."
    return place.error(
        f"no built-in rule has this name, and a rule of your own needs {', '.join(missing)}", hint
    )


def _unknown_metric(metric: str, place: _Place) -> ConfigError:
    near = nearest(metric, READINGS)
    question = f'Did you mean "{near}"? ' if near else ""
    return place.error(
        f'metric = "{clean_line(metric, 80)}": there is no such metric',
        f"{question}All are in the README, under Alerts.",
    )


def _checked(rule: Rule, place: _Place, instances: Sequence[str]) -> Rule:
    """The rule, where what it is restricted to goes with its metric. Raises ConfigError."""
    if not math.isfinite(rule.threshold):
        raise place.error(f"threshold = {rule.threshold}: not a number to compare with")
    for key, scope in (("gpus", Scope.GPU), ("instances", Scope.INSTANCE)):
        if getattr(rule, key) is not None and rule.scope is not scope:
            about = {Scope.GPU: "each GPU", Scope.INSTANCE: "each instance"}.get(
                rule.scope, "the whole rig"
            )
            raise place.error(f"{key}: {rule.metric} is of {about}", f"Leave {key} out.")
    for name in rule.instances or ():
        if name not in instances:
            near = nearest(name, instances)
            known = ", ".join(instances) or "none"
            raise place.error(
                f'instances: no instance is named "{clean_line(name, 80)}"',
                f'Did you mean "{near}"?' if near else f"Configured: {known}.",
            )
    return rule
