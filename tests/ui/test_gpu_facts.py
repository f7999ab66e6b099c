"""The list of readings: everything the table has, whatever the GPU says and however narrow it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.metrics import METRICS, Kind
from gputui.gpu.sample import NOT_READ, GpuSample, Problem, Snapshot
from gputui.text import clean_line
from gputui.themes import read_theme, shipped_dir
from gputui.ui.gpus.facts import GROUP, Fact, fact_lines, facts_of
from gputui.ui.palette import Palette
from tests.support.hostile import HOSTILE, IDS
from tests.ui.harness import gpu_sample, identity

PALETTE = Palette.of(read_theme(shipped_dir() / "midnight.toml"))
BOX = ("□", PALETTE.dim)


def facts(sample: GpuSample, **more: object) -> dict[tuple[str, str], Fact]:
    snapshot = Snapshot("nvml", 1.0, (sample,), **more)  # type: ignore[arg-type]
    return {(fact.group, fact.label): fact for fact in facts_of(snapshot, sample)}


@given(
    st.dictionaries(
        st.sampled_from([metric.name for metric in METRICS]),
        st.floats(min_value=0, max_value=1e15, allow_nan=False),
    )
)
def test_every_metric_is_there_with_its_value_or_its_reason(values: dict[str, float]) -> None:
    missing = {m.name: f"no {m.name}" for m in METRICS if m.name not in values}
    found = facts(GpuSample(identity(0), values, missing))
    for metric in METRICS:
        fact = found[metric.group, metric.label]
        assert fact.metric is metric
        assert fact.known == (metric.name in values)
        assert fact.value == (
            metric.show(values[metric.name]) if fact.known else f"no {metric.name}"
        )
        assert fact.chartable == (metric.kind is Kind.GAUGE)


def test_what_is_missing_without_a_reason_was_not_read_yet_or_is_the_gpus_trouble() -> None:
    empty = GpuSample(identity(0), {})
    assert facts(empty)["Power", "draw"].value == NOT_READ
    lost = GpuSample(identity(0), {}, problem=Problem("GPU is lost", "Reset it."))
    assert facts(lost)["Power", "draw"].value == "GPU is lost"


def test_what_the_gpu_is_stands_there_in_full() -> None:
    found = facts(gpu_sample(0), driver_version="570.86", cuda_version="12.8")
    values = {fact.value for fact in found.values()}
    gpu = identity(0)
    assert {gpu.name, gpu.uuid, gpu.pci_bus_id, "driver 570.86, CUDA 12.8"} <= values
    assert facts(gpu_sample(0))["Identity", "software"].value == "driver –, CUDA –"


def test_what_costs_speed_is_an_alarm_and_idling_is_none() -> None:
    for mask, alarming in ((0x40, True), (0x1, False)):
        values = dict(gpu_sample(0).values) | {"throttle_reasons": float(mask)}
        assert facts(GpuSample(identity(0), values))["Clocks", "held down by"].alarming == alarming


@pytest.mark.parametrize("text", [text for _, text in HOSTILE], ids=IDS)
@pytest.mark.parametrize("width", [30, 58, 120])
def test_a_long_value_is_never_cut_and_never_too_wide(text: str, width: int) -> None:
    value = clean_line(text)
    fact = Fact("Identity", "label", value)
    lines = fact_lines(fact, width, BOX, PALETTE.value, PALETTE)
    assert all(line.width <= width for line in lines)
    drawn = ["".join(text for text, _ in line.runs)[GROUP:] for line in lines]
    words = "".join("".join(drawn).split()).removeprefix("label")
    assert words == "".join(value.split())
