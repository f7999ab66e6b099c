"""The keys at the foot of the screen."""

from __future__ import annotations

import gc
import weakref

from textual.widgets._footer import FooterKey

from gputui.ui.keys_line import KeysLine
from tests.ui.harness import make_rig, until_shown


async def test_keys_that_hold_no_more_are_let_go() -> None:
    """Each prompt and each look at another panel changes them: they were kept for ever."""
    one = make_rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "Instances")
        line = one.app.screen.query_one(KeysLine)
        made: weakref.WeakSet[FooterKey] = weakref.WeakSet(line.query(FooterKey))
        for _ in range(3):
            for key in ("c", "escape"):
                await pilot.press(key)
                await pilot.pause()
                made.update(line.query(FooterKey))
        await pilot.pause()
        gc.collect()
        shown = len(line.query(FooterKey))
        assert shown > 1
        assert len(made) <= 2 * shown, "those of now, and at most those just before"
