"""A dashboard on a file, and the form of an instance: what the tests of editing share."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from gputui.alerts.rules import rules_of
from gputui.config import Config, load
from gputui.config.watch import FileWatch
from gputui.instances.status import State
from gputui.ui.editing.form import InstanceForm
from tests.ui.harness import (
    READY_METRICS,
    Rig,
    make_rig,
    screen_text,
    status,
    until,
    until_shown,
)

FILE = """\
# Mine.
[[instances]]
name = "deepseek"
model = "{folder}/deepseek.gguf"
port = 8080
key = "1"
gpus = ["PRO 6000"]  # the big one
batch_size = 512

[[instances]]
name = "coder"
model = "{folder}/coder.gguf"
port = 8081

[[layouts]]
name = "pair"
instances = ["deepseek", "coder"]
"""
SIZE = (160, 45)


@dataclass
class Desk:
    """A dashboard on a file."""

    file: Path
    rig: Rig

    @property
    def app(self) -> Any:
        return self.rig.app

    def data(self) -> dict[str, Any]:
        return tomllib.loads(self.file.read_text())

    def instances(self) -> list[str]:
        return [one["name"] for one in self.data().get("instances", ())]


def make_desk(folder: Path, text: str | None = FILE, **more: object) -> Desk:
    """A dashboard on a file of these words in that folder; None is no file."""
    file = folder / "config.toml"
    content = None
    if text is not None:
        file.write_text(text.format(folder=folder))
        content = file.read_bytes()
    config = load(file) if text is not None else Config()
    states = [
        status("deepseek", State.READY, 0, 8080, metrics=READY_METRICS),
        status("coder", State.STOPPED, None, 8081),
    ]
    watch = FileWatch(file, content, lambda changed: rules_of(changed, file))
    rig = make_rig(
        config,
        **{  # type: ignore[arg-type]
            "statuses": states[: len(config.instances)],
            "config_file": file,
            "watch": watch,
        }
        | more,
    )
    return Desk(file, rig)


async def fill(pilot: Pilot[Any], key: str, text: str) -> None:
    """Go to a field and write over what is there."""
    field = pilot.app.screen.query_one(f"#field-{key}", Input)
    pilot.app.screen.set_focus(field)
    field.value = text
    await pilot.pause()


async def opened(pilot: Pilot[Any], key: str, title: str) -> None:
    await until_shown(pilot, "deepseek")
    await pilot.press(key)
    await until_shown(pilot, title)


async def saved(pilot: Pilot[Any], *shown: str) -> None:
    """Save, with these words among the lines that will be written."""
    await pilot.press("ctrl+s")
    await until_shown(pilot, "Write this to")
    for words in shown:
        assert words in screen_text(pilot.app)
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(pilot.app.screen, InstanceForm))
