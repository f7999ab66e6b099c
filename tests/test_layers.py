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


def test_the_import_contracts_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
