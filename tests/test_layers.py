"""What may import what, shown in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gputui

ROOT = Path(gputui.__file__).parent
HEADLESS = sorted(
    ".".join(("gputui", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for file in ROOT.rglob("*.py")
    if file.relative_to(ROOT).parts[0] not in ("ui", "__main__.py")
)


def loaded_by(imports: str, names: str) -> str:
    code = f"import sys\n{imports}\nprint(*sorted(m for m in {names} if m in sys.modules))"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_nothing_outside_the_screen_loads_textual() -> None:
    imports = "\n".join(f"import {module}" for module in HEADLESS)
    assert loaded_by(imports, "('textual', 'plotext')") == ""


@pytest.mark.parametrize("module", ["gputui.cli.root", "gputui.cli.compose", "gputui.config"])
def test_what_every_start_loads_is_small(module: str) -> None:
    assert (
        loaded_by(f"import {module}", "('httpx', 'psutil', 'pynvml', 'sqlite3', 'asyncio')") == ""
    )


FIRST_PICTURE = """
import sys
from gputui.cli.compose import Options
from gputui.cli.dashboard import make_services

services = make_services(Options(source="simulated"))
from gputui.ui.app import GputuiApp

app = GputuiApp(services)
loaded = []


def shown():
    loaded.extend(sys.modules)
    services_shown()
    app.exit()


services_shown, services.shown = services.shown, shown
app.run(headless=True, size=(160, 45))
assert loaded, "there was no picture"
print(*sorted(loaded), file=sys.__stdout__)
"""
NOT_YET = {
    "httpx",
    "httpcore",
    "anyio",
    "sqlite3",
    "plotext",
    "markdown_it",
    "pygments",
    "tomlkit",
    "multiprocessing",
    "urllib.request",
    "http.client",
    "gputui.llama.probe",
    "gputui.instances.supervisor",
    "gputui.models.gguf",
    "gputui.chat.answering.client",
    "gputui.chat.keeping.export",
    "gputui.chat.keeping.search",
    "gputui.chat.voting.standings",
    "gputui.ui.commands",
    "gputui.ui.dialogs",
    "gputui.ui.editing.form",
    "gputui.ui.gpus.details",
    "gputui.ui.gpus.chart",
    "gputui.ui.instances.details",
    "gputui.ui.log.screen",
    "gputui.ui.power.screen",
    "gputui.ui.processes.screen",
    "gputui.ui.alerts.events",
    "gputui.ui.chat.commands",
    "gputui.ui.chat.kept.screen",
    "gputui.ui.chat.queue.picker",
    "gputui.ui.chat.reading.difference_screen",
    "gputui.ui.chat.settings.screen",
    "gputui.ui.chat.voting.screen",
    "gputui.ui.chat.embedding.screen",
}
"""What opens over the dashboard, what works on instances and endpoints, and what those are made of."""
MOST_OF_OURS, MOST = 190, 640


def test_the_first_picture_loads_nothing_that_it_does_not_show() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PICTURE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert not NOT_YET.intersection(loaded)
    ours = [name for name in loaded if name.partition(".")[0] == "gputui"]
    assert len(ours) <= MOST_OF_OURS, ours
    assert len(loaded) <= MOST, loaded


def test_the_import_contracts_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
