"""What is covered sends nothing, and is up to date once it is seen again."""

from __future__ import annotations

import pytest
from rich.console import RenderableType

from tests.ui.harness import rig, screen_text, snapshot, until, until_shown


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("question_mark", "Any key can be changed"),
        ("l", "never started"),
        ("1", "Its open answers end"),
    ],
)
async def test_a_covered_dashboard_sends_nothing(
    key: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        await pilot.press(key)
        await until_shown(pilot, words)
        sent: list[RenderableType] = []
        display = one.app._display

        def spy(screen: object, renderable: RenderableType | None) -> None:
            if renderable is not None:
                sent.append(renderable)
            display(screen, renderable)  # type: ignore[arg-type]

        await pilot.pause()  # what covers it is drawn
        await pilot.pause()
        monkeypatch.setattr(one.app, "_display", spy)
        for tick in range(90, 96):
            one.sampler.take(snapshot(tick=tick))
            for _ in range(3):
                await pilot.pause(0.02)
        assert sent == []
        await pilot.press("escape")
        watts = sum(gpu.values["power_draw"] for gpu in snapshot(tick=95).gpus)
        await until(pilot, lambda: words not in screen_text(one.app))
        await until_shown(pilot, f"{watts:.0f} / 2000 W")
        assert sent
