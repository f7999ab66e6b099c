"""The power screen's words on a schedule: what the GPU has, never the clock alone."""

from __future__ import annotations

import pytest

from gputui.config import PowerConfig, PowerLimitConfig
from gputui.identity import GpuIdentity
from gputui.power.meter import PowerReport
from gputui.power.schedule import Planned
from gputui.themes import load_themes, shipped_dir
from gputui.ui.palette import Palette
from gputui.ui.power.lines import power_lines, power_view

NIGHT = PowerLimitConfig(gpus=("0",), watts=300, from_="22:00", to="07:00")
GPU = GpuIdentity(0, "GPU-a", "RTX", "00000000:01:00.0")


@pytest.mark.parametrize(
    ("in_force", "words"),
    [
        (True, "in force"),
        (False, "due, not applied yet"),
        (False, "applied; the GPU does not answer"),
        (False, "limit is now 575 W (set by hand)"),
    ],
)
@pytest.mark.parametrize("width", [78, 120])
def test_what_the_gpu_has_of_the_limit_that_is_due(in_force: bool, words: str, width: int) -> None:
    palette = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
    plan = (Planned(GPU, (NIGHT,), NIGHT, "", in_force, words),)
    view = power_view(PowerReport(), None, PowerConfig(), plan, ())
    (row,) = (line for line in power_lines(view, width, palette) if "300 W" in str(line.runs))
    assert row.width <= width
    text, style = row.runs[-1]
    assert text.strip() == words
    assert style == (palette.success if in_force else palette.warning)
