"""Samples, states and rules as alert tests need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gputui.alerts.engine import Engine, Event, Judged, Subject
from gputui.alerts.rules import Rule, Severity
from gputui.alerts.views import Scope
from gputui.gpu.sample import GpuSample, Problem, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceMetrics, InstanceStatus, State

GPU_0 = Subject(Scope.GPU, "GPU-00000000", "GPU 0")
HOT = Rule("hot", "temperature_gpu", ">", 85, for_seconds=30, keep_firing_seconds=60)


def identity(index: int) -> GpuIdentity:
    return GpuIdentity(index, f"GPU-{index:08d}", "NVIDIA GeForce RTX 5090", f"0:{index + 1:02X}:0")


def gpu(index: int = 0, problem: Problem | None = None, **values: float) -> GpuSample:
    return GpuSample(identity(index), {} if problem else values, problem=problem)


def snapshot(at: float, *gpus: GpuSample, problem: Problem | None = None) -> Snapshot:
    return Snapshot("nvml", at, gpus, problem=problem)


def status(name: str = "coder", state: State = State.READY, **more: object) -> InstanceStatus:
    """An instance on GPU 0; ``more`` are fields of the status or of its metrics."""
    metrics = {key: more.pop(key) for key in list(more) if hasattr(InstanceMetrics(), key)}
    fields = {"gpus": (identity(0).uuid,), "owned": True, "pid": 77, "started_at": 0.0} | more
    return InstanceStatus(
        name=name,
        state=state,
        port=1,
        url="",
        model="m",
        metrics=InstanceMetrics(**metrics),
        **fields,
    )  # type: ignore[arg-type]


def judged(rule: Rule, value: float | None, subject: Subject = GPU_0) -> Judged:
    return Judged(rule, subject, value, lambda: f"{value:.0f} °C")


def event(
    rule: str = "hot", at: float = 100.0, message: str = "GPU 0 temperature 91 °C (> 85 °C)"
) -> Event:
    """A beginning, as the engine would have it."""
    made = Rule(rule, "temperature_gpu", ">", 85, severity=Severity.WARNING)
    engine = Engine()
    (found,) = engine.evaluate(at, [Judged(made, GPU_0, 91.0, lambda: "91 °C")])
    return replace(found, message=message)


def run(rule: Rule, timeline: Sequence[tuple[float, float | None]]) -> tuple[Engine, list[Event]]:
    """All events of one rule for one subject over (time, reading)."""
    engine = Engine()
    events = [e for at, value in timeline for e in engine.evaluate(at, [judged(rule, value)])]
    return engine, events
