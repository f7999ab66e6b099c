"""What a GPU panel says, for every kind of reading and width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import GpuSample, Problem
from gputui.themes import read_theme, shipped_dir
from gputui.ui.gpus import lines as gpu_lines
from gputui.ui.gpus.lines import GpuView, full_lines, one_line
from gputui.ui.gpus.panel import Shape, arrange, share_of
from gputui.ui.palette import Palette
from tests.ui.harness import gpu_sample, identity

PALETTE = Palette.of(read_theme(shipped_dir() / "midnight.toml"))


def view(sample: GpuSample, **more: object) -> GpuView:
    return GpuView(sample=sample, ticks=100, window=lambda _m, count: [50.0] * count, **more)  # type: ignore[arg-type]


def text_of(sample: GpuSample, width: int = 100) -> str:
    lines = full_lines(view(sample), width, PALETTE)
    return "\n".join("".join(text for text, _ in line.runs) for line in lines)


def test_every_number_stands_with_its_unit() -> None:
    text = text_of(gpu_sample(0))
    for part in (
        "50 %",
        "/95.6 GiB",
        "/600 W",
        "60 °C",
        "SM 2617/3090 MHz",
        "fan 41 %",
        "PCIe 5.0×16",
        "P1",
    ):
        assert part in text


def test_a_narrow_link_is_marked_and_a_sleeping_one_is_not() -> None:
    assert "PCIe 5.0×8 of ×16" in text_of(gpu_sample(1))
    idle = gpu_sample(0)
    values = dict(idle.values) | {"pcie_link_gen": 1.0}
    line = full_lines(view(GpuSample(idle.identity, values)), 100, PALETTE)[-1]
    assert ("1.0×16 of 5.0", PALETTE.value) in line.runs


def test_what_throttles_is_said_in_words_and_colour() -> None:
    sample = gpu_sample(0)
    hot = GpuSample(sample.identity, dict(sample.values) | {"throttle_reasons": float(0x40 | 0x4)})
    assert "▲ power cap, HW thermal" in text_of(hot)
    assert "▲" not in text_of(sample)


def test_an_unknown_reading_is_a_dash_and_never_zero() -> None:
    empty = GpuSample(identity(0), {}, {metric.name: "not supported" for metric in METRICS})
    text = text_of(empty)
    assert "–" in text
    assert "0 %" not in text
    assert "0 W" not in text


def test_a_lost_gpu_says_so_and_what_to_do() -> None:
    lost = gpu_sample(0, problem=Problem("GPU is lost", "Reset it."))
    assert text_of(lost).splitlines()[:2] == [" GPU is lost", " Reset it."]
    assert any("GPU is lost" in text for text, _ in one_line(view(lost), 80, PALETTE).runs)


@given(
    st.dictionaries(
        st.sampled_from([metric.name for metric in METRICS]),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
    ),
    st.integers(20, 200),
    st.booleans(),
)
def test_no_reading_and_no_width_breaks_a_panel(
    values: dict[str, float], width: int, ascii_only: bool
) -> None:
    sample = GpuSample(identity(0), values)
    shown = view(sample, instances=("deepseek",), ascii_only=ascii_only)
    assert len(full_lines(shown, width, PALETTE)) == Shape.FULL.rows - 2
    if ascii_only:
        for line in [*full_lines(shown, width, PALETTE), one_line(shown, width, PALETTE)]:
            drawn = "".join(text for text, _ in line.runs)
            assert not set(drawn) & set("▁▂▃▄▅▆▇█▏─▲↓↑■"), drawn


@pytest.mark.parametrize("gpus", range(17))
@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 30), (160, 45), (250, 70)])
def test_up_to_16_gpus_leave_most_of_any_terminal_free(gpus: int, size: tuple[int, int]) -> None:
    width, height = size
    arrangement = arrange(gpus, width, share_of(height))
    assert width // arrangement.columns >= arrangement.shape.least_width
    assert arrangement.rows(gpus) <= max(share_of(height), 16)
    if (width, gpus) == (160, 2):
        assert (arrangement.shape, arrangement.columns) == (Shape.FULL, 2)
    if (width, gpus) == (80, 2):
        assert (arrangement.shape, arrangement.columns) == (Shape.LINE, 1)


def test_short_names_keep_what_tells_them_apart() -> None:
    assert (
        gpu_lines.short_name("NVIDIA RTX PRO 6000 Blackwell Workstation Edition")
        == "RTX PRO 6000 Blackwell"
    )
    assert gpu_lines.short_name("NVIDIA GeForce RTX 5090") == "RTX 5090"
