"""Foreign text in every widget that shows any: it is drawn, never obeyed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.events import Paste

from gputui.config import Config, EndpointConfig, InstanceConfig
from gputui.errors import ConfigError, GputuiError
from gputui.gpu.sample import Problem, Snapshot
from gputui.instances.status import State
from gputui.text import clean, clean_line
from gputui.ui.app import GputuiApp
from gputui.ui.chat.prompt import Prompt
from gputui.ui.dashboard import Dashboard
from tests.support.hostile import HOSTILE
from tests.ui.harness import gpu_sample, make_rig, status, until, until_shown

SHORT = [(name, text[:4000]) for name, text in HOSTILE]
GROUPS = [tuple(SHORT[first : first + 7]) for first in range(0, len(SHORT), 7)]
"""Texts that share one dashboard."""


def assert_harmless(app: GputuiApp) -> None:
    """Nothing on the screen commands a terminal, reorders a line, or can be clicked or followed."""
    for strip in app.screen._compositor.render_strips(app.size):
        for segment in strip:
            assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in segment.text), segment
            assert not any(c in segment.text for c in "\u202e\u2066\u200b"), segment
            assert not (segment.style and segment.style.link), segment
            action = segment.style.meta.get("@click") if segment.style else None
            assert action is None or "evil" not in str(action), segment
            assert action is None or "app.quit" not in str(action), segment


@pytest.mark.parametrize("texts", GROUPS, ids=[texts[0][0] for texts in GROUPS])
async def test_in_every_panel(texts: tuple[tuple[str, str], ...]) -> None:
    """As the rooms hand it over: through the cleaning function, markup and all."""
    lines = [clean_line(text, 200) for _, text in texts]
    config = Config(
        instances=tuple(
            InstanceConfig(name=f"a{n}", model="m", port=n + 1) for n in range(len(texts))
        ),
        endpoints=tuple(
            EndpointConfig(name=f"e{n}", url=f"http://{line or 'h'}")
            for n, line in enumerate(lines)
        ),
    )
    failed = [
        status(
            f"a{n}", State.FAILED, 0, 1, model=line, last_error=line or "x", hint=line, note=line
        )
        for n, line in enumerate(lines)
    ]
    one = make_rig(config, snapshots=[on_gpus(lines[0])], statuses=failed, host=texts[0][1])
    one.supervisor.log_text = "\n".join(clean(text) for _, text in texts) + "\nthe end\n"
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "failed", f"a{len(texts) - 1}")
        for n, (name, text) in enumerate(texts):
            one.supervisor.asked.clear()
            one.supervisor.refusal = GputuiError(f"refused {name}: {text}", text)
            one.conversation._keeper.problem = clean(text)
            one.sampler.take(on_gpus(lines[n]))
            await pilot.press("s")
            await until_shown(pilot, f"refused {name}")
            assert one.supervisor.asked == [("start", f"a{n}")]
            assert_harmless(one.app)
            one.app.clear_notifications()
            await pilot.press("down")
        await pilot.press("l")
        await until_shown(pilot, "log of a", "the end")
        assert_harmless(one.app)
        await pilot.press("escape", "b")
        await until_shown(pilot, "Who answers on side B?")
        assert_harmless(one.app)
        await pilot.press("escape", "c", "x")
        await until(pilot, lambda: one.app.screen.query_one(Prompt).text == "x")
        assert one.app.is_running


def on_gpus(line: str) -> Snapshot:
    """A GPU of that name, and one that is lost with these words."""
    gpu = gpu_sample(0)
    gpu = replace(gpu, identity=replace(gpu.identity, name=line))
    lost = gpu_sample(1, problem=Problem(line, line))
    return Snapshot(line, 1.0, (gpu, lost), line, Problem(line, line))


async def test_in_toasts() -> None:
    one = make_rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        dashboard = one.app.screen
        assert isinstance(dashboard, Dashboard)
        for name, text in SHORT:
            dashboard.say(GputuiError(f"{name}: {text}", text))
            await until_shown(pilot, f"{name}:")
            assert_harmless(one.app)
            one.app.clear_notifications()


@pytest.mark.parametrize("name", ["colours", "clipboard", "action", "closing tag", "bidi", "nul"])
async def test_in_the_banner(name: str) -> None:
    text = dict(HOSTILE)[name]
    one = make_rig(config_error=ConfigError(f"file: {text}", text))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "file:")
        assert_harmless(one.app)


async def test_pasted_into_the_prompt() -> None:
    one = make_rig()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("c")
        prompt = one.app.screen.query_one(Prompt)
        for _, text in SHORT:
            one.app.post_message(Paste(text))
            await until(pilot, lambda text=text: prompt.text == clean(text))  # type: ignore[misc]
            assert_harmless(one.app)
            prompt.clear()
